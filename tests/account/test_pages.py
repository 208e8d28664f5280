"""The pages without a browser: what each holds, who sees it, where it leads, what it refuses."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.account.notices import NOTICES
from app.core import faults
from app.core.errors import AppError
from app.core.server import Server
from tests.account.forms import ORIGIN, Elements, Visitor, check_page
from tests.mail.postman import rows_of
from tests.support import api
from tests.support.apps import client_of
from tests.support.clock import TravellingClock
from tests.support.smtp import SmtpServer, text_of

OPEN = ["sign-in", "sign-up", "sign-out", "forgot", "reset-password", "verify", "verify-again", "email-confirm", "email-undo"]
OWN = ["", "password", "email", "sessions", "leave"]
LINKS = ["verify?token=abc", "end-session?token=abc", "invitation?token=abc", "nowhere", "sessions/x"]


async def test_every_page_is_whole_in_each_language(client: AsyncClient) -> None:
    user = await api.new_user(client)
    seen: dict[str, set[str]] = {}
    for locale in ("en", "de", "fr", "es"):
        client.headers["accept-language"] = f"{locale}-XX;q=0.9, zz, en;q=0.1"
        for name in [*OPEN, *LINKS]:
            answer = await client.get(f"/account/{name}")
            assert answer.status_code in {200, 400, 404}, name
            elements = check_page(answer, lang=locale)
            assert elements.named("main")
            seen.setdefault(name, set()).add(answer.text.partition("<h1>")[2].partition("</h1>")[0])
        await Visitor(client).sign_in(user.username, user.password)
        for name in OWN:
            answer = await client.get(f"/account/{name}")
            assert answer.status_code == 200
            check_page(answer, lang=locale)
            seen.setdefault(name, set()).add(answer.text.partition("<h1>")[2].partition("</h1>")[0])
        client.cookies.clear()
    same = {name for name, titles in seen.items() if len(titles) < 3}  # "Profil" is German and French
    assert same == set()


@pytest.mark.env(REGISTRATION="closed")
async def test_where_nobody_gets_an_account_the_page_sends_nobody_for_an_invitation(client: AsyncClient) -> None:
    answer = await client.get("/account/sign-up")
    assert (answer.status_code, "New accounts can&#39;t be made here" in answer.text) == (403, True)
    assert "invitation" not in answer.text


async def test_an_error_speaks_the_persons_language_too(client: AsyncClient) -> None:
    user = await api.new_user(client)
    visitor = Visitor(client)
    await visitor.sign_in(user.username, user.password)
    assert (await visitor.post("/account/", username=user.username, locale="fr")).status_code == 303
    client.headers["accept-language"] = "de"
    dead = await client.get("/account/verify?token=abc")
    unknown = await visitor.post("/account/sessions", which="nothing")
    for answer, status in ((dead, 400), (unknown, 404)):
        assert answer.status_code == status
        check_page(answer, lang="fr")


async def test_pages_of_ones_own_lead_to_the_sign_in_and_back(client: AsyncClient) -> None:
    user = await api.new_user(client)
    for name in OWN:
        answer = await client.get(f"/account/{name}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/account/sign-in?next=/account/{name}")
    answer = await Visitor(client).post(
        "/account/sign-in", username=user.username, password=user.password, next="/account/sessions"
    )
    assert answer.headers["location"] == "/account/sessions"
    shown = await client.get("/account/sign-in?next=/account/password")
    assert (shown.status_code, shown.headers["location"]) == (303, "/account/password")  # who is signed in need not


@pytest.mark.env(NEXT_ORIGINS="https://app.example.com")
async def test_next_leads_to_listed_origins_and_nowhere_else(client: AsyncClient) -> None:
    user = await api.new_user(client)
    for wanted, led in {
        "https://app.example.com/inbox?a=b": "https://app.example.com/inbox?a=b",
        "https://evil.example/": "/account/",
        "//evil.example/": "/account/",
        "/\\evil.example": "/account/",
        "javascript:alert(1)": "/account/",
        "https://app.example.com.evil.example/": "/account/",
    }.items():
        client.cookies.clear()
        shown = await client.get("/account/sign-in", params={"next": wanted})
        policy = shown.headers["content-security-policy"]
        assert ("https://app.example.com" in policy) == (led != "/account/")  # a browser asks it about the redirect, too
        assert "evil" not in policy
        answer = await Visitor(client).post("/account/sign-in", username=user.username, password=user.password, next=wanted)
        assert answer.headers["location"] == led


@pytest.mark.asvs("V3.5.1")
async def test_no_form_is_taken_without_its_token_its_cookie_and_its_origin(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    visitor = Visitor(client)
    await visitor.sign_in(user.username, user.password)
    token = await visitor.token()
    before = await rows_of(server, "users"), await rows_of(server, "sessions")
    same = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
    posted = {
        "": {"username": "changed"},
        "password": {"current_password": user.password, "new_password": "another one 1!"},
        "email": {"new_email": "changed@example.com"},
        "sessions": {"which": "all"},
        "leave": {"sure": "yes"},
        "sign-out": {},
        "reauthenticate": {"password": user.password},
    }
    for name, fields in posted.items():
        for headers, given in (
            (same, ""),
            (same, token[:-2] + "xx"),
            ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, token),
            ({"Origin": "https://evil.example"}, token),
            ({"Sec-Fetch-Site": "same-site"}, token),
            ({}, token),
        ):
            answer = await client.post(f"/account/{name}", data={**fields, "form_token": given}, headers=headers)
            assert answer.status_code == 403, (name, headers, given)
            check_page(answer)
    after = await rows_of(server, "users"), await rows_of(server, "sessions")
    assert after == before
    for name, fields in posted.items():
        if name != "leave":
            answer = await client.post(f"/account/{name}", data={"form_token": token, **fields}, headers=same)
            assert answer.status_code in {303, 422}, name
        token = await visitor.token()


async def test_a_form_token_is_good_for_one_browser_and_one_session(app: FastAPI, client: AsyncClient) -> None:
    user = await api.new_user(client)
    visitor = Visitor(client)
    stranger = await visitor.token()
    async with client_of(app) as other:
        answer = await other.post(
            "/account/sign-in",
            data={"form_token": stranger, "username": user.username, "password": user.password},
            headers=visitor.headers,
        )
        assert answer.status_code == 403
    await visitor.sign_in(user.username, user.password)
    answer = await client.post("/account/sign-out", data={"form_token": stranger}, headers=visitor.headers)
    assert answer.status_code == 403  # it was shown before somebody signed in


async def test_refusals_say_what_is_wrong_and_keep_what_was_typed_but_no_secret(client: AsyncClient) -> None:
    user = await api.new_user(client)
    visitor = Visitor(client)
    typed = {"username": user.username, "email": "new@example.com", "password": "quite another 1!"}
    taken = await visitor.post("/account/sign-up", **typed)
    assert taken.status_code == 409
    elements = check_page(taken)
    assert elements.fields["username"]["value"] == user.username
    assert elements.fields["username"]["aria-invalid"] == "true"
    assert "username-error" in str(elements.fields["username"]["aria-describedby"])
    assert "quite another" not in taken.text
    wrong = await visitor.post("/account/sign-in", username=user.username, password="wrong one 1!")
    assert wrong.status_code == 401
    assert "wrong one" not in wrong.text
    unknown = await visitor.post("/account/sign-in", username=user.username[:-1] + "0", password="wrong one 1!")
    assert unknown.text.replace(user.username[:-1] + "0", user.username) == wrong.text


async def test_a_verdict_is_the_servers_own_and_needs_the_forms_token(client: AsyncClient) -> None:
    visitor = Visitor(client)
    body = {"form_token": await visitor.token(), "password": "Password1!", "username": "alice", "email": ""}

    async def level(**more: str) -> int:
        answer = await client.post("/account/password-verdict", json={**body, **more}, headers=visitor.headers)
        assert answer.status_code == 200, answer.text
        level: int = answer.json()["level"]
        return level

    assert await level() == 0
    assert await level(password="Alice1!!") == 0
    assert await level(password="blue kettle") == 1
    assert await level(password="aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!") == 1
    assert await level(password="seven green kettles, humming") == 3
    refused = await client.post("/account/password-verdict", json={**body, "form_token": "x"}, headers=visitor.headers)
    assert refused.status_code == 403
    elsewhere = await client.post("/account/password-verdict", json=body, headers={"Origin": "https://evil.example"})
    assert elsewhere.status_code == 403


@pytest.mark.env(RATE_LIMIT_ENABLED="true", RATE_LIMIT_LOGIN="3/hour")
async def test_pages_share_the_limits_of_their_routes(client: AsyncClient) -> None:
    visitor = Visitor(client)
    for _ in range(2):
        assert (await visitor.post("/account/sign-in", username="nobody", password="wrong one 1!")).status_code == 401
    login = {"username": "nobody", "password": "wrong one 1!"}
    assert (await client.post("/auth/login", json=login)).status_code == 401
    answer = await visitor.post("/account/sign-in", username="nobody", password="wrong one 1!")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    check_page(answer)


async def test_asking_about_unknown_addresses_is_answered_alike(client: AsyncClient) -> None:
    user = await api.new_user(client)
    visitor = Visitor(client)
    for path in ("/account/forgot", "/account/verify-again"):
        known, unknown = [await visitor.post(path, email=email) for email in (user.email, "nobody@example.com")]
        assert (known.status_code, known.headers["location"], known.content) == (
            303,
            unknown.headers["location"],
            unknown.content,
        )


async def test_what_needs_a_fresh_proof_leads_to_it_and_back(client: AsyncClient, clock: TravellingClock) -> None:
    user = await api.new_user(client)
    visitor = Visitor(client)
    await visitor.sign_in(user.username, user.password)
    assert (await client.get("/account/email")).status_code == 200
    clock.advance(seconds=601)
    for name in ("email", "leave", "export"):
        answer = await client.get(f"/account/{name}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/account/reauthenticate?next=/account/{name}")
    before = client.cookies["authkeep"]
    answer = await visitor.post("/account/reauthenticate", password=user.password, next="/account/leave")
    assert answer.headers["location"] == "/account/leave"
    assert client.cookies["authkeep"] != before
    assert (await client.get("/account/leave")).status_code == 200


async def test_the_own_data_is_handed_out_to_no_link_of_another_site(client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    await Visitor(client).sign_in(user.username, user.password)
    refused = await client.get("/account/export", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})
    assert (refused.status_code, refused.headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert "user.data.exported" not in {row["fact"] for row in await rows_of(server, "audit_events")}
    for site in ("same-origin", "none"):  # the control: our own link, and a bookmark
        assert (await client.get("/account/export", headers={"Sec-Fetch-Site": site})).status_code == 200


async def test_links_are_looked_at_without_being_spent(
    client: AsyncClient, server: Server, smtp: SmtpServer, clock: TravellingClock, work: Callable[[], Awaitable[int]]
) -> None:
    user = await api.new_user(client)
    clock.advance(seconds=3)
    await work()
    text = text_of(await smtp.wait_for_async(user.email, 1, "Confirm your mail address"))
    token = text.partition("?token=")[2].split()[0]
    for _ in range(3):
        shown = await client.get("/account/verify", params={"token": token})
        assert user.username in shown.text
        assert check_page(shown).fields["token"]["value"] == token
    assert {row["spent_at"] for row in await rows_of(server, "tickets")} == {None}
    assert (await Visitor(client).post("/account/verify", token=token)).status_code == 303
    again = await Visitor(client).post("/account/verify", token=token)
    assert again.status_code == 400
    assert "no longer works" in again.text


async def test_password_managers_find_the_page_for_changes(client: AsyncClient) -> None:
    user = await api.new_user(client)
    await Visitor(client).sign_in(user.username, user.password)
    answer = await client.get("/.well-known/change-password")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account/password")
    fields = Elements((await client.get("/account/password")).text).fields
    kinds = {name: each.get("autocomplete") for name, each in fields.items() if name != "which"}
    assert kinds == {"username": "username", "current_password": "current-password", "new_password": "new-password"}
    client.cookies.clear()
    sign_up = Elements((await client.get("/account/sign-up")).text).fields
    assert [sign_up[name]["autocomplete"] for name in ("username", "email", "password")] == ["username", "email", "new-password"]


async def test_without_the_setting_there_is_no_sign_in_by_mail(client: AsyncClient) -> None:
    assert (await client.get("/account/magic-link")).status_code == 404
    assert "magic-link" not in (await client.get("/account/sign-in")).text


async def test_an_invented_notice_says_nothing(client: AsyncClient) -> None:
    plain, invented = [(await client.get(f"/account/sign-in{query}")).text for query in ("", "?done=your-account-is-hacked")]
    assert plain == invented
    for word in NOTICES:
        shown = await client.get("/account/sign-in", params={"done": word})
        assert 'class="notice"' in shown.text


async def test_every_refusal_has_words_of_its_own() -> None:
    def below(kind: type[AppError]) -> set[type[AppError]]:
        return {kind}.union(*(below(each) for each in kind.__subclasses__()))

    codes = {kind.code for kind in below(AppError) if kind.__module__.startswith("app.")} - {"error", "sign_in_needed"}
    assert codes - faults.REFUSALS.keys() == set()


@pytest.mark.env(
    PRODUCT_NAME="Harbour & Sons",
    BRAND_COLOR="#FFDD00",
    HOME_URL="https://example.com",
    SUPPORT_URL="mailto:help@example.com",
    TERMS_URL="https://example.com/terms",
)
async def test_the_brand_is_on_every_page(client: AsyncClient) -> None:
    shown = await client.get("/account/sign-in")
    assert "Harbour &amp; Sons" in shown.text
    for link in ("https://example.com", "mailto:help@example.com", "https://example.com/terms"):
        assert f'href="{link}"' in shown.text
    css = (await client.get("/static/brand.css")).text
    assert "--brand: #ffdd00" in css
    assert "--on-brand: #000000" in css


@pytest.fixture
def logo(tmp_path: Path, env: dict[str, str]) -> Path:
    """A logo that would do harm, were it a page of ours."""
    path = tmp_path / "logo.svg"
    path.write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    env["BRAND_LOGO"] = str(path)
    return path


async def test_a_logo_is_a_picture_and_nothing_more(logo: Path, client: AsyncClient) -> None:
    shown = await client.get("/account/sign-in")
    (image,) = Elements(shown.text).named("img")
    answer = await client.get(str(image["src"]))
    assert answer.content == logo.read_bytes()
    assert answer.headers["content-type"] == "image/svg+xml"
    policy = answer.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "script-src" not in policy
    assert "immutable" in answer.headers["cache-control"]
