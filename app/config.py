"""Settings: flat environment names, one class a section; read once, at the edge.

Each name is read from the environment, else from `.env`; an empty value counts as unset. Secrets also have a `_FILE` twin
that names a file to read (as Docker and Kubernetes mount them).
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, quote, urlsplit

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
MIN_SECRET_BYTES = 32
FILE_TWINS = (
    "SECRET_KEY",
    "PASSWORD_RESET_TOKEN_SECRET",
    "DATABASE_URL",
    "REDIS_URL",
    "REDIS_PASSWORD",
    "SMTP_PASSWORD",
)
PLACEHOLDERS = re.compile(r"change.?(me|this|it)|your.?secret|placeholder|example|insecure|replace.?(me|this)", re.IGNORECASE)

MAILED_PAGES = {
    "PASSWORD_RESET_URL": "reset-password",
    "VERIFY_EMAIL_URL": "verify",
    "EMAIL_CHANGE_URL": "email-confirm",
    "EMAIL_UNDO_URL": "email-undo",
    "MAGIC_LINK_URL": "magic-link",
    "INVITATION_URL": "invitation",
    "END_SESSION_URL": "end-session",
}

Port = Annotated[int, Field(ge=1, le=65535)]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
RateLimit = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}/[1-9]?[0-9]{0,4}(second|minute|hour|day)$")]


class SettingsError(Exception):
    """The settings can't be used. The message is one line, names the setting and never its value."""


class SecretSettings(BaseModel):
    """Keys. Losing one invalidates what it signed; neither may be shared with another service."""

    SECRET_KEY: SecretStr = Field(description="signs tokens and derives every other key; 32 random bytes or more")
    PASSWORD_RESET_TOKEN_SECRET: SecretStr = Field(description="signs password-reset links; different from SECRET_KEY")


class ServerSettings(BaseModel):
    """Where the server listens and what the world calls it."""

    ENVIRONMENT: Literal["development", "production"] = Field(
        "production", description="development opens /docs and the dev mailbox; unset means production"
    )
    HOST: str = Field("127.0.0.1", min_length=1, max_length=255, description="address to listen on (`python -m app serve`)")
    PORT: Port = Field(8000, description="port to listen on (`python -m app serve`)")
    PUBLIC_URL: str = Field(
        "",
        description="base of every link and the token issuer; default http://localhost:PORT; http on loopback names only",
    )
    CORS_ORIGINS: tuple[str, ...] = Field(
        (), description="browser origins that may call the API, separated by commas; `*` is refused"
    )
    NEXT_ORIGINS: tuple[str, ...] = Field(
        (), description="origins that `next=` may lead to after sign-in, separated by commas; own paths always may"
    )
    TRUSTED_PROXIES: tuple[Network, ...] = Field(
        (), description="addresses or networks whose X-Forwarded-For is believed, separated by commas"
    )
    DOCS: Literal["auto", "on", "off"] = Field("auto", description="/docs, /redoc and /openapi.json; auto: off in production")
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least level that is logged")
    WORKER_IN_SERVER: bool = Field(True, description="run the job worker inside the server; false: `python -m app worker`")
    ADMIN_EMAIL: str = Field("admin@example.com", description="address of the first admin, made on an empty database")


class DatabaseSettings(BaseModel):
    """The truth: one SQLite file or PostgreSQL."""

    DATABASE_URL: SecretStr = Field(
        SecretStr("sqlite:///data/authkeep.db"), description="sqlite:///path, or postgresql://user:password@host/name"
    )
    MIGRATE_ON_START: bool = Field(True, description="migrate at start, under a lock; false: `python -m app migrate`")


class RedisSettings(BaseModel):
    """Redis is used if REDIS_URL or REDIS_HOST is set, whatever the database."""

    REDIS_URL: SecretStr | None = Field(None, description="redis:// or rediss:// (TLS); instead of the four below")
    REDIS_HOST: str | None = Field(None, description="host of Redis")
    REDIS_PORT: Port = Field(6379, description="port of Redis")
    REDIS_DB: int = Field(0, ge=0, le=999, description="database number in Redis")
    REDIS_PASSWORD: SecretStr | None = Field(None, description="password of Redis")


class MailSettings(BaseModel):
    """SMTP. Without SMTP_HOST, mails land in /dev/mailbox in development and stay queued in production."""

    SMTP_HOST: str | None = Field(None, description="host of the mail server")
    SMTP_PORT: Port = Field(587, description="port of the mail server")
    SMTP_USER: str | None = Field(None, description="user at the mail server")
    SMTP_PASSWORD: SecretStr | None = Field(None, description="password at the mail server")
    SMTP_TLS: Literal["starttls", "tls", "none"] = Field("starttls", description="how the connection is encrypted")
    EMAIL_FROM: str = Field("authkeep@localhost", description="sender's address; must be yours once SMTP_HOST is set")
    EMAIL_FROM_NAME: str = Field("Authkeep", min_length=1, max_length=100, description="sender's name")
    PASSWORD_RESET_URL: str = Field("", description="page that a reset mail links to; default PUBLIC_URL/account/reset-password")


class TokenSettings(BaseModel):
    """How long things stay good."""

    ACCESS_TOKEN_EXPIRE_MINUTES: int = Field(15, ge=1, le=1440, description="minutes an access token lives")
    REFRESH_TOKEN_EXPIRE_DAYS: int = Field(30, ge=1, le=400, description="days a session lives, however often refreshed")
    PASSWORD_RESET_EXPIRE_MINUTES: int = Field(15, ge=1, le=1440, description="minutes a reset link lives after sending")


class AccountSettings(BaseModel):
    """How people come by an account, and what they can do without a password."""

    REGISTRATION: Literal["open", "invite", "closed"] = Field(
        "open", description="who may register: anybody, people with an invitation, nobody"
    )
    EMAIL_VERIFICATION: Literal["optional", "required"] = Field(
        "optional", description="required: the account is made only when its mail address is proved"
    )
    EMAIL_VERIFICATION_EXPIRE_HOURS: int = Field(24, ge=1, le=168, description="hours a verification link lives after sending")
    EMAIL_CHANGE_EXPIRE_HOURS: int = Field(
        24, ge=1, le=168, description="hours the link to a new mail address lives after sending"
    )
    INVITATION_EXPIRE_DAYS: int = Field(7, ge=1, le=90, description="days an invitation lives")
    MAGIC_LINK: bool = Field(False, description="sign-in by a mailed link or code")
    MAGIC_LINK_EXPIRE_MINUTES: int = Field(10, ge=1, le=60, description="minutes a sign-in link lives after sending")
    GEOIP_FILE: str | None = Field(None, description="MaxMind database (.mmdb) that names the place of a session; none: no place")
    VERIFY_EMAIL_URL: str = Field("", description="page that verification mails link to; default PUBLIC_URL/account/verify")
    EMAIL_CHANGE_URL: str = Field(
        "", description="page that mails to a new address link to; default PUBLIC_URL/account/email-confirm"
    )
    EMAIL_UNDO_URL: str = Field("", description="page that undoes a change of address; default PUBLIC_URL/account/email-undo")
    MAGIC_LINK_URL: str = Field("", description="page that sign-in mails link to; default PUBLIC_URL/account/magic-link")
    INVITATION_URL: str = Field("", description="page that invitations link to; default PUBLIC_URL/account/invitation")
    END_SESSION_URL: str = Field(
        "", description="page by which a mail about a new device ends that session; default PUBLIC_URL/account/end-session"
    )


class BrandSettings(BaseModel):
    """What pages and mails look like."""

    PRODUCT_NAME: str = Field("", max_length=60, description="what pages and mails call your service; default EMAIL_FROM_NAME")
    BRAND_LOGO: str | None = Field(None, description="file of a logo (.svg, .png, .webp), shown on pages")
    BRAND_COLOR: str = Field("#3b5bdb", pattern=r"^#[0-9A-Fa-f]{6}$", description="colour of buttons and links, as #rrggbb")
    HOME_URL: str = Field("", description="where the logo leads; none: the profile page")
    TERMS_URL: str = Field("", description="terms of use, linked at the foot of pages")
    PRIVACY_URL: str = Field("", description="privacy notice, linked at the foot of pages")
    SUPPORT_URL: str = Field("", description="help for people, linked at the foot of pages and in mails")
    DEFAULT_LOCALE: Literal["en", "de", "fr", "es"] = Field(
        "en", description="language of people who chose none, where their browser names none of ours"
    )


class PasswordSettings(BaseModel):
    """What passwords must be and how they are kept."""

    PASSWORD_POLICY: Literal["standard", "strict"] = Field(
        "standard", description="standard: 8 characters, one special; strict: 15 characters, no composition rule (NIST)"
    )
    PASSWORD_HASH: Literal["bcrypt", "argon2id"] = Field(
        "bcrypt", description="scheme for new hashes; old ones are upgraded at login"
    )
    BCRYPT_ROUNDS: int = Field(12, ge=4, le=16, description="bcrypt cost (log2 of rounds); at least 10 in production")


class RateLimitSettings(BaseModel):
    """How often one address or account may ask: NUMBER/[N]second|minute|hour|day."""

    RATE_LIMIT_ENABLED: bool = Field(True, description="limits by client address; failed logins are slowed either way")
    RATE_LIMIT_LOGIN: RateLimit = Field("20/minute", description="logins by address")
    RATE_LIMIT_REGISTER: RateLimit = Field("60/hour", description="registrations by address")
    RATE_LIMIT_REFRESH: RateLimit = Field("600/minute", description="refreshes by address")
    RATE_LIMIT_FORGOT_PASSWORD: RateLimit = Field("10/hour", description="reset mails asked for by address")
    RATE_LIMIT_FORGOT_PASSWORD_ACCOUNT: RateLimit = Field(
        "3/hour", description="reset mails sent to one mail address; more are dropped in silence"
    )
    RATE_LIMIT_RESET_PASSWORD: RateLimit = Field("30/hour", description="reset links tried by address")
    RATE_LIMIT_CHANGE_PASSWORD: RateLimit = Field("30/hour", description="password changes tried by address")
    RATE_LIMIT_PASSWORD_VERDICT: RateLimit = Field("120/minute", description="verdicts on a password being typed, by address")
    RATE_LIMIT_REAUTHENTICATE: RateLimit = Field("30/hour", description="fresh proofs tried by address")
    RATE_LIMIT_VERIFY_EMAIL: RateLimit = Field("30/hour", description="verification links and codes tried by address")
    RATE_LIMIT_RESEND: RateLimit = Field("10/hour", description="verification mails asked for by address")
    RATE_LIMIT_RESEND_ACCOUNT: RateLimit = Field(
        "3/hour", description="verification mails sent to one mail address; more are dropped in silence"
    )
    RATE_LIMIT_CHANGE_EMAIL: RateLimit = Field("10/hour", description="changes of mail address asked for by address")
    RATE_LIMIT_CONFIRM_EMAIL: RateLimit = Field("30/hour", description="links of a change of mail address tried by address")
    RATE_LIMIT_MAGIC_LINK: RateLimit = Field("10/hour", description="sign-in mails asked for by address")
    RATE_LIMIT_MAGIC_LINK_ACCOUNT: RateLimit = Field(
        "3/hour", description="sign-in mails sent to one mail address; more are dropped in silence"
    )
    RATE_LIMIT_MAGIC_LINK_VERIFY: RateLimit = Field("30/hour", description="sign-in links and codes tried by address")
    RATE_LIMIT_INVITATION: RateLimit = Field("30/hour", description="invitations tried by address")
    RATE_LIMIT_END_SESSION: RateLimit = Field("30/hour", description="links that end a session tried by address")
    RATE_LIMIT_EXPORT: RateLimit = Field("10/hour", description="exports of one's own data by address")


class Settings(
    SecretSettings,
    ServerSettings,
    DatabaseSettings,
    RedisSettings,
    MailSettings,
    TokenSettings,
    AccountSettings,
    BrandSettings,
    PasswordSettings,
    RateLimitSettings,
):
    """Every setting, checked. Build it with `load_settings`."""

    model_config = ConfigDict(hide_input_in_errors=True, frozen=True)

    @field_validator("CORS_ORIGINS", "NEXT_ORIGINS", "TRUSTED_PROXIES", mode="before")
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

    @field_validator("SECRET_KEY", "PASSWORD_RESET_TOKEN_SECRET")
    @classmethod
    def _strong(cls, value: SecretStr) -> SecretStr:
        secret = value.get_secret_value()
        if len(secret.encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"is shorter than {MIN_SECRET_BYTES} bytes; {NEW_SECRET_HINT}")
        if PLACEHOLDERS.search(secret) or len(set(secret)) < 10:
            raise ValueError(f"is a placeholder, not a secret; {NEW_SECRET_HINT}")
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
        if self.ENVIRONMENT == "production" and self.BCRYPT_ROUNDS < 10:
            raise ValueError("BCRYPT_ROUNDS: below 10 in production")
        if self.REDIS_URL and self.REDIS_HOST:
            raise ValueError("REDIS_URL: set this or REDIS_HOST, not both")
        if self.SMTP_USER and self.SMTP_TLS == "none" and self.SMTP_HOST not in LOOPBACK_NAMES:
            raise ValueError("SMTP_TLS: none would send SMTP_PASSWORD in clear; use starttls or tls")
        return self

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
