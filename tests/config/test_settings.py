"""Every rule of the settings: what is refused, in one line that names the setting and never shows its value."""

import re
from pathlib import Path

import pytest

from app.config import FILE_TWINS, MAILED_PAGES, Settings, SettingsError, load_settings

CANARY = "canary7f3a"
GOOD = {
    "SECRET_KEY": "n3hW8xq0ZbPyT5rLk2vJ9dQmS7cUfA4e",
    "PASSWORD_RESET_TOKEN_SECRET": "B6tYg1RzXw8KpM4oHs0Vn5CjE9uLiD3q",
}


def load(env_file: Path | None = None, /, **values: str) -> Settings:
    return load_settings(GOOD | values, env_file=env_file)


def refusal(values: dict[str, str], env_file: Path | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(GOOD | values, env_file=env_file)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.__cause__ is None or CANARY not in str(caught.value)
    return message


BAD = [
    ("SECRET_KEY", ""),
    ("SECRET_KEY", CANARY),
    ("SECRET_KEY", CANARY + "x" * 21),
    ("SECRET_KEY", "a" * 64),
    ("SECRET_KEY", "abababababababababababababababababababab"),
    ("SECRET_KEY", f"change-me-{CANARY}-0123456789-abcdefghij"),
    ("SECRET_KEY", f"changeme{CANARY}0123456789abcdefghijklmn"),
    ("SECRET_KEY", f"your-secret-{CANARY}-0123456789abcdefgh"),
    ("SECRET_KEY", f"an-example-{CANARY}-0123456789abcdefghij"),
    *(("SECRET_KEY", f"PLACE{between}HOLDER-{CANARY}-0123456789abcdefg") for between in ("", "-", "_")),
    ("SECRET_KEY", f"replace_this_{CANARY}_0123456789abcdefgh"),
    ("SECRET_KEY", f"insecure-{CANARY}-0123456789abcdefghijkl"),
    ("PASSWORD_RESET_TOKEN_SECRET", ""),
    ("PASSWORD_RESET_TOKEN_SECRET", CANARY),
    ("PASSWORD_RESET_TOKEN_SECRET", GOOD["SECRET_KEY"]),
    ("AUDIT_SIGNING_KEY", CANARY),
    ("AUDIT_SIGNING_KEY", GOOD["SECRET_KEY"]),
    ("AUDIT_SIGNING_KEY", GOOD["PASSWORD_RESET_TOKEN_SECRET"]),
    ("AUDIT_TRUSTED_KEYS", CANARY),
    ("AUDIT_TRUSTED_KEYS", f"{'A' * 43},{CANARY}"),
    ("HEAD_SINKS", CANARY),
    ("HEAD_SINKS", "file:"),
    ("HEAD_SINKS", f"mail:{CANARY}"),
    ("HEAD_SINKS", f"stdout,stderr:{CANARY}"),
    ("HEAD_SINKS", f"webhook:{CANARY}"),
    ("HEAD_SINKS", "webhook:"),
    ("HEAD_SINKS", f"webhook:http://heads.example.com/{CANARY}"),
    ("HEAD_SINKS", f"webhook:https://user:{CANARY}@heads.example.com/"),
    ("HEAD_SINKS", f"webhook:https://heads.example.com/?{CANARY}"),
    ("AUDIT_HEAD_MINUTES", "0"),
    ("AUDIT_HEAD_MINUTES", "1441"),
    ("AUDIT_RETENTION_DAYS", "-1"),
    ("AUDIT_RETENTION_DAYS", "forever"),
    ("WEBHOOKS_LOOPBACK", CANARY),
    ("METRICS_PORT", CANARY),
    ("METRICS_PORT", "0"),
    ("METRICS_PORT", "65536"),
    ("METRICS_PORT", "9464-9463"),
    ("METRICS_PORT", "9464-9528"),
    ("METRICS_PORT", "65535-65536"),
    ("METRICS_PORT", "9464-"),
    ("METRICS_PORT", "8000"),
    ("METRICS_PORT", "7990-8010"),
    ("METRICS_PORT", "9464,9465"),
    ("METRICS_PORT", "9464-9465\n"),
    ("METRICS_PORT", "٩٤٦٤"),
    ("METRICS_HOST", CANARY * 30),
    ("METRICS_TOKEN", CANARY),
    ("METRICS_TOKEN", GOOD["SECRET_KEY"]),
    ("METRICS_TOKEN", f"spaces do not go {CANARY} into a header"),
    ("METRICS_TOKEN", f"n3hW8xq0ZbPyT5rLk2vJ9dQmS7c\r\nX: {CANARY}"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", CANARY),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", f"grpc://{CANARY}:4317"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", f"https://user:{CANARY}@collector.example.com"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", f"https://collector.example.com?key={CANARY}"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"file:///{CANARY}"),
    ("ENVIRONMENT", CANARY),
    ("ENVIRONMENT", "Production"),
    ("HOST", CANARY * 30),
    ("PORT", CANARY),
    ("PORT", "0"),
    ("PORT", "65536"),
    ("PORT", "-1"),
    ("PORT", "80.5"),
    ("PORT", "8" * 5000),
    ("PUBLIC_URL", CANARY),
    ("PUBLIC_URL", f"http://{CANARY}.example.com"),
    ("PUBLIC_URL", f"http://localhost.{CANARY}.example"),
    ("PUBLIC_URL", f"ftp://{CANARY}"),
    ("PUBLIC_URL", f"javascript:{CANARY}"),
    ("PUBLIC_URL", f"https://user:{CANARY}@auth.example.com"),
    ("PUBLIC_URL", f"https://auth.example.com?a={CANARY}"),
    ("PUBLIC_URL", f"https://auth.example.com#{CANARY}"),
    ("PUBLIC_URL", "https://"),
    ("PUBLIC_URL", f"https://[{CANARY}"),
    ("PUBLIC_URL", f"https://auth.example.com:{CANARY}"),
    ("PASSWORD_RESET_URL", f"http://{CANARY}.example.com/reset"),
    ("PASSWORD_RESET_URL", f"https://app.example.com/?x={CANARY}"),
    ("CORS_ORIGINS", "*"),
    ("CORS_ORIGINS", f"https://{CANARY}.example.com/"),
    ("CORS_ORIGINS", f"https://{CANARY}.example.com/path"),
    ("CORS_ORIGINS", f"https://*.{CANARY}.example.com"),
    ("CORS_ORIGINS", f"https://good.example.com, {CANARY}"),
    ("CORS_ORIGINS", "null"),
    ("CORS_ORIGINS", f"file://{CANARY}"),
    ("TRUSTED_PROXIES", CANARY),
    ("TRUSTED_PROXIES", f"10.0.0.1, {CANARY}"),
    ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ("TRUSTED_PROXIES", "*"),
    ("DOCS", CANARY),
    ("LOG_LEVEL", CANARY),
    ("WORKER_IN_SERVER", CANARY),
    ("MIGRATE_ON_START", CANARY),
    ("RATE_LIMIT_ENABLED", CANARY),
    ("ADMIN_EMAIL", CANARY),
    ("EMAIL_FROM", CANARY),
    ("EMAIL_FROM", f"{CANARY}@example.com\nBcc: x@example.com"),
    ("EMAIL_FROM", f"{CANARY} <a@example.com>"),
    ("EMAIL_FROM_NAME", f"{CANARY}\r\nBcc: x@example.com"),
    ("EMAIL_FROM_NAME", CANARY * 20),
    ("DATABASE_URL", CANARY),
    ("DATABASE_URL", f"mysql://root:{CANARY}@localhost/x"),
    ("DATABASE_URL", f"postgresql+asyncpg://root:{CANARY}@localhost/x"),
    ("DATABASE_URL", f"postgresql://root:{CANARY}@localhost"),
    ("DATABASE_URL", f"postgresql://root:{CANARY}@localhost:notaport/x"),
    ("DATABASE_URL", "sqlite://"),
    ("DATABASE_URL", "sqlite:///:memory:"),
    ("DATABASE_URL", f"sqlite:///{CANARY}.db?mode=memory"),
    ("DATABASE_URL", f"://{CANARY}"),
    ("REDIS_URL", CANARY),
    ("REDIS_URL", f"http://:{CANARY}@localhost"),
    ("REDIS_PORT", CANARY),
    ("REDIS_DB", CANARY),
    ("REDIS_DB", "-1"),
    ("SMTP_PORT", CANARY),
    ("SMTP_TLS", CANARY),
    ("ACCESS_TOKEN_EXPIRE_MINUTES", CANARY),
    ("ACCESS_TOKEN_EXPIRE_MINUTES", "0"),
    ("ACCESS_TOKEN_EXPIRE_MINUTES", "1441"),
    ("REFRESH_TOKEN_EXPIRE_DAYS", "0"),
    ("REFRESH_TOKEN_EXPIRE_DAYS", "401"),
    ("PASSWORD_RESET_EXPIRE_MINUTES", "0"),
    ("REGISTRATION", CANARY),
    ("EMAIL_VERIFICATION", CANARY),
    ("EMAIL_VERIFICATION_EXPIRE_HOURS", "0"),
    ("EMAIL_CHANGE_EXPIRE_HOURS", "169"),
    ("INVITATION_EXPIRE_DAYS", "91"),
    ("MFA", CANARY),
    ("RP_ID", CANARY.upper()),
    ("RP_ID", f"https://{CANARY}.example.com"),
    ("RP_ID", f"{CANARY}.example.com"),
    ("PASSKEY_ORIGINS", "*"),
    ("PASSKEY_ORIGINS", CANARY),
    ("PASSKEY_ORIGINS", f"http://{CANARY}.example.com"),
    ("PASSKEY_ORIGINS", f"https://{CANARY}.example.com/"),
    ("PASSKEY_ORIGINS", f"android:apk-key-hash:{CANARY}"),
    ("MFA_GRACE_DAYS", "91"),
    ("MAGIC_LINK", CANARY),
    ("IMPERSONATION_MAIL", CANARY),
    ("MAGIC_LINK_EXPIRE_MINUTES", "61"),
    *[(name, f"http://{CANARY}.example.com/page") for name in MAILED_PAGES],
    ("NEXT_ORIGINS", "*"),
    ("NEXT_ORIGINS", f"https://{CANARY}.example.com/path"),
    ("PRODUCT_NAME", f"{CANARY}\nX"),
    ("PRODUCT_NAME", CANARY * 20),
    ("BRAND_COLOR", CANARY),
    ("BRAND_COLOR", "red"),
    ("HOME_URL", f"javascript:{CANARY}"),
    ("TERMS_URL", f"javascript:{CANARY}"),
    ("PRIVACY_URL", f"//{CANARY}"),
    ("SUPPORT_URL", f"javascript:{CANARY}"),
    ("SUPPORT_URL", f"mailto:{CANARY}"),
    ("SUPPORT_URL", f"mailto:{CANARY}@example.com\nBcc: x@example.com"),
    ("DEFAULT_LOCALE", CANARY),
    ("PASSWORD_POLICY", CANARY),
    ("PASSWORD_HASH", CANARY),
    ("BCRYPT_ROUNDS", "3"),
    ("BCRYPT_ROUNDS", "17"),
    ("BCRYPT_ROUNDS", "9"),  # in production
    *[
        (name, value)
        for name in Settings.model_fields
        if name.startswith("RATE_LIMIT_") and name != "RATE_LIMIT_ENABLED"
        for value in (CANARY, "0/minute", "10", "10/fortnight", "-1/minute", "10 per minute")
    ],
]


@pytest.mark.asvs("V13.2.3", "V13.3.1")
@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{name}={value[:24]}" for name, value in BAD])
def test_a_bad_value_is_refused_by_name_and_not_shown(name: str, value: str) -> None:
    message = refusal({name: value})
    assert message.startswith(f"{name}: "), message
    assert CANARY not in message
    if len(value) > 9:  # `sqlite://` is part of the advice
        assert value not in message
    assert len(message) < 250


def test_every_setting_has_a_refusal_of_its_own_or_takes_any_text() -> None:
    free = {
        "BRAND_LOGO",
        "GEOIP_FILE",
        "REDIS_HOST",
        "REDIS_PASSWORD",
        "SMTP_HOST",
        "SMTP_USER",
        "SMTP_PASSWORD",
        "RATE_LIMIT_ENABLED",
    }
    assert {name for name, _ in BAD} | free == set(Settings.model_fields)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"REDIS_URL": f"redis://:{CANARY}@localhost", "REDIS_HOST": CANARY}, "REDIS_URL"),
        ({"SMTP_HOST": "mail.example.com", "SMTP_USER": "me", "SMTP_PASSWORD": CANARY, "SMTP_TLS": "none"}, "SMTP_TLS"),
        ({"ENVIRONMENT": "production", "BCRYPT_ROUNDS": "4"}, "BCRYPT_ROUNDS"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values: dict[str, str], named: str) -> None:
    message = refusal(values)
    assert message.startswith(f"{named}: ")
    assert CANARY not in message


def test_what_is_missing_is_named_and_how_to_make_it() -> None:
    for name in GOOD:
        with pytest.raises(SettingsError) as caught:
            load_settings({key: value for key, value in GOOD.items() if key != name}, env_file=None)
        assert re.fullmatch(rf"{name}: is not set; .*app init.*", str(caught.value))


def test_passkeys_belong_to_a_domain_above_every_origin_that_may_use_them() -> None:
    home = {"PUBLIC_URL": "https://auth.example.com"}
    app = {"PASSKEY_ORIGINS": "https://auth.example.com, https://app.example.com, android:apk-key-hash:" + "a" * 43}
    assert load(**home).rp_id == "auth.example.com"
    assert load(**home, RP_ID="example.com", **app).rp_id == "example.com"
    for bad in (
        {"RP_ID": "com"},
        {"RP_ID": "th.example.com"},
        {"RP_ID": "example.org"},
        {"RP_ID": "login.auth.example.com"},
        app,
    ):
        assert refusal(home | bad).startswith("RP_ID: ")
    assert refusal({"RP_ID": "host"}).startswith("RP_ID: ")
    assert load(RP_ID="localhost").rp_id == "localhost"


def test_the_defaults_are_those_of_production() -> None:
    settings = load()
    assert settings.ENVIRONMENT == "production"
    assert not settings.is_development
    assert not settings.docs_open
    assert settings.public_url == "http://localhost:8000"
    assert settings.page_url("PASSWORD_RESET_URL") == "http://localhost:8000/account/reset-password"
    assert settings.DATABASE_URL.get_secret_value() == "sqlite:///data/authkeep.db"
    assert settings.redis_url is None
    assert (settings.HOST, settings.PORT, settings.BCRYPT_ROUNDS, settings.PASSWORD_HASH) == ("127.0.0.1", 8000, 12, "bcrypt")
    assert (settings.ACCESS_TOKEN_EXPIRE_MINUTES, settings.REFRESH_TOKEN_EXPIRE_DAYS) == (15, 30)
    assert (settings.RATE_LIMIT_ENABLED, settings.MIGRATE_ON_START, settings.WORKER_IN_SERVER) == (True, True, True)
    assert (settings.CORS_ORIGINS, settings.TRUSTED_PROXIES) == ((), ())


def test_an_empty_value_counts_as_unset() -> None:
    empty = dict.fromkeys(Settings.model_fields, "") | GOOD
    assert load_settings(empty, env_file=None) == load()


def test_values_are_read_as_they_are_meant() -> None:
    settings = load(
        CORS_ORIGINS="https://a.example.com, http://localhost:3000 ,",
        TRUSTED_PROXIES="10.0.0.0/8,::1",
        PUBLIC_URL="https://auth.example.com/base/",
        RATE_LIMIT_ENABLED="false",
        REDIS_HOST="::1",
        REDIS_PASSWORD="a/b@c",
        REDIS_DB="3",
    )
    assert settings.CORS_ORIGINS == ("https://a.example.com", "http://localhost:3000")
    assert [str(network) for network in settings.TRUSTED_PROXIES] == ["10.0.0.0/8", "::1/128"]
    assert settings.public_url == "https://auth.example.com/base"
    assert settings.page_url("PASSWORD_RESET_URL") == "https://auth.example.com/base/account/reset-password"
    assert settings.is_https
    assert settings.RATE_LIMIT_ENABLED is False
    assert settings.redis_url == "redis://:a%2Fb%40c@[::1]:6379/3"


@pytest.mark.parametrize(
    "url", ["http://localhost:9", "http://127.0.0.1", "http://[::1]:8000", "https://auth.example.com:8443/x"]
)
def test_web_addresses_that_are_fine(url: str) -> None:
    assert load(PUBLIC_URL=url).public_url == url


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("sqlite:///data/a.db", "sqlite+aiosqlite:///data/a.db"),
        ("sqlite:////var/lib/a.db", "sqlite+aiosqlite:////var/lib/a.db"),
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql://u:p@h:5/d", "postgresql+psycopg://u:p@h:5/d"),
        ("postgresql+psycopg://u@h/d?sslmode=require", "postgresql+psycopg://u@h/d?sslmode=require"),
    ],
)
def test_database_urls_that_are_fine(given: str, used: str) -> None:
    assert load(DATABASE_URL=given).database_url == used


# .env


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=1111\nEMAIL_FROM_NAME='From file'\nHOST=\n# PORT=3\nUNKNOWN=x\n")
    settings = load(file, PORT="2222", EMAIL_FROM_NAME="")
    assert (settings.PORT, settings.EMAIL_FROM_NAME, settings.HOST) == (2222, "From file", "127.0.0.1")


def test_a_file_that_is_not_there_is_no_fault_and_one_that_cant_be_read_is(tmp_path: Path) -> None:
    assert load(tmp_path / "nowhere") == load()
    file = tmp_path / ".env"
    file.write_bytes(b"PORT=\xff\xfe" + CANARY.encode())
    message = refusal({}, file)
    assert "can't be read" in message
    assert CANARY not in message


def test_a_dollar_in_a_file_is_not_expanded_into_another_secret(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("SMTP_PASSWORD='pa$$word ${SECRET_KEY}'\n")
    settings = load(file)
    assert settings.SMTP_PASSWORD is not None
    assert GOOD["SECRET_KEY"] not in settings.SMTP_PASSWORD.get_secret_value()


# _FILE twins


@pytest.mark.asvs("V13.3.1")
@pytest.mark.parametrize("name", FILE_TWINS)
def test_a_secret_can_come_from_a_file(name: str, tmp_path: Path) -> None:
    values = {
        "SECRET_KEY": "Zq8m4Xw1Tn7Rc5Vb9Ly3Ks6Hd2Jf0GpA",
        "PASSWORD_RESET_TOKEN_SECRET": "aU3eW6iB9oN2sM5tD8gF1hC4jK7lQ0vR",
        "DATABASE_URL": "postgresql://u:p@h/d",
        "REDIS_URL": "redis://:p@h/1",
    }
    values["AUDIT_SIGNING_KEY"] = values["SECRET_KEY"][::-1]
    values["METRICS_TOKEN"] = values["PASSWORD_RESET_TOKEN_SECRET"][::-1]
    secret = values.get(name, "pass word")
    file = tmp_path / "secret"
    file.write_text(f"{secret}\n")
    given = {key: value for key, value in GOOD.items() if key != name} | {f"{name}_FILE": str(file)}
    settings = load_settings(given, env_file=None)
    assert getattr(settings, name).get_secret_value() == secret


def test_every_secret_setting_has_its_file_twin() -> None:
    secrets = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert secrets == set(FILE_TWINS)


@pytest.mark.parametrize("name", FILE_TWINS)
def test_a_value_and_its_file_together_are_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(CANARY)
    message = refusal({name: GOOD["SECRET_KEY"], f"{name}_FILE": str(file)})
    assert message.startswith(f"{name}: ")
    assert CANARY not in message


@pytest.mark.parametrize("name", FILE_TWINS)
def test_a_file_that_cant_be_used_is_named_by_its_setting(name: str, tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe" + CANARY.encode())
    for path in (tmp_path / f"nowhere-{CANARY}", tmp_path, binary):
        given = {key: value for key, value in GOOD.items() if key != name} | {f"{name}_FILE": str(path)}
        with pytest.raises(SettingsError) as caught:
            load_settings(given, env_file=None)
        assert str(caught.value).startswith(f"{name}_FILE: ")
        assert CANARY not in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.asvs("V16.2.5")
def test_settings_show_no_secret_when_printed() -> None:
    settings = load(SMTP_PASSWORD=CANARY, REDIS_URL=f"redis://:{CANARY}@h", DATABASE_URL=f"postgresql://u:{CANARY}@h/d")
    shown = f"{settings!r} {settings} {settings.model_dump()}"
    assert CANARY not in shown
    assert GOOD["SECRET_KEY"] not in shown
