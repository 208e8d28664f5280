"""Files as other systems write them: each row becomes the person it was there."""

import json
from base64 import b64encode
from datetime import UTC, datetime
from hashlib import pbkdf2_hmac
from typing import Any

import bcrypt
import pytest
from httpx2 import AsyncClient

from app.core.server import Server
from app.mfa import carrying
from app.mfa.deps import MfaKit
from app.transfer.errors import BadFile
from app.transfer.forms import FORMS
from app.transfer.hashes import read_hash_config
from tests.mail.postman import rows_of
from tests.support import api
from tests.transfer.scene import CHEAP, bring
from tests.transfer.test_hashes import CONSOLE

ID = "3d2c6d6b-2b6b-4b6b-8b6b-2b6b2b6b2b6b"
OTHER = "4d2c6d6b-2b6b-4b6b-8b6b-2b6b2b6b2b6b"
TOTP = {"totp": {"secret": "JBSWY3DPEHPK3PXP"}}
WHEN = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


async def only(server: Server) -> dict[str, Any]:
    (row,) = await rows_of(server, "users")
    return row


def said(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


async def test_tables_of_fastapi_users(client: AsyncClient, server: Server) -> None:
    """As `psql \\copy` writes them, and as `sqlite3 -csv` does: with 1 and 0, and ids without hyphens."""
    table = (
        "id,email,hashed_password,is_active,is_superuser,is_verified\n"
        f"{ID},Anna.Muster@Example.com,{CHEAP},t,f,t\n"
        f"{OTHER.replace('-', '')},otto@example.com,{CHEAP},0,0,0\n"
        f"7,boss@example.com,{CHEAP},1,1,1\n"
    )
    brought = await bring(server, table, form="fastapi-users", kind=".csv")
    assert brought.numbers == (2, 0, 1)
    assert brought.refused == [(4, "role")]
    anna, otto = sorted(await rows_of(server, "users"), key=lambda row: row["email"])
    assert said(anna, "username", "email", "password_hash") == ("AnnaMuster", "Anna.Muster@example.com", CHEAP)
    assert str(anna["id"]).replace("-", "") == ID.replace("-", "")
    assert anna["email_verified_at"] is not None
    assert otto["email_verified_at"] is None
    assert otto["disabled_at"] is not None
    me = await client.get("/auth/me", headers=api.bearer(await api.login(client, "anna.muster@example.com")))
    assert me.json()["username"] == "AnnaMuster"
    assert (await bring(server, table, form="fastapi-users", kind=".csv", trusted=True)).numbers == (1, 2, 0)


async def test_the_table_of_the_full_stack_template(client: AsyncClient, server: Server) -> None:
    """Columns of release 0.10."""
    table = (
        "email,is_active,is_superuser,full_name,hashed_password,id,created_at\n"
        f"anna@example.com,t,f,Anna Muster,{CHEAP},{ID},2024-05-06 07:08:09+00\n"
        f"otto@example.com,t,f,,{CHEAP},{OTHER},\n"
    )
    assert (await bring(server, table, form="full-stack-template", kind=".csv")).numbers == (2, 0, 0)
    anna, otto = sorted(await rows_of(server, "users"), key=lambda row: row["email"])
    assert said(anna, "username", "display_name", "created_at") == ("anna", "Anna Muster", WHEN)
    assert (otto["display_name"], anna["email_verified_at"]) == (None, None)
    await api.login(client, "anna")


async def test_the_table_of_django(client: AsyncClient, server: Server) -> None:
    key = b64encode(pbkdf2_hmac("sha256", api.PASSWORD.encode(), b"salt", 1000)).decode()
    table = (
        "id,password,last_login,is_superuser,username,first_name,last_name,email,is_staff,is_active,date_joined\n"
        f"1,pbkdf2_sha256$1000$salt${key},2024-05-06 07:08:09.5+00,f,anna,Anna,Muster,anna@example.com,t,t,"
        "2024-05-06 07:08:09+00\n"
        "2,!unusable,,f,otto,,,otto@example.com,f,f,2024-05-06 07:08:09+00\n"
        "3,!unusable,,f,nomail,,,,f,t,2024-05-06 07:08:09+00\n"
        "4,md5$salt$abc,,f,old,,,old@example.com,f,t,2024-05-06 07:08:09+00\n"
        "5,!unusable,,f,anna.m+x,,,x@example.com,f,t,2024-05-06 07:08:09+00\n"
    )
    brought = await bring(server, table, form="django", kind=".csv")
    assert brought.refused == [(4, "email"), (5, "password_hash"), (6, "username")]
    anna, otto = sorted(await rows_of(server, "users"), key=lambda row: row["email"])
    assert said(anna, "username", "display_name", "created_at", "role") == ("anna", "Anna Muster", WHEN, "user")
    assert said(otto, "password_hash") == (None,)
    assert otto["disabled_at"] is not None
    await api.login(client, "anna")
    again = await bring(server, table, form="django", kind=".csv", derive=True, drop=True)
    assert again.numbers == (2, 2, 1)


def keycloak_user(**more: Any) -> dict[str, Any]:
    key = pbkdf2_hmac("sha512", api.PASSWORD.encode(), b"sixteen bytes ok", 1000, 64)
    secret = {"value": b64encode(key).decode(), "salt": b64encode(b"sixteen bytes ok").decode(), "additionalParameters": {}}
    data = {"hashIterations": 1000, "algorithm": "pbkdf2-sha512", "additionalParameters": {}}
    return {
        "id": ID,
        "createdTimestamp": int(WHEN.timestamp() * 1000),
        "username": "anna",
        "enabled": True,
        "emailVerified": True,
        "firstName": "Anna",
        "lastName": "Muster",
        "email": "anna@example.com",
        "credentials": [{"type": "password", "secretData": json.dumps(secret), "credentialData": json.dumps(data)}],
        "realmRoles": ["default-roles-x", "admin"],
        **more,
    }


def otp(value: str = "Xk3dUaBcD9eF2gH5iJ7k", **data: Any) -> dict[str, Any]:
    told = {"subType": "totp", "digits": 6, "counter": 0, "period": 30, "algorithm": "HmacSHA1", **data}
    return {"type": "otp", "secretData": json.dumps({"value": value}), "credentialData": json.dumps(told)}


async def test_what_usual_people_of_keycloak_have_bars_nobody(server: Server) -> None:
    (password,) = keycloak_user()["credentials"]
    history, codes = {**password, "type": "password-history"}, {"type": "recovery-authn-codes", "secretData": "{}"}
    people = [
        keycloak_user(id=ID, username="history", email="history@example.com", credentials=[password, history]),
        keycloak_user(id=OTHER, username="codes", email="codes@example.com", credentials=[password, otp(), codes]),
        keycloak_user(id=None, username="bare", email="bare@example.com", credentials=[password, codes]),
        keycloak_user(id=None, username="fresh", email="fresh@example.com", requiredActions=["UPDATE_PASSWORD"]),
    ]
    brought = await bring(server, json.dumps({"users": people}), form="keycloak", kind=".json")
    assert brought.refused == [(1, "credentials"), (1, "password_hash")]
    assert (await bring(server, json.dumps({"users": people}), form="keycloak", kind=".json", drop=True)).numbers == (2, 2, 0)
    found = {row["username"]: bool(row["password_hash"]) for row in await rows_of(server, "users")}
    assert found == {"history": True, "codes": True, "bare": True, "fresh": False}


async def test_a_table_of_django_without_a_password_in_a_cell_is_one_without(server: Server) -> None:
    table = f"username,email,password\nanna,anna@example.com,\notto,otto@example.com,bcrypt${CHEAP}\n"
    brought = await bring(server, table, form="django", kind=".csv")
    assert (brought.numbers, brought.counts.bare) == ((2, 0, 0), 1)


@pytest.mark.parametrize("form", ["fastapi-users", "full-stack-template", "django", "supabase"])
async def test_a_table_without_the_column_of_passwords_is_refused_at_once(server: Server, form: str) -> None:
    """Else everybody would come without one, and a second run change nothing."""
    with pytest.raises(BadFile, match="password"):
        await bring(server, f"id,username,email\n{ID},anna,anna@example.com\n", form=form, kind=".csv")
    assert await rows_of(server, "users") == []


async def test_a_realm_of_keycloak(client: AsyncClient, server: Server) -> None:
    service = {"id": ID, "username": "service-account-x", "serviceAccountClientId": "x"}
    anna = keycloak_user()
    bad = [
        {"username": "webauthn", "email": "w@example.com", "credentials": [{"type": "webauthn", "secretData": "{}"}]},
        {"username": "sha256", "email": "s@example.com", "credentials": [otp(algorithm="HmacSHA256")]},
        {"username": "eight", "email": "e@example.com", "credentials": [otp(digits=8)]},
        {"username": "hotp", "email": "h@example.com", "credentials": [otp(subType="hotp")]},
        {"username": "two", "email": "t@example.com", "credentials": [otp(), otp()]},
        {"username": "odd", "email": "o@example.com", "credentials": [{"type": "password", "secretData": "no"}]},
        {"username": "odder", "email": "o2@example.com", "credentials": "none"},
    ]
    realm = {"realm": "x", "roles": {"realm": [{"name": "users"}]}, "users": [service, anna, *bad], "clients": []}
    brought = await bring(server, json.dumps(realm), form="keycloak", kind=".json")
    assert brought.numbers == (1, 0, 1 + len(bad))
    row = await only(server)
    assert said(row, "username", "display_name", "created_at", "role") == ("anna", "Anna Muster", WHEN, "user")
    assert str(row["id"]).replace("-", "") == ID.replace("-", "")
    await api.login(client, "anna")
    rest = await bring(server, json.dumps({"users": bad[:5]}), form="keycloak", kind=".json", drop=True)
    assert rest.numbers == (5, 0, 0)


async def test_an_app_of_keycloak_shows_the_codes_that_it_showed_there(server: Server) -> None:
    for value, more, secret in (
        ("Xk3dUaBcD9eF2gH5iJ7k", {}, b"Xk3dUaBcD9eF2gH5iJ7k"),
        ("JBSWY3DPEHPK3PXP", {"secretEncoding": "BASE32"}, b"Hello!\xde\xad\xbe\xef"),
    ):
        name = f"app{len(secret)}"
        row = keycloak_user(id=None, username=name, email=f"{name}@example.com", credentials=[otp(value, **more)])
        assert (await bring(server, json.dumps([row]), form="keycloak", kind=".json")).numbers == (1, 0, 0)
        async with server.database.read() as db:
            ids = [each["id"] for each in await rows_of(server, "users") if each["username"] == name]
            found = await carrying.list_secrets(db, server.kit(MfaKit), ids)
        assert list(found.values()) == [secret]


async def test_exports_of_auth0(client: AsyncClient, server: Server) -> None:
    """The file that their support hands out has a user on each line; addresses may be among the identifiers alone."""
    rows: list[dict[str, Any]] = [
        {
            "_id": {"$oid": "5dea9f9c82dd7c0e76e4ec93"},
            "email_verified": True,
            "email": "anna@example.com",
            "passwordHash": CHEAP,
            "password_set_date": {"$date": "2024-05-06T07:08:09.000Z"},
            "tenant": "x",
            "connection": "Username-Password-Authentication",
            "_tmp_is_unique": True,
        },
        {
            "_id": {"$oid": "5dea9f9c82dd7c0e76e4ec94"},
            "username": "otto",
            "passwordHash": CHEAP,
            "identifiers": [{"type": "email", "value": "otto@example.com", "verified": True}],
            "blocked": True,
        },
        {"email": "sha@example.com", "username": "sha", "custom_password_hash": {"algorithm": "md5"}},
        {"email": "mfa@example.com", "username": "mfa", "mfa_factors": [{"totp": {"secret": "JBSWY3DPEHPK3PXP"}}]},
    ]
    brought = await bring(server, rows, form="auth0", derive=True)
    assert brought.refused == [(3, "password_hash")]
    found = {row["username"]: row for row in await rows_of(server, "users")}
    assert found["anna"]["password_changed_at"] == WHEN
    assert found["anna"]["email_verified_at"] is not None
    assert found["otto"]["email_verified_at"] is not None
    assert found["otto"]["disabled_at"] is not None
    assert len(await rows_of(server, "totp_factors")) == 1
    await api.login(client, "anna")


async def test_second_factors_of_auth0_are_never_lost_without_a_word(server: Server) -> None:
    rows: list[dict[str, Any]] = [
        {"email": "phone@example.com", "passwordHash": CHEAP, "mfa_factors": [{"phone": {"value": "+15551234"}}]},
        {"email": "mail@example.com", "passwordHash": CHEAP, "mfa_factors": [{"email": {"value": "x@example.com"}}]},
        {"email": "guard@example.com", "passwordHash": CHEAP, "multifactor": ["guardian"]},
        {"email": "app@example.com", "passwordHash": CHEAP, "multifactor": ["guardian"], "mfa_factors": [TOTP]},
        {"email": "both@example.com", "passwordHash": CHEAP, "mfa_factors": [TOTP, {"phone": {"value": "+15551234"}}]},
    ]
    brought = await bring(server, rows, form="auth0", derive=True)
    assert brought.refused == [(1, "mfa"), (2, "mfa"), (3, "mfa"), (5, "mfa")]
    assert (await bring(server, rows, form="auth0", derive=True, drop=True)).numbers == (4, 1, 0)
    assert len(await rows_of(server, "totp_factors")) == 2  # the app of who had both is kept


async def test_hashes_that_auth0_was_given_come_along_if_they_are_whole(client: AsyncClient, server: Server) -> None:
    custom: list[dict[str, Any]] = [
        {"algorithm": "bcrypt", "hash": {"value": CHEAP, "encoding": "utf8"}},
        {"algorithm": "bcrypt", "hash": {"value": CHEAP}, "password": {"encoding": "utf8"}},
        {"algorithm": "bcrypt", "hash": {"value": CHEAP}, "salt": {"value": "x", "position": "prefix"}},
        {"algorithm": "hmac", "hash": {"value": "x"}},
    ]
    rows = [{"email": f"anna{number}@example.com", "custom_password_hash": each} for number, each in enumerate(custom)]
    brought = await bring(server, rows, form="auth0", derive=True)
    assert brought.refused == [(3, "password_hash"), (4, "password_hash")]
    await api.login(client, "anna0")


async def test_an_export_of_firebase(client: AsyncClient, server: Server) -> None:
    sealed = "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
    user = {
        "localId": "9HzNrCJJMcGHgGDJ1qRq3Q",
        "email": "user1@example.com",
        "emailVerified": True,
        "passwordHash": sealed,
        "salt": "42xEC+ixf3L2lw==",
        "displayName": "User One",
        "createdAt": str(int(WHEN.timestamp() * 1000)),
        "lastSignedInAt": str(int(WHEN.timestamp() * 1000)),
        "disabled": False,
        "providerUserInfo": [],
    }
    others = [{"localId": "a", "phoneNumber": "+491"}, {"email": "sms@example.com", "mfaInfo": [{"phoneInfo": "+491"}]}]
    file = json.dumps({"users": [user, *others]})
    without = await bring(server, file, form="firebase", kind=".json")
    assert without.refused == [(1, "password_hash"), (1, "email"), (1, "mfa")]
    brought = await bring(server, file, form="firebase", kind=".json", firebase=read_hash_config(CONSOLE))
    assert brought.numbers == (1, 0, 2)
    row = await only(server)
    assert said(row, "username", "display_name", "created_at", "last_login_at") == ("user1", "User One", WHEN, WHEN)
    assert "jxspr8Ki0R" not in row["password_hash"]
    await api.login(client, "user1@example.com", "user1password")


async def test_the_table_of_supabase(client: AsyncClient, server: Server) -> None:
    table = (
        "id,email,encrypted_password,email_confirmed_at,created_at,last_sign_in_at,banned_until,deleted_at,totp_secret\n"
        f"{ID},anna@example.com,{CHEAP},2024-05-06 07:08:09+00,2024-05-06 07:08:09+00,,,,\n"
        f"{OTHER},otto@example.com,{CHEAP},,,,2999-01-01 00:00:00+00,,JBSWY3DPEHPK3PXP\n"
        f",free@example.com,,,,,2020-01-01 00:00:00+00,,\n"
        f",gone@example.com,,,,,,2020-01-01 00:00:00+00,\n"
    )
    brought = await bring(server, table, form="supabase", kind=".csv")
    assert brought.refused == [(5, "deleted_at")]
    found = {row["username"]: row for row in await rows_of(server, "users")}
    assert said(found["anna"], "email_verified_at", "created_at", "disabled_at") == (WHEN, WHEN, None)
    assert found["otto"]["disabled_at"] is not None
    assert said(found["free"], "disabled_at", "password_hash") == (None, None)
    assert len(await rows_of(server, "totp_factors")) == 1
    await api.login(client, "anna")


@pytest.mark.parametrize("form", [name for name in FORMS if name != "authkeep"])
async def test_odd_rows_of_each_are_refused_and_the_run_goes_on(server: Server, form: str) -> None:
    odd: list[dict[str, Any]] = [
        {},
        dict.fromkeys(("id", "email", "username", "password", "hashed_password", "credentials")),
        {name: [{}] for name in ("id", "email", "username", "password", "hashed_password", "credentials", "identifiers")},
        {name: {"a": 1} for name in ("email", "username", "password", "is_active", "enabled", "blocked", "disabled")},
        dict.fromkeys(("email", "username", "createdTimestamp", "createdAt", "banned_until", "created_at"), 10**30),
        {"email": "evil@example.com\r\nBcc: x", "username": "evil", "password": "!"},
        {"email": "evil@example.com", "username": "e\x00vil\n", "password": "\ud800"},
    ]
    good = {"email": "good@example.com", "username": "good", "password": "!"}
    kind = ".json" if ".json" in FORMS[form].kinds else ".jsonl"
    rows = [*odd[:-1], good, odd[-1]]
    content = json.dumps(rows) if kind == ".json" else "".join(json.dumps(row) + "\n" for row in rows)
    brought = await bring(server, content, form=form, kind=kind, derive=False)
    assert brought.counts.added + brought.counts.refused == len(rows)
    assert brought.counts.refused >= len(odd) - 1
    if FORMS[form].has_names:
        assert [row["username"] for row in await rows_of(server, "users")] == ["good"]


async def test_formulas_in_their_tables_are_refused(server: Server) -> None:
    table = f"email,full_name,hashed_password,is_active\nanna@example.com,=cmd(),{CHEAP},t\n+x@example.com,,{CHEAP},t\n"
    brought = await bring(server, table, form="full-stack-template", kind=".csv")
    assert brought.refused == [(2, "row"), (3, "row")]


@pytest.mark.parametrize(("form", "kind"), [("keycloak", ".csv"), ("django", ".json"), ("authkeep", ".json"), ("authkeep", "")])
async def test_a_file_of_another_kind_is_refused_at_once(server: Server, form: str, kind: str) -> None:
    with pytest.raises(BadFile):
        await bring(server, b"{}", form=form, kind=kind)


def test_the_cheap_hash_is_of_the_password() -> None:
    assert bcrypt.checkpw(api.PASSWORD.encode(), CHEAP.encode())
