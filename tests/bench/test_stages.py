"""A sample belongs to the stage of its innermost frame that has one; stages add up to the total."""

import pytest

from bench.speed.stages import LOOP, SQL, in_microseconds, stage_of

LIBRARIES = "/venv/lib/python3.11/site-packages"


@pytest.mark.parametrize(
    ("places", "stage"),
    [
        (
            ["/lib/python3.11/uuid.py:UUID.__init__", "/x/app/auth/utils.py:_uuid", "/x/app/core/edge.py:Envelope.__call__"],
            "tokens",
        ),
        ([f"{LIBRARIES}/psycopg/cursor.py:execute", f"{LIBRARIES}/sqlalchemy/engine/base.py:execute"], "PostgreSQL driver"),
        ([f"{LIBRARIES}/sqlalchemy/engine/base.py:execute", "/x/app/auth/repository.py:rotate"], SQL),
        (["/x/app/core/edge.py:Finish._missing", "/x/app/core/edge.py:Envelope.__call__"], "security headers"),
        (["/x/app/infra/sessions_postgres.py:PostgresSessionChecks._work"], "session row"),
        ([f"{LIBRARIES}/uvicorn/protocols/http/httptools_impl.py:data_received", f"{LIBRARIES}/uvicorn/server.py:run"], "HTTP"),
        ([f"{LIBRARIES}/uvicorn/server.py:run", "/x/app/cli/serving.py:serve"], LOOP),
        ([f"{LIBRARIES}/redis/asyncio/client.py:execute", "/x/app/auth/blocklist.py:refuses"], "Redis"),
        (["/lib/python3.11/asyncio/timeouts.py:timeout", "/x/app/infra/redis.py:holds_any"], "Redis"),
        (["/lib/python3.11/asyncio/base_events.py:run_forever", "/x/app/cli/serving.py:serve"], LOOP),
        (["/x/app/users/service.py:list_users"], "the flow"),
        (["/x/app/core/crypto.py:RandomIds.next", "/x/app/core/edge.py:Envelope.__call__"], "edge"),
        (["<string>:nobody"], LOOP),
        ([], LOOP),
    ],
)
def test_a_stack_has_the_stage_of_its_innermost_frame_that_has_one(places: list[str], stage: str) -> None:
    assert stage_of(places).startswith(stage)


def test_stages_share_the_total_by_their_time_the_rest_last() -> None:
    shared = in_microseconds({LOOP: 5.0, "Redis": 1.0, SQL: 4.0}, 200.0)
    assert list(shared.items()) == [(SQL, 80.0), ("Redis", 20.0), (LOOP, 100.0)]
    assert sum(shared.values()) == 200.0
