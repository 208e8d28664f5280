"""/account/reset-password: a plain page that needs no script, says what is wrong by the field, and spends nothing by looking."""

import re
from html import unescape
from urllib.parse import quote

import pytest
from httpx2 import AsyncClient, Response

from app.core.server import Server
from tests.account.forms import Visitor, check_page
from tests.mail.postman import NEW_PASSWORD, Postman, rows_of
from tests.support import api

PAGE = "/account/reset-password"
FORM = "application/x-www-form-urlencoded"
HOSTILE = [
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    "{{7*7}}${7*7}{%print(1)%}",
    "javascript:alert(1)",
    "</form><form action=//evil.example>",
    "\u2028\u202e\ufeff",
    "%s%n{0.__class__}",
]

ODD_TOKENS = ["%00", "%ED%A0%80", "%FF%FE", "a" * 8000, "%0d%0aSet-Cookie:%20a=b", "a&token=b&token=c", "a;b", "%E2%80%A8"]
GOOD = b"token=%TOKEN%&new_password=quite+another+1!"
ODD_FORMS = [
    (FORM, b""),
    (FORM, b"token"),
    (FORM, b"token=%TOKEN%"),
    (FORM, b"token=%TOKEN%&new_password="),
    (FORM, b"token=%TOKEN%&new_password=nul%00inside+1!"),
    (FORM, b"token=%TOKEN%&new_password=lone%ED%A0%80half+1!"),
    (FORM, b"token=%TOKEN%&new_password=%FF%FE+bad+utf8!"),
    (FORM, b"token=%TOKEN%&new_password=\xff\xfe+raw+bytes!"),
    (FORM, b"token=%TOKEN%&new_password=" + b"long+1!" * 200),
    (FORM, b"&".join(b"a%d=b" % number for number in range(500))),
    ("application/json", b'{"token": "%TOKEN%", "new_password": "quite another 1!"}'),
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="token"\r\n\r\n%TOKEN%\r\n--x--\r\n'),
    ("text/plain", GOOD),
    ("", GOOD),
]


async def post(client: AsyncClient, token: str, password: str) -> Response:
    return await Visitor(client).post(PAGE, token=token, new_password=password)


@pytest.mark.asvs("V3.4.5", "V3.4.3", "V6.2.6", "V6.2.7")
async def test_the_page_holds_one_form_with_a_masked_password_field_and_nothing_from_elsewhere(client: AsyncClient) -> None:
    answer = await client.get(PAGE, params={"token": "abc"})
    assert answer.status_code == 200
    elements = check_page(answer)
    assert elements.named("form") == [{"method": "post", "action": PAGE}]
    assert set(elements.fields) == {"token", "new_password"}
    hidden, field = elements.fields["token"], elements.fields["new_password"]
    assert hidden == {"type": "hidden", "name": "token", "value": "abc"}
    assert (field["type"], field["autocomplete"], field["name"]) == ("password", "new-password", "new_password")
    assert "maxlength" not in field  # a browser would cut a pasted password short in silence
    assert [label["for"] for label in elements.named("label")] == [field["id"]]
    described = str(field["aria-describedby"]).split()
    assert set(described) <= {attributes.get("id") for _, attributes in elements.found}


@pytest.mark.asvs("V3.5.3")
async def test_looking_at_the_page_spends_nothing(postman: Postman, client: AsyncClient, server: Server) -> None:
    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    before = await rows_of(server, "tickets"), await rows_of(server, "users"), await rows_of(server, "audit_events")
    for method in ("GET", "GET", "HEAD", "OPTIONS"):
        answer = await client.request(method, PAGE, params={"token": token})
        assert answer.status_code in {200, 405}
    assert (await rows_of(server, "tickets"), await rows_of(server, "users"), await rows_of(server, "audit_events")) == before
    assert (await postman.reset(token)).status_code == 204


async def test_the_page_does_not_tell_a_good_link_from_a_bad_one_before_it_is_used(postman: Postman, client: AsyncClient) -> None:
    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    good, bad = [(await client.get(PAGE, params={"token": each})).text for each in (token, "A" * 64)]
    assert good.replace(token, "") == bad.replace("A" * 64, "")


async def test_the_form_sets_the_password_and_says_so(postman: Postman, client: AsyncClient) -> None:
    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    done = await post(client, token, NEW_PASSWORD)
    assert (done.status_code, done.headers["location"]) == (303, "/account/sign-in?done=password-reset")
    shown = await client.get(done.headers["location"])
    check_page(shown)
    assert "Your password was changed." in shown.text
    assert NEW_PASSWORD not in done.text
    assert token not in done.text
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 401
    assert (await api.login(client, user.username, NEW_PASSWORD))["access_token"]


async def test_a_weak_password_shows_why_by_the_field_and_the_form_can_be_sent_again(
    postman: Postman, client: AsyncClient
) -> None:
    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    refused = await post(client, token, "shor 1!")
    assert refused.status_code == 422
    elements = check_page(refused)
    hidden, field = elements.fields["token"], elements.fields["new_password"]
    assert hidden["value"] == token
    assert field["aria-invalid"] == "true"
    assert "value" not in field
    assert "shor 1!" not in refused.text
    (summary,) = [attributes for _, attributes in elements.found if attributes.get("role") == "alert"]
    assert (summary["tabindex"], "autofocus" in summary) == ("-1", True)  # a screen reader begins there
    assert "new_password-error" in str(field["aria-describedby"]).split()
    assert "8" in unescape(refused.text.partition('role="alert"')[2].partition("</div>")[0])
    assert (await post(client, token, NEW_PASSWORD)).status_code == 303


@pytest.mark.env(PASSWORD_POLICY="strict")
async def test_the_page_asks_for_what_the_strict_policy_asks_for(postman: Postman, client: AsyncClient) -> None:
    user = await api.new_user(client, "fifteen letters and more")
    token = await postman.fetch_token(user.email)
    refused = await post(client, token, "eleven 123!")
    assert refused.status_code == 422
    assert "15" in refused.text.partition('role="alert"')[2]
    assert (await post(client, token, "no special needed here")).status_code == 303


async def test_a_link_that_is_not_good_says_so(postman: Postman, client: AsyncClient) -> None:
    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    assert (await post(client, token, NEW_PASSWORD)).status_code == 303
    for bad in (token, "", "A" * 64, "A" * 5000):
        answer = await post(client, bad, "another thing 5!")
        assert answer.status_code == 400
        check_page(answer)
        assert "no longer works" in answer.text


@pytest.mark.asvs("V1.2.1", "V1.3.7", "V3.2.2")
async def test_whatever_stands_in_the_link_is_shown_as_text(client: AsyncClient) -> None:
    for hostile in HOSTILE:
        shown = await client.get(PAGE, params={"token": hostile})
        assert [field.get("value") for field in check_page(shown).fields.values()] == [hostile, None]
        refused = await post(client, hostile, "shor 1!")
        assert refused.status_code in {400, 422}
        assert len(check_page(refused).fields) in {0, 2}


@pytest.mark.asvs("V2.2.1")
async def test_a_link_with_odd_bytes_gets_a_page(client: AsyncClient) -> None:
    for raw in ODD_TOKENS:
        answer = await client.get(f"{PAGE}?token={raw}")
        assert answer.status_code == 200, raw
        check_page(answer)


@pytest.mark.asvs("V2.2.1")
async def test_a_form_of_another_kind_is_refused_on_the_page_and_spends_nothing(postman: Postman, client: AsyncClient) -> None:
    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    for content_type, body in ODD_FORMS:
        headers = {"Content-Type": content_type} if content_type else {}
        visitor = Visitor(client)
        content = body.replace(b"%TOKEN%", token.encode()) + b"&form_token=" + (await visitor.token()).encode()
        answer = await client.post(PAGE, content=content, headers=headers | visitor.headers)
        assert answer.status_code in {400, 403, 415, 422}, (content_type, body)
        check_page(answer)
    assert (await client.get("/auth/me", headers=user.headers)).status_code == 200
    assert (await postman.reset(token)).status_code == 204


@pytest.mark.env(RATE_LIMIT_ENABLED="true", RATE_LIMIT_RESET_PASSWORD="2/hour")
async def test_page_and_api_share_one_limit(client: AsyncClient, postman: Postman) -> None:
    assert (await post(client, "A" * 64, NEW_PASSWORD)).status_code == 400
    assert (await postman.reset("A" * 64)).status_code == 400
    answer = await post(client, "A" * 64, NEW_PASSWORD)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.env(EMAIL_FROM_NAME="Harbour <& Sons>")
async def test_the_page_carries_the_products_name(client: AsyncClient) -> None:
    answer = await client.get(PAGE)
    check_page(answer)
    assert "Harbour &lt;&amp; Sons&gt;" in answer.text


async def test_the_stylesheet_is_our_own(client: AsyncClient) -> None:
    links = check_page(await client.get(PAGE)).named("link")
    files = {link["rel"]: await client.get(str(link["href"])) for link in links}
    assert {rel: file.status_code for rel, file in files.items()} == {"icon": 200, "stylesheet": 200}
    sheet = files["stylesheet"]
    assert sheet.headers["content-type"].startswith("text/css")
    assert not re.search(r"url\(|@import", sheet.text)


async def test_a_link_in_a_mail_opens_the_page_with_its_token(postman: Postman, client: AsyncClient) -> None:
    user = await api.new_user(client)
    token = await postman.fetch_token(user.email)
    answer = await client.get(f"{PAGE}/?token={quote(token)}")
    assert check_page(answer).fields["token"]["value"] == token
