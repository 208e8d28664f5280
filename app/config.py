"""Settings: flat environment names, read once, at the edge; `app/sections.py` lists them.

Each name is read from the environment, else from `.env`; an empty value counts as unset. Secrets also have a `_FILE` twin
that names a file to read (as Docker and Kubernetes mount them).
"""

import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, quote, urlsplit

from dotenv import dotenv_values
from pydantic import ConfigDict, SecretStr, ValidationError, field_validator, model_validator
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.sections import (
    AccountSettings,
    AuditSettings,
    BrandSettings,
    DatabaseSettings,
    MailSettings,
    MetricsSettings,
    PasskeySettings,
    PasswordSettings,
    RateLimitSettings,
    RedisSettings,
    SecretSettings,
    ServerSettings,
    TokenSettings,
    WebhookSettings,
)

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
MIN_SECRET_BYTES = 32
FILE_TWINS = (
    "SECRET_KEY",
    "PASSWORD_RESET_TOKEN_SECRET",
    "AUDIT_SIGNING_KEY",
    "DATABASE_URL",
    "REDIS_URL",
    "REDIS_PASSWORD",
    "SMTP_PASSWORD",
    "METRICS_TOKEN",
)
SAMPLE_WORDS = re.compile(r"change.?(me|this|it)|your.?secret|place.?holder|example|insecure|replace.?(me|this)", re.IGNORECASE)
ANDROID_APP = re.compile(r"android:apk-key-hash:[A-Za-z0-9_-]{43}")
PUBLIC_KEY = re.compile(r"[A-Za-z0-9_-]{43}")  # 32 bytes, base64url

MAILED_PAGES = {
    "PASSWORD_RESET_URL": "reset-password",
    "VERIFY_EMAIL_URL": "verify",
    "EMAIL_CHANGE_URL": "email-confirm",
    "EMAIL_UNDO_URL": "email-undo",
    "MAGIC_LINK_URL": "magic-link",
    "INVITATION_URL": "invitation",
    "END_SESSION_URL": "end-session",
}


class SettingsError(Exception):
    """The settings can't be used. The message is one line, names the setting and never its value."""


class Settings(
    SecretSettings,
    ServerSettings,
    DatabaseSettings,
    RedisSettings,
    MailSettings,
    TokenSettings,
    AccountSettings,
    PasskeySettings,
    BrandSettings,
    PasswordSettings,
    AuditSettings,
    WebhookSettings,
    MetricsSettings,
    RateLimitSettings,
):
    """Every setting, checked. Build it with `load_settings`."""

    model_config = ConfigDict(hide_input_in_errors=True, frozen=True)

    @field_validator(
        "CORS_ORIGINS",
        "NEXT_ORIGINS",
        "PASSKEY_ORIGINS",
        "TRUSTED_PROXIES",
        "HEAD_SINKS",
        "AUDIT_TRUSTED_KEYS",
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("CORS_ORIGINS", "NEXT_ORIGINS")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = _split_url(origin)
            if origin != f"{parts.scheme}://{parts.netloc}" or parts.scheme not in {"http", "https"} or "*" in origin:
                raise ValueError("each must be a whole origin such as https://app.example.com, without path or `*`")
        return value

    @field_validator("PASSKEY_ORIGINS")
    @classmethod
    def _passkey_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not ANDROID_APP.fullmatch(origin) and cls._web_url(*cls._origins((origin,))) != origin:
                raise ValueError("each must be a whole origin such as https://app.example.com")
        return value

    @field_validator("HEAD_SINKS")
    @classmethod
    def _sinks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for sink in value:
            kind, _, where = sink.partition(":")
            if kind == "mail":
                cls._address(where)
            elif kind == "webhook" and where:
                cls._web_url(where)
            elif sink != "stdout" and not (kind == "file" and where):
                raise ValueError("each must be file:/path, stdout, mail:address or webhook:https://…")
        return value

    @field_validator("AUDIT_TRUSTED_KEYS")
    @classmethod
    def _public_keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for key in value:
            if not PUBLIC_KEY.fullmatch(key):
                raise ValueError("each must be a public key as `python -m app audit key` prints it")
        return value

    @field_validator("SECRET_KEY", "PASSWORD_RESET_TOKEN_SECRET", "AUDIT_SIGNING_KEY", "METRICS_TOKEN")
    @classmethod
    def _strong(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        secret = value.get_secret_value()
        if len(secret.encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"is shorter than {MIN_SECRET_BYTES} bytes; {NEW_SECRET_HINT}")
        if SAMPLE_WORDS.search(secret) or len(set(secret)) < 10:
            raise ValueError(f"is a sample value, not a secret; {NEW_SECRET_HINT}")
        return value

    @field_validator("DATABASE_URL")
    @classmethod
    def _database(cls, value: SecretStr) -> SecretStr:
        database_url(value.get_secret_value())
        return value

    @field_validator("REDIS_URL")
    @classmethod
    def _redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value and urlsplit(value.get_secret_value()).scheme not in {"redis", "rediss"}:
            raise ValueError("must begin with redis:// or rediss://")
        return value

    @field_validator("PUBLIC_URL", "HOME_URL", "TERMS_URL", "PRIVACY_URL", *MAILED_PAGES)
    @classmethod
    def _web_url(cls, value: str) -> str:
        if not value:
            return value
        parts = _split_url(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
            raise ValueError("must be a web address such as https://auth.example.com, without query or credentials")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK_NAMES:
            raise ValueError("must be https (http is for localhost, 127.0.0.1 and [::1] alone)")
        return value.rstrip("/")

    @field_validator("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    @classmethod
    def _collector(cls, value: str) -> str:
        if not value:
            return value
        parts = _split_url(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
            raise ValueError("must be a web address such as http://127.0.0.1:4318, without query or credentials")
        return value.rstrip("/")

    @field_validator("EMAIL_FROM", "ADMIN_EMAIL")
    @classmethod
    def _address(cls, value: str) -> str:
        if not re.fullmatch(r"[^\s@<>\"]{1,64}@[^\s@<>\"]{1,255}", value):
            raise ValueError("must be a mail address")
        return value

    @field_validator("SUPPORT_URL")
    @classmethod
    def _support(cls, value: str) -> str:
        if value.startswith("mailto:"):
            return f"mailto:{cls._address(value.removeprefix('mailto:'))}"
        return cls._web_url(value)

    @field_validator("EMAIL_FROM_NAME", "PRODUCT_NAME")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("must be one printable line")
        return value

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.SECRET_KEY == self.PASSWORD_RESET_TOKEN_SECRET:
            raise ValueError("PASSWORD_RESET_TOKEN_SECRET: equals SECRET_KEY; they must differ")
        if self.AUDIT_SIGNING_KEY in {self.SECRET_KEY, self.PASSWORD_RESET_TOKEN_SECRET}:
            raise ValueError("AUDIT_SIGNING_KEY: equals another secret; they must differ")
        if self.METRICS_TOKEN in {self.SECRET_KEY, self.PASSWORD_RESET_TOKEN_SECRET, self.AUDIT_SIGNING_KEY} - {None}:
            raise ValueError("METRICS_TOKEN: equals another secret; they must differ")
        if self.PORT in self.metrics_ports:
            raise ValueError("METRICS_PORT: holds PORT, which is for people")
        if self.traces_to and not (find_spec("opentelemetry.sdk") and find_spec("opentelemetry.exporter")):
            raise ValueError(
                "OTEL_EXPORTER_OTLP_ENDPOINT: OpenTelemetry is not installed; `pip install -r requirements-otel.txt`"
            )
        if self.ENVIRONMENT == "production" and self.BCRYPT_ROUNDS < 10:
            raise ValueError("BCRYPT_ROUNDS: below 10 in production")
        hosts = {_split_url(url).hostname for url in self.PASSKEY_ORIGINS or (self.public_url,) if not ANDROID_APP.fullmatch(url)}
        if not all(_belongs(host or "", self.rp_id) for host in hosts):
            raise ValueError("RP_ID: must be the host of every passkey origin, or a domain above it such as example.com")
        if self.REDIS_URL and self.REDIS_HOST:
            raise ValueError("REDIS_URL: set this or REDIS_HOST, not both")
        if self.SMTP_USER and self.SMTP_TLS == "none" and self.SMTP_HOST not in LOOPBACK_NAMES:
            raise ValueError("SMTP_TLS: none would send SMTP_PASSWORD in clear; use starttls or tls")
        return self

    @property
    def audit_secret(self) -> str:
        """What the audit log's keys are derived from."""
        return (self.AUDIT_SIGNING_KEY or self.SECRET_KEY).get_secret_value()

    @property
    def is_development(self) -> bool:
        """Whether conveniences for people at their own machine are open."""
        return self.ENVIRONMENT == "development"

    @property
    def docs_open(self) -> bool:
        """Whether /docs, /redoc and /openapi.json answer."""
        return self.DOCS == "on" or (self.DOCS == "auto" and self.is_development)

    @property
    def public_url(self) -> str:
        """Base of every link, without a slash at the end."""
        return self.PUBLIC_URL or f"http://localhost:{self.PORT}"

    @property
    def rp_id(self) -> str:
        """The domain that passkeys belong to (WebAuthn Level 3 section 5.1.2)."""
        return self.RP_ID or _split_url(self.public_url).hostname or ""

    @property
    def is_https(self) -> bool:
        """Whether browsers reach this server by TLS (HSTS, Secure cookies)."""
        return self.public_url.startswith("https://")

    @property
    def product_name(self) -> str:
        """What pages and mails call the service."""
        return self.PRODUCT_NAME or self.EMAIL_FROM_NAME

    def page_url(self, name: str) -> str:
        """Page that mails link to, by its setting's name: one of `MAILED_PAGES`."""
        given: str = getattr(self, name)
        return given or f"{self.public_url}/account/{MAILED_PAGES[name]}"

    @property
    def database_url(self) -> str:
        """The database, as SQLAlchemy writes it, with the driver named."""
        return database_url(self.DATABASE_URL.get_secret_value()).render_as_string(hide_password=False)

    @property
    def redis_url(self) -> str | None:
        """The Redis to use, or None where none is configured."""
        if self.REDIS_URL:
            return self.REDIS_URL.get_secret_value()
        if not self.REDIS_HOST:
            return None
        login = f":{quote(self.REDIS_PASSWORD.get_secret_value(), safe='')}@" if self.REDIS_PASSWORD else ""
        host = f"[{self.REDIS_HOST}]" if ":" in self.REDIS_HOST else self.REDIS_HOST
        return f"redis://{login}{host}:{self.REDIS_PORT}/{self.REDIS_DB}"

    @property
    def mail_configured(self) -> bool:
        """Whether mails have somewhere to go."""
        return self.SMTP_HOST is not None or self.is_development


NEW_SECRET_HINT = "make one with `python -m app init`, or `openssl rand -base64 48`"  # noqa: S105 -- advice


def _split_url(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # whose own words quote the value
        raise ValueError("is not a web address") from None
    if port == 0:
        raise ValueError("has a port that can't be")
    return parts


def _belongs(host: str, domain: str) -> bool:
    """Whether a page of the host may use passkeys of the domain; one without a dot is whole (`localhost`)."""
    return host == domain or ("." in domain and host.endswith(f".{domain}"))


def database_url(raw: str) -> URL:
    """The URL with our driver in it.

    Raises:
        ValueError: it can't be parsed, or names a database that is not supported.
    """
    try:
        url = make_url(raw)
    except (ArgumentError, ValueError) as error:
        raise ValueError("is not a database URL such as sqlite:///data/authkeep.db or postgresql://user@host/name") from error
    dialect = url.drivername.partition("+")[0]
    if dialect in {"postgres", "postgresql"} and url.drivername in {"postgres", "postgresql", "postgresql+psycopg"}:
        if not url.database:
            raise ValueError("names no database: postgresql://user:password@host/NAME")
        return url.set(drivername="postgresql+psycopg")
    if url.drivername in {"sqlite", "sqlite+aiosqlite"}:
        if not url.database or url.database == ":memory:" or url.query:
            raise ValueError("must name a plain file: sqlite:///data/authkeep.db (in memory, nothing would be kept)")
        return url.set(drivername="sqlite+aiosqlite")
    raise ValueError("must begin with sqlite:/// or postgresql://")


def load_settings(environ: Mapping[str, str] | None = None, env_file: str | Path | None = ".env") -> Settings:
    """The settings from `environ` (default: the process's) and, below it, `env_file`.

    Raises:
        SettingsError: one is missing, weak or unparsable.
    """
    try:
        from_file = dotenv_values(env_file) if env_file else {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{env_file}: can't be read ({type(error).__name__})") from error
    merged = _given(from_file) | _given(os.environ if environ is None else environ)
    _read_file_twins(merged)
    try:
        return Settings.model_validate({name: merged[name] for name in Settings.model_fields if name in merged})
    except ValidationError as error:
        raise SettingsError(_one_line(error)) from None


def _given(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _read_file_twins(values: dict[str, str]) -> None:
    for name in FILE_TWINS:
        path = values.pop(f"{name}_FILE", None)
        if path is None:
            continue
        if name in values:
            raise SettingsError(f"{name}: set it or {name}_FILE, not both")
        try:
            values[name] = Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{name}_FILE: the file can't be read ({type(error).__name__})") from error


def _one_line(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    name = str(first["loc"][0])
    if first["type"] == "missing":
        return f"{name}: is not set; {NEW_SECRET_HINT}"
    return f"{name}: {message[0].lower()}{message[1:]}"
