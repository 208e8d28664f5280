"""What ASVS asks to have written down is written down, with the numbers that are in the code."""

import re
from datetime import timedelta

import pytest

from app.audit.facts import Fact
from app.auth import repository, service, sessions
from app.auth.hashing import QUEUE_PER_THREAD
from app.auth.password_rules import MAX_LENGTH, MIN_LENGTH, PasswordPolicy
from app.config import Settings
from app.core.edge import DEADLINE_SECONDS
from app.core.paging import MAX_LIMIT
from app.main import MAX_BODY_BYTES
from app.tickets.service import KEPT_AFTER_EXPIRY
from tests.asvs.source import APP
from tests.support.processes import ROOT

SECURITY = (ROOT / "docs" / "security.md").read_text()
API = (ROOT / "docs" / "api.md").read_text()
AUDIT = (ROOT / "docs" / "audit.md").read_text()


def section(text: str, title: str) -> str:
    found = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    assert found, title
    return found


def rows(text: str) -> list[list[str]]:
    """The cells of every table row but the heads."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in lines if not set("".join(line)) <= set("- |")]


def default(name: str) -> object:
    return Settings.model_fields[name].default


@pytest.mark.asvs("V2.1.1")
def test_the_form_of_every_field_is_documented() -> None:
    text = section(API, "Fields")
    told = {name.strip() for row in rows(text) for name in row[0].split(",")}
    assert {"username", "email", "new_password", "limit", "cursor", "q", "device"} <= told
    assert "3 to 32" in text
    assert f"1 to {MAX_LIMIT}" in text
    assert f"at most {MAX_LENGTH}" in text


@pytest.mark.asvs("V2.1.2")
def test_which_fields_must_agree_is_documented() -> None:
    text = section(API, "Fields").partition("must agree")[2]
    for rule in ("`username` or `email`, not both", "password is not the username", "reset token belongs", "cursor belongs"):
        assert rule in " ".join(text.split())


@pytest.mark.asvs("V2.1.3")
def test_every_quota_is_documented_with_its_default_and_setting() -> None:
    table = rows(section(SECURITY, "Quotas"))
    told = {row[3]: row[2] for row in table if row[3].startswith("RATE_LIMIT")}
    there = {
        name: default(name) for name in Settings.model_fields if name.startswith("RATE_LIMIT_") and name != "RATE_LIMIT_ENABLED"
    }
    assert told == there
    values = {row[0]: row[2] for row in table}
    assert values["size of a body"] == f"{MAX_BODY_BYTES // 1024} KiB"
    assert values["items of a page"] == str(MAX_LIMIT)
    assert values["time"] == "5 seconds"
    assert 3 < DEADLINE_SECONDS <= 5


@pytest.mark.asvs("V6.1.1")
def test_the_answer_to_guessing_is_documented_with_its_numbers() -> None:
    text = section(SECURITY, "Failed logins, waits and the stop")
    table = rows(section(SECURITY, "Quotas"))
    assert [row[2] for row in table if row[0] == "failures in a row"] == [str(repository.FREE_FAILURES), str(service.STOP_AT)]
    assert f"{service.STOP_AT} failures in a row" in text
    assert repository.MOST_WAIT_SECONDS == 15 * 60
    assert "up to 15 minutes" in text
    assert timedelta(days=180) == sessions.DEVICE_LIFE
    assert "180 days" in text
    assert timedelta(days=1) == service.LANE_KEPT
    assert timedelta(days=30) == service.STOP_KEPT
    assert "30 days without a try" in text
    assert "a day without a try" in text
    assert "nobody can lock an owner out for good" in text


@pytest.mark.asvs("V6.1.2")
def test_the_words_a_password_must_not_be_are_documented() -> None:
    text = " ".join(section(SECURITY, "Passwords").split())
    for word in ("the username", "the address", "its local part", "its domain", "EMAIL_FROM_NAME"):
        assert word in text


@pytest.mark.asvs("V6.1.3")
def test_every_way_to_authenticate_is_documented() -> None:
    told = {row[0] for row in rows(section(SECURITY, "Ways to authenticate"))}
    assert {"password", "refresh token", "reset link", "known device", "command line"} <= told


def test_the_password_policy_is_documented_with_its_deviation() -> None:
    text = section(SECURITY, "Passwords")
    table = {row[0]: row[1:] for row in rows(text)}
    assert table["at least"] == [
        f"{MIN_LENGTH[policy]} characters" for policy in (PasswordPolicy.STANDARD, PasswordPolicy.STRICT)
    ]
    assert table["at most"] == [f"{MAX_LENGTH} characters"] * 2
    assert "**Deviation.**" in text
    assert f"cost {default('BCRYPT_ROUNDS')} (BCRYPT_ROUNDS" in text


@pytest.mark.asvs("V7.1.1", "V7.1.2")
def test_the_limits_of_sessions_are_documented() -> None:
    table = {row[0]: row[1] for row in rows(section(SECURITY, "Sessions"))}
    assert table["absolute life, from the login"] == f"{default('REFRESH_TOKEN_EXPIRE_DAYS')} days"
    assert table["access token"] == f"{default('ACCESS_TOKEN_EXPIRE_MINUTES')} minutes"
    assert table["idle limit"] == "none"
    assert table["grace for a repeated refresh"].startswith(f"{sessions.GRACE.total_seconds():.0f} seconds")
    assert table["sessions at the same time"].startswith("no limit")
    assert "idle for weeks" in section(SECURITY, "Sessions")


@pytest.mark.asvs("V8.1.1", "V8.1.2")
def test_who_may_call_and_set_what_is_documented() -> None:
    text = section(API, "Who may call what")
    assert {"anyone", "signed in", "admin"} <= {row[0] for row in rows(text)}
    for field in ("`role`", "`active`", "`email_verified`", "`username`"):
        assert field in text


@pytest.mark.asvs("V11.1.1", "V11.1.2")
def test_every_key_is_documented() -> None:
    text = section(SECURITY, "Keys")
    told = {name.strip() for row in rows(text) for name in row[0].split(",")}
    source = "".join(path.read_text() for path in APP.rglob("*.py"))
    labels = set(re.findall(r"derive_key\((?:[^()]|\([^()]*\))*?\"([a-z-]+)\"", source))
    assert {"cursor", "refresh-token", "password-pre-hash", "password-reset"} <= labels
    assert labels - {"password-reset"} <= told  # that one is told of as the setting it is made from
    assert {"SECRET_KEY", "PASSWORD_RESET_TOKEN_SECRET"} <= told
    for word in ("**Made**", "**Stored**", "**Changed**", "**Destroyed**"):
        assert word in text


@pytest.mark.asvs("V13.1.1")
def test_every_connection_is_documented() -> None:
    told = {row[0] for row in rows(section(SECURITY, "Connections"))}
    assert {"PostgreSQL", "Redis", "SMTP"} <= told


@pytest.mark.asvs("V14.1.1", "V14.1.2")
def test_every_class_of_data_is_documented_with_its_protection() -> None:
    table = rows(section(SECURITY, "Data"))
    told = " ".join(row[0] for row in table)
    for word in ("passwords", "tokens", "reset links", "device", "mail addresses", "user agents", "claims", "audit"):
        assert word in told
    assert all(row[2] for row in table)
    assert timedelta(days=7) == KEPT_AFTER_EXPIRY
    assert "7 days longer" in section(SECURITY, "Data")


@pytest.mark.asvs("V15.1.1")
def test_how_soon_a_dependency_is_mended_is_documented() -> None:
    text = section((ROOT / "SECURITY.md").read_text(), "Dependencies")
    assert re.search(r"critical within \d+ days, high within \d+", text)


@pytest.mark.asvs("V15.1.3")
def test_expensive_functions_are_documented() -> None:
    text = section(SECURITY, "Quotas")
    assert "**Expensive functions.**" in text
    assert QUEUE_PER_THREAD == 8
    assert "eight waiting for each" in text


@pytest.mark.asvs("V16.1.1")
def test_every_log_is_documented() -> None:
    table = rows(section(AUDIT, "Inventory and retention"))
    assert {"application and access log", "audit log", "sessions"} <= {row[0] for row in table}
    assert all(all(row) for row in table)
    assert all(f"`{fact}`" in AUDIT for fact in Fact)
