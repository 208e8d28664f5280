"""The ceremony's module in Chromium, with virtual authenticators, against a real server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.account.conftest import browser
from tests.account.scene import scene
from tests.passkeys.browser import KEY, PHONE, Device, device
from tests.support.api import User
from tests.support.smtp import SmtpServer

__all__ = ["browser"]


@pytest.fixture
async def here(browser: Browser, smtp: SmtpServer, env: dict[str, str], tmp_path: Path) -> AsyncIterator[Device]:
    async with scene(browser, smtp, env, tmp_path, host="localhost") as stage, device(stage) as made:
        yield made


async def test_a_passkey_is_enrolled_and_is_the_whole_login_discoverable_and_by_name(here: Device) -> None:
    await here.plug(PHONE)
    user = await here.somebody()
    shown = await here.enrol(user, "My phone")
    assert (shown["discoverable"], shown["verifies_user"]) == (True, True)
    for username in (None, user.username):
        answer = await here.sign_in(username)
        assert answer.status_code == 200, answer.text


async def test_two_authenticators_a_key_without_pin_is_a_second_factor_alone(here: Device) -> None:
    key = await here.plug(KEY)
    user = await here.somebody()
    shown = await here.enrol(user, "My key")
    assert (shown["discoverable"], shown["verifies_user"]) == (False, False)
    asked = await here.asking(username=user.username)
    assert await here.run("use", asked["public_key"]) == {"reason": "cancelled"}  # it can't verify anybody

    await here.touch(key, willing=False)
    phone = await here.plug(PHONE)
    await here.enrol(user, "My phone")
    assert (len(await here.held(key)), len(await here.held(phone))) == (1, 1)
    assert (await here.sign_in()).status_code == 200
    await go_on(here, user)
    await here.unplug(phone)
    await here.touch(key, willing=True)
    await go_on(here, user)


async def go_on(here: Device, user: User) -> None:
    """By password, and with whatever is at hand."""
    begun = (await here.client.post("/auth/login", json={"username": user.username, "password": user.password})).json()
    assert begun["status"] == "mfa_required"
    asked = await here.asking(attempt=begun["attempt"])
    assert len(asked["public_key"]["allowCredentials"]) == 2
    made = await here.run("use", asked["public_key"])
    answer = await here.client.post("/auth/login/passkey", json={**made, "attempt": begun["attempt"]})
    assert answer.status_code == 200, answer.text


async def test_user_verification_switched_off_is_no_whole_login(here: Device) -> None:
    authenticator = await here.plug(PHONE)
    user = await here.somebody()
    await here.enrol(user)
    await here.cdp.send("WebAuthn.setUserVerified", {"authenticatorId": authenticator, "isUserVerified": False})
    asked = await here.asking()
    assert await here.run("use", asked["public_key"]) == {"reason": "cancelled"}
    # A page that asks for less gets a signature, and the server refuses it.
    made = await here.run("use", asked["public_key"] | {"userVerification": "discouraged"})
    answer = await here.client.post("/auth/login/passkey", json={**made, "request": asked["request"]})
    assert (answer.status_code, answer.json()["code"]) == (401, "passkey_refused")


async def test_each_failure_has_a_word_for_the_way_on(here: Device) -> None:
    await here.plug(PHONE)
    user = await here.somebody()
    await here.enrol(user)
    assert await here.run("add", await here.creation(user)) == {"reason": "already"}
    options = await here.creation(user)
    nothing_known = {"pubKeyCredParams": [{"type": "something new", "alg": -7}]}
    assert await here.run("add", options | nothing_known) == {"reason": "unsupported"}
    asked = (await here.asking())["public_key"]
    assert await here.run("use", asked | {"rpId": "example.com"}) == {"reason": "site"}
    assert await here.run("use", asked | {"challenge": "!"}) == {"reason": "failed"}
    await here.page.evaluate("() => { delete window.PublicKeyCredential }")
    assert await here.run("use", asked) == {"reason": "unsupported"}


async def test_nobody_who_says_yes_in_time(here: Device) -> None:
    authenticator = await here.plug(PHONE)
    user = await here.somebody()
    await here.enrol(user)
    await here.touch(authenticator, willing=False)
    asked = (await here.asking())["public_key"]
    assert await here.run("use", asked | {"timeout": 10}) == {"reason": "timeout"}


async def test_a_ceremony_takes_the_place_of_one_that_waits(here: Device) -> None:
    authenticator = await here.plug(PHONE)
    user = await here.somebody()
    await here.enrol(user)
    await here.touch(authenticator, willing=False)
    first, second = [(await here.asking())["public_key"] for _ in range(2)]
    both = """async ([first, second]) => {
      const { usePasskey } = await import("/static/passkeys.js");
      const waits = usePasskey(first).catch((error) => error.reason);
      usePasskey(second).catch(() => {});
      return await waits;
    }"""
    assert await here.page.evaluate(both, [first, second]) == "replaced"


async def test_a_passkey_removed_on_one_side(here: Device) -> None:
    authenticator = await here.plug(PHONE)
    user = await here.somebody()
    shown = await here.enrol(user)
    gone = await here.client.delete(f"/auth/passkeys/{shown['id']}", headers=user.headers)
    assert gone.status_code == 204, gone.text
    answer = await here.sign_in()
    assert (answer.status_code, answer.json()["code"]) == (401, "passkey_refused")
    (stale,) = await here.held(authenticator)
    forget = """async (id) => {
      const { forgetPasskey } = await import("/static/passkeys.js");
      await forgetPasskey("localhost", id.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", ""));
    }"""
    await here.page.evaluate(forget, stale["credentialId"])
    assert await here.held(authenticator) == []

    await here.enrol(user)
    await here.cdp.send("WebAuthn.clearCredentials", {"authenticatorId": authenticator})
    asked = await here.asking(username=user.username)
    assert await here.run("use", asked["public_key"]) == {"reason": "cancelled"}


async def test_a_browser_that_knows_no_json_does_as_well(here: Device) -> None:
    await here.plug(PHONE)
    user = await here.somebody()
    await here.page.evaluate(
        """() => {
          delete PublicKeyCredential.parseCreationOptionsFromJSON;
          delete PublicKeyCredential.parseRequestOptionsFromJSON;
          delete PublicKeyCredential.prototype.toJSON;
        }"""
    )
    shown = await here.enrol(user)
    assert shown["discoverable"] is True
    for username in (None, user.username):
        assert (await here.sign_in(username)).status_code == 200


async def test_autofill_waits_for_the_person_and_signs_in(here: Device) -> None:
    await here.plug(PHONE)
    user = await here.somebody()
    await here.enrol(user)
    can = """async () => (await import("/static/passkeys.js")).canAutofill()"""
    assert await here.page.evaluate(can) is True
    answer = await here.sign_in(autofill=True)
    assert answer.status_code == 200, answer.text
