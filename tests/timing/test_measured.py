"""Time itself, against a server process: what the attackers of bench/ make of answers about known and unknown accounts.

The full figures are in docs/timing.md. Here are fewer pairs, and a machine that does other things: beside the threshold, the two
answers of each pair are compared, which a changing load does not disturb, and the better of both attackers counts. With 300
pairs of equal times the comparison is spread by 2.9 % around 50 %. A run is a failure above 60 %, 3.5 such spreads (P < 10⁻³);
and only the second failure in a row fails the test (P < 10⁻⁶).
"""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from app.config import Settings
from bench.classifier import judge
from bench.contest import Contest, Field, Flow, prepare, run
from bench.stand import BROKEN
from tests.support.servers import ServerProcess

PAIRS, CONTROL_PAIRS = 300, 120
RUNS = 3
MOST, LEAST = 0.60, 0.90
BROKEN_FLOWS: tuple[Flow, ...] = ("login", "forgot-password", "register", "resend", "magic-link")
FLOWS: tuple[Flow, ...] = (*BROKEN_FLOWS, "verify-email")

pytestmark = pytest.mark.env(
    RATE_LIMIT_FORGOT_PASSWORD_ACCOUNT="999999/minute",
    RATE_LIMIT_RESEND_ACCOUNT="999999/minute",
    RATE_LIMIT_MAGIC_LINK_ACCOUNT="999999/minute",
    MAGIC_LINK="true",
    EMAIL_VERIFICATION="required",
)


async def fields(settings: Settings, contest: Contest, count: int) -> list[Field]:
    """The same contest, with other people each time."""
    hashes: dict[str, str] = {}
    return [await prepare(contest, settings, random.Random(number), hashes) for number in range(count)]


def accuracies(env: Mapping[str, str], folder: Path, runs: list[Field], launcher: Path | None = None) -> Iterator[float]:
    """What the attacker achieves in each run, as far as it is asked for."""
    with ServerProcess("serve", env, folder, launcher=launcher) as server:
        server.wait_ready()
        for number, field in enumerate(runs):
            yield judge(run(field, server.port, random.Random(number))).at_best


@pytest.mark.promise("P8")
@pytest.mark.parametrize("flow", FLOWS)
async def test_the_time_of_an_answer_does_not_tell_whether_there_is_an_account(
    flow: Flow, env: dict[str, str], settings: Settings, tmp_path: Path
) -> None:
    contest = Contest(flow, flow, PAIRS, warm_up=30)
    found = []
    for accuracy in accuracies(env, tmp_path / "server", await fields(settings, contest, 2)):
        found.append(accuracy)
        if accuracy <= MOST:
            return
    raise AssertionError(f"told apart: {found}")


@pytest.mark.parametrize("flow", BROKEN_FLOWS)
async def test_the_same_measurement_tells_accounts_apart_on_a_server_that_returns_early(
    flow: Flow, env: dict[str, str], settings: Settings, tmp_path: Path
) -> None:
    contest = Contest(flow, flow, CONTROL_PAIRS, warm_up=30)
    found = []
    for accuracy in accuracies(env, tmp_path / "server", await fields(settings, contest, RUNS), BROKEN):
        found.append(accuracy)
        if accuracy > LEAST:
            return
    raise AssertionError(f"not seen where it is: {found}")
