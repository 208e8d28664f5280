"""What the operator does about second factors: resetting somebody's, and making a restored database true."""

from httpx2 import AsyncClient

from app.cli.accounts import reset_factors
from app.cli.restoring import make_true
from app.core.server import Server
from tests.auth.scene import assert_dead, events
from tests.mail.postman import rows_of
from tests.mfa.app_of import STEP, attempt_of, first_step, new_guarded, second_step
from tests.support.clock import TravellingClock


async def test_the_operator_resets_the_factors_of_somebody_who_lost_them(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    guarded = await new_guarded(client, clock, codes=True)
    await reset_factors(server, guarded.user.username.upper())
    await assert_dead(client, guarded.user.tokens)
    assert "access_token" in await first_step(client, guarded.user)
    (event,) = await events(server, "user.factors.reset")
    assert (event.actor_id, str(event.subject_id)) == (None, guarded.user.id)
    assert [job for job in await rows_of(server, "jobs") if "factors-reset" in repr(job["payload"])]


async def test_after_a_restore_no_code_of_before_is_good(client: AsyncClient, server: Server, clock: TravellingClock) -> None:
    """It may have been spent after the backup was made."""
    guarded = await new_guarded(client, clock, codes=True)
    begun = await attempt_of(client, guarded.user)
    await make_true(server)
    lost = await second_step(client, begun, guarded.app.code(clock()))
    assert (lost.status_code, lost.json()["code"]) == (401, "attempt_invalid")
    attempt = await attempt_of(client, guarded.user)
    for code in (guarded.app.code(clock()), guarded.app.code(clock(), 1)):
        assert (await second_step(client, attempt, code)).status_code == 400
    assert (await second_step(client, attempt, guarded.codes[0], "recovery")).status_code == 400
    assert await rows_of(server, "recovery_codes") == []
    assert await rows_of(server, "remembered_devices") == []
    clock.advance(2 * STEP)
    assert (await second_step(client, await attempt_of(client, guarded.user), guarded.app.code(clock()))).status_code == 200
