"""The pages of second factors without a browser: which login they mean, what they show once, what they refuse."""

import re
from urllib.parse import unquote

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response

from app.core.server import Server
from tests.account.forms import ORIGIN, Elements, Visitor, check_page
from tests.mail.postman import Postman, rows_of, token_in
from tests.mfa.app_of import STEP, Authenticator, Guarded, enrol
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock

SAME_ORIGIN = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
ATTEMPT, FORM, SESSION = "authkeep-attempt", "authkeep-form", "authkeep"
AT_ONCE = {"MFA": "required", "MFA_GRACE_DAYS": "0"}
FORMS = [
    "sign-in/passkey",
    "sign-in/step",
    "sign-in/enrol",
    "sign-in/app",
    "sign-in/app-code",
    *(
        f"security/{act}"
        for act in (
            "app",
            "app-code",
            "app-remove",
            "passkey-add",
            "passkey-rename",
            "passkey-remove",
            "recovery-codes",
            "forget-devices",
            "password-remove",
        )
    ),
]


async def guarded(client: AsyncClient, clock: TravellingClock) -> Guarded:
    """Somebody with an app and recovery codes, whose browser has never been here."""
    found = await enrol(client, clock, await api.new_user(client), codes=True)
    client.cookies.clear()
    return found


async def first_step(visitor: Visitor, user: api.User, **more: str) -> Response:
    answer = await visitor.post("/account/sign-in", username=user.username, password=user.password, **more)
    assert answer.status_code == 303, answer.text
    return answer


async def second_step(visitor: Visitor, clock: TravellingClock, who: Guarded, **more: str) -> Response:
    return await visitor.post("/account/sign-in/step", otp=who.app.code(clock()), **more)


async def signed_in(visitor: Visitor, clock: TravellingClock, who: Guarded) -> None:
    """By both steps; the app has a new code afterwards."""
    await first_step(visitor, who.user)
    assert (await second_step(visitor, clock, who)).status_code == 303
    clock.advance(STEP)


async def is_in(client: AsyncClient) -> bool:
    return (await client.get("/account/")).status_code == 200


def app_of(shown: Response) -> Authenticator:
    """The app that was set up by a page, which shows nothing but its picture, key and form."""
    assert shown.status_code in {200, 400, 422}, shown.text
    assert shown.headers["cache-control"] == "no-store"
    picture = re.search(r"<svg.*?</svg>", shown.text, re.DOTALL)
    assert picture
    assert set(re.findall(r"<([a-z]+)", picture[0])) == {"svg", "g", "path"}  # nothing that could run, nothing from elsewhere
    assert not re.search(r"\s(on\w+|style|href)=", picture[0])
    secret = str(Elements(shown.text).fields["secret"]["value"])
    assert secret in re.sub(r"</?span>| ", "", shown.text)
    return Authenticator(secret)


@pytest.mark.asvs("V6.3.3")
async def test_a_login_of_two_steps_keeps_its_attempt_in_a_cookie_and_in_no_address(
    client: AsyncClient, clock: TravellingClock
) -> None:
    who, visitor = await guarded(client, clock), Visitor(client)
    answer = await first_step(visitor, who.user, next="/account/sessions")
    assert answer.headers["location"] == "/account/sign-in/step?next=%2Faccount%2Fsessions"
    (cookie,) = answer.headers.get_list("set-cookie")
    assert cookie.startswith(f"{ATTEMPT}=")
    assert {"HttpOnly", "SameSite=strict", "Max-Age=600", "Path=/"} <= set(cookie.split("; "))
    attempt = client.cookies[ATTEMPT].partition(".")[0]
    assert not await is_in(client)
    for by, fields in {"": {"otp"}, "?by=recovery": {"recovery_code"}, "?by=nonsense": {"otp"}, "?by=passkey": {"otp"}}.items():
        shown = await client.get(f"/account/sign-in/step{by}")
        elements = check_page(shown)
        assert elements.fields.keys() == fields | {"by", "remember"}
        assert attempt not in shown.text
        assert who.user.username in shown.text
    field = check_page(await client.get("/account/sign-in/step")).fields["otp"]
    assert (field["autocomplete"], field["inputmode"]) == ("one-time-code", "numeric")
    wrong = await visitor.post("/account/sign-in/step", otp=who.app.wrong(clock()), remember="yes")
    assert wrong.status_code == 400
    assert "checked" in check_page(wrong).fields["remember"]
    assert who.app.wrong(clock()) not in wrong.text
    done = await second_step(visitor, clock, who, next="/account/sessions")
    assert (done.status_code, done.headers["location"]) == (303, "/account/sessions")
    assert ATTEMPT not in client.cookies
    assert "authkeep-remembered" not in client.cookies
    assert await is_in(client)
    back = await client.get("/account/sign-in/step")
    assert (back.status_code, back.headers["location"]) == (303, "/account/")


async def test_an_attempt_of_another_browser_opens_nothing(app: FastAPI, client: AsyncClient, clock: TravellingClock) -> None:
    who, visitor = await guarded(client, clock), Visitor(client)
    await first_step(visitor, who.user)
    begun = await api_attempt(client, who.user)
    async with client_of(app) as other:
        stranger = Visitor(other)
        await stranger.token()
        own = other.cookies[FORM]
        for planted in (client.cookies[ATTEMPT], begun, f"{begun}.", f"{begun}.x", ".", "x" * 4000):
            other.cookies.set(ATTEMPT, planted)
            assert (await other.get("/account/sign-in/step")).status_code == 401
            assert (await second_step(stranger, clock, who)).status_code == 401
            options = await other.post("/account/sign-in/passkey-options", json={}, headers=SAME_ORIGIN)
            assert options.status_code == 401
            assert not await is_in(other)
        # The control: it is the cookie of the forms that was missing.
        assert other.cookies[FORM] == own
        for name in (FORM, ATTEMPT):
            other.cookies.delete(name)
            other.cookies.set(name, client.cookies[name])
        assert (await second_step(stranger, clock, who)).status_code == 303
        assert await is_in(other)


async def api_attempt(client: AsyncClient, user: api.User) -> str:
    answer = await client.post("/auth/login", json={"username": user.username, "password": user.password})
    attempt: str = answer.json()["attempt"]
    return attempt


async def test_an_attempt_runs_out_and_has_five_tries(client: AsyncClient, clock: TravellingClock) -> None:
    who, visitor = await guarded(client, clock), Visitor(client)
    await first_step(visitor, who.user)
    for _ in range(5):
        assert (await visitor.post("/account/sign-in/step", otp=who.app.wrong(clock()))).status_code == 400
    ended = await second_step(visitor, clock, who)
    assert ended.status_code == 401
    assert {"href": "/account/sign-in", "class": "button"}.items() <= check_page(ended).named("a")[-1].items()
    await first_step(visitor, who.user)
    empty = await visitor.post("/account/sign-in/step", otp="")
    assert (empty.status_code, "Type the six digits" in empty.text) == (422, True)  # and no try is spent
    clock.advance(seconds=601)
    assert (await second_step(visitor, clock, who)).status_code == 401
    assert not await is_in(client)


async def test_a_recovery_code_is_good_once_and_a_device_is_remembered(client: AsyncClient, clock: TravellingClock) -> None:
    who, visitor = await guarded(client, clock), Visitor(client)
    for status in (303, 400):
        await first_step(visitor, who.user)
        by = {"by": "recovery", "recovery_code": who.codes[0], "remember": "yes"}
        if status == 400:
            by.pop("remember")
        answer = await visitor.post("/account/sign-in/step", **by)
        assert answer.status_code == status
        remembered = client.cookies.get("authkeep-remembered")
        client.cookies.clear()
    assert remembered is None
    await first_step(visitor, who.user)
    await visitor.post("/account/sign-in/step", by="recovery", recovery_code=who.codes[1], remember="yes")
    await visitor.post("/account/sign-out")
    assert (await first_step(visitor, who.user)).headers["location"] == "/account/"
    assert await is_in(client)


async def test_signing_in_ends_the_session_that_was_there_and_takes_none_that_was_planted(
    app: FastAPI, client: AsyncClient, clock: TravellingClock
) -> None:
    who, visitor = await guarded(client, clock), Visitor(client)
    async with client_of(app) as theirs:
        attacker = await api.new_user(theirs)
        await Visitor(theirs).sign_in(attacker.username, attacker.password)
        planted = theirs.cookies[SESSION]
        client.cookies.set(SESSION, planted, domain="localhost.local", path="/")
        await first_step(visitor, who.user)
        assert client.cookies[SESSION] == planted  # the control: the first step alone changes nothing
        assert (await second_step(visitor, clock, who)).status_code == 303
        assert client.cookies[SESSION] != planted
        assert who.user.email in (await client.get("/account/")).text
        assert not await is_in(theirs)


@pytest.mark.env(MAGIC_LINK="true")
async def test_no_form_of_these_pages_is_taken_from_elsewhere(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    who, visitor = await guarded(client, clock), Visitor(client)
    await signed_in(visitor, clock, who)
    await first_step(visitor, who.user)
    token = await visitor.token()
    tables = ("users", "sessions", "totp_factors", "recovery_codes", "passkeys", "login_attempts")
    before = [await rows_of(server, table) for table in tables]
    fields = {"otp": who.app.code(clock()), "sure": "yes", "passkey": str(who.user.username)}
    for name in FORMS:
        for headers, given in (
            (SAME_ORIGIN, ""),
            (SAME_ORIGIN, token[:-2] + "xx"),
            ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, token),
            ({}, token),
        ):
            answer = await client.post(f"/account/{name}", data={**fields, "form_token": given}, headers=headers)
            assert answer.status_code == 403, (name, headers, given)
    for headers in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        answer = await client.post("/account/sign-in/passkey-options", json={}, headers=headers)
        assert answer.status_code == 403
    assert [await rows_of(server, table) for table in tables] == before
    taken = await client.post("/account/security/app-remove", data={"form_token": token}, headers=SAME_ORIGIN)
    assert taken.headers["location"] == "/account/security?done=app-removed"  # the control


async def test_an_app_is_set_up_from_the_page_and_asked_for_from_then_on(client: AsyncClient, clock: TravellingClock) -> None:
    user, visitor = await api.new_user(client), Visitor(client)
    await visitor.sign_in(user.username, user.password)
    first = app_of(await visitor.post("/account/security/app"))
    app = app_of(await visitor.post("/account/security/app"))
    assert app != first  # a reload makes another
    for _ in range(2):
        wrong = await visitor.post("/account/security/app-code", otp=app.wrong(clock()), secret=app.secret)
        assert (wrong.status_code, app_of(wrong)) == (400, app)
    odd = {"<script>", "A" * 31, "A" * 40, "é" * 32, ""}
    for secret in odd:
        answer = await visitor.post("/account/security/app-code", otp=app.wrong(clock()), secret=secret)
        assert answer.headers["location"] == "/account/security?done=setup-ended"
    before = client.cookies[SESSION]
    done = await visitor.post("/account/security/app-code", otp=app.code(clock()), secret=first.secret)
    assert done.headers["location"] == "/account/security?done=app-added"
    assert client.cookies[SESSION] != before
    shown = await client.get("/account/security")
    check_page(shown)
    assert app.secret not in shown.text
    clock.advance(seconds=601)
    late = app_of(await prove_and_start(visitor, clock, user, app))
    clock.advance(seconds=590)
    clock.advance(seconds=11)
    stale = await visitor.post("/account/security/app-code", otp=late.code(clock()))
    assert stale.headers["location"] == "/account/reauthenticate?next=/account/security/app-code"


async def prove_and_start(visitor: Visitor, clock: TravellingClock, user: api.User, app: Authenticator) -> Response:
    """The fresh proof takes both factors; then what a form wanted leads back to the page."""
    sent = await visitor.post("/account/security/app")
    assert sent.headers["location"] == "/account/reauthenticate?next=/account/security/app"
    shown = check_page(await visitor.client.get(sent.headers["location"]))
    assert shown.fields.keys() == {"next", "by", "username", "password", "otp"}
    weak = await visitor.post("/account/reauthenticate", password=user.password, by="totp")
    assert weak.status_code == 401
    wrong = await visitor.post("/account/reauthenticate", password=user.password, otp=app.wrong(clock()), by="totp")
    assert (wrong.status_code, check_page(wrong).fields["otp"]["aria-invalid"]) == (400, "true")
    right = {"password": user.password, "otp": app.code(clock()), "next": "/account/security/app"}
    proved = await visitor.post("/account/reauthenticate", **right)
    assert proved.headers["location"] == "/account/security/app"
    again = await visitor.client.get("/account/security/app")
    assert (again.status_code, again.headers["location"]) == (303, "/account/security")
    return await visitor.post("/account/security/app")


async def test_recovery_codes_are_shown_once_and_can_be_kept_without_script(client: AsyncClient, clock: TravellingClock) -> None:
    who, visitor = await guarded(client, clock), Visitor(client)
    await signed_in(visitor, clock, who)
    shown = await visitor.post("/account/security/recovery-codes")
    assert shown.headers["cache-control"] == "no-store"
    codes = re.findall(r"<li>([0-9A-Z-]+)</li>", shown.text)
    assert len(set(codes)) == 10
    (link,) = [each for each in Elements(shown.text).named("a") if "download" in each]
    kind, _, text = unquote(str(link["href"])).partition(",")
    assert kind == "data:text/plain;charset=utf-8"
    assert text.splitlines()[2:] == codes
    for path in ("/account/security", "/account/security/recovery-codes"):
        again = await client.get(path, follow_redirects=True)
        assert not [code for code in codes if code in again.text]
    await visitor.post("/account/sign-out")
    await first_step(visitor, who.user)
    old = await visitor.post("/account/sign-in/step", by="recovery", recovery_code=who.codes[5])
    assert old.status_code == 400
    new = await visitor.post("/account/sign-in/step", by="recovery", recovery_code=codes[5])
    assert new.status_code == 303


async def test_all_about_factors_wants_a_fresh_proof_and_the_form_of_a_stranger_finds_nothing(
    app: FastAPI, client: AsyncClient, clock: TravellingClock
) -> None:
    who, visitor = await guarded(client, clock), Visitor(client)
    acts = [name for name in FORMS if name.startswith("security/")]
    for name in ["security", *acts]:
        answer = await client.get(f"/account/{name}")
        assert answer.headers["location"].startswith("/account/sign-in?next=/account/security")
    await signed_in(visitor, clock, who)
    for act in ("passkey-rename", "passkey-remove"):
        for passkey in ("", "x", "00000000-0000-0000-0000-000000000000"):
            answer = await visitor.post(f"/account/security/{act}", passkey=passkey, name="Mine")
            assert answer.status_code == 404
            check_page(answer)
    for fields in ({"credential": ""}, {"credential": "{}"}, {"credential": "[" * 3000}, {}):
        answer = await visitor.post("/account/security/passkey-add", **fields)
        assert (answer.status_code, "could not be added" in answer.text) == (400, True)
        check_page(answer)
    clock.advance(seconds=601)
    for name in ["security", *acts]:
        method = "GET" if name == "security" else "POST"
        data = {"form_token": await visitor.token(), "sure": "yes"} if method == "POST" else None
        answer = await client.request(method, f"/account/{name}", data=data, headers=SAME_ORIGIN)
        assert answer.headers["location"] == f"/account/reauthenticate?next=/account/{name}"


async def test_a_password_is_removed_by_a_proof_by_passkey_alone(client: AsyncClient, clock: TravellingClock) -> None:
    who, visitor = await guarded(client, clock), Visitor(client)
    await signed_in(visitor, clock, who)
    answer = await visitor.post("/account/security/password-remove", sure="yes")
    assert answer.headers["location"] == "/account/reauthenticate?by=passkey&next=/account/security"


async def test_a_passkey_that_is_none_signs_nobody_in(client: AsyncClient) -> None:
    visitor = Visitor(client)
    for credential in ("", "{}", "null", "[" * 3000, '{"id":"x","rawId":"x","type":"public-key","response":{}}'):
        answer = await visitor.post("/account/sign-in/passkey", credential=credential)
        assert answer.status_code == 401
        check_page(answer)
        assert "This passkey was not accepted." in answer.text
    shown = check_page(await client.get("/account/sign-in"))
    assert shown.fields["username"]["autocomplete"] == "username webauthn"
    again = await client.get("/account/sign-in/passkey")
    assert again.headers["location"] == "/account/sign-in"


@pytest.mark.env(**AT_ONCE)
async def test_where_a_factor_is_required_it_is_added_while_signing_in_and_nothing_else_is_open(
    client: AsyncClient, server: Server, clock: TravellingClock
) -> None:
    account = await api.register(client)
    user = api.User(account["id"], account["username"], account["email"], api.PASSWORD, {})
    client.cookies.clear()
    visitor = Visitor(client)
    assert (await first_step(visitor, user)).headers["location"] == "/account/sign-in/enrol"
    assert (await client.get("/account/sign-in/step")).headers["location"] == "/account/sign-in/enrol"
    check_page(await client.get("/account/sign-in/enrol"))
    assert not await is_in(client)
    assert (await client.get("/account/security")).status_code == 303
    options = await client.post("/account/sign-in/passkey-options", json={}, headers=SAME_ORIGIN)
    assert options.json()["public_key"]["user"]["name"] == user.username
    app = app_of(await visitor.post("/account/sign-in/app"))
    wrong = await visitor.post("/account/sign-in/app-code", otp=app.wrong(clock()), secret=app.secret)
    assert app_of(wrong) == app
    refused = await visitor.post("/account/sign-in/enrol", credential="{}")
    assert (refused.status_code, "could not be added" in refused.text) == (400, True)
    done = await visitor.post("/account/sign-in/app-code", otp=app.code(clock()), secret=app.secret)
    assert done.headers["location"] == "/account/security?done=app-added"
    assert await is_in(client)
    assert "reached by" not in (await client.get("/account/security")).text
    again = await visitor.post("/account/sign-in/app-code", otp=app.code(clock(), 1), secret=app.secret)
    assert again.status_code == 401


@pytest.mark.env(MAGIC_LINK="true")
async def test_a_mailed_link_is_a_first_step_alone(client: AsyncClient, clock: TravellingClock, postman: Postman) -> None:
    who, visitor = await guarded(client, clock), Visitor(client)
    await visitor.post("/account/magic-link/send", email=who.user.email)
    await postman.deliver()
    token = token_in(postman.smtp.sent_to(who.user.email, "Sign in to your account")[-1])
    answer = await visitor.post("/account/magic-link", token=token, next="/account/sessions")
    assert answer.headers["location"] == "/account/sign-in/step?next=%2Faccount%2Fsessions"
    assert not await is_in(client)
    done = await second_step(visitor, clock, who, next="/account/sessions")
    assert done.headers["location"] == "/account/sessions"
    # A mail is no factor, so the code was the only one: what takes a fresh proof wants the password and a new code.
    shown = await client.get("/account/security")
    assert shown.headers["location"] == "/account/reauthenticate?next=/account/security"


@pytest.mark.env(**AT_ONCE)
async def test_signing_up_leads_on_to_the_factor_that_is_required(client: AsyncClient) -> None:
    answer = await Visitor(client).post("/account/sign-up", username="newcomer", email="n@example.com", password=api.PASSWORD)
    assert answer.headers["location"] == "/account/sign-in/enrol"


async def test_every_page_of_factors_is_whole_in_each_language(client: AsyncClient, clock: TravellingClock) -> None:
    who, visitor = await guarded(client, clock), Visitor(client)
    titles: dict[str, set[str]] = {}
    for locale in ("en", "de", "fr", "es"):
        client.headers["accept-language"] = locale
        await first_step(visitor, who.user)
        for name in ("sign-in/step", "sign-in/step?by=recovery"):
            shown = await client.get(f"/account/{name}")
            check_page(shown, lang=locale)
            titles.setdefault(name, set()).add(shown.text.partition("<h1>")[2].partition("</h1>")[0])
        assert (await second_step(visitor, clock, who)).status_code == 303
        clock.advance(STEP)
        for name in ("security", "reauthenticate", "reauthenticate?by=recovery"):
            shown = await client.get(f"/account/{name}")
            check_page(shown, lang=locale)
            titles.setdefault(name, set()).add(shown.text.partition("<h1>")[2].partition("</h1>")[0])
        client.cookies.clear()
    assert {name for name, found in titles.items() if len(found) < 4} == set()
