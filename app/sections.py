"""The settings themselves: names, types, defaults, purposes; one class a section. `app/config.py` reads and checks them."""

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr, field_validator

MOST_WORKERS = 64  # of one `serve`
Port = Annotated[int, Field(ge=1, le=65535)]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
RateLimit = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}/[1-9]?[0-9]{0,4}(second|minute|hour|day)$")]


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
    MFA: Literal["optional", "admins", "required"] = Field(
        "optional", description="who must have a second factor; admins: all staff"
    )
    MFA_GRACE_DAYS: int = Field(
        7, ge=0, le=90, description="days from the first sign-in under MFA within which a second factor can be added"
    )
    IMPERSONATION_MAIL: bool = Field(True, description="people are told by mail when somebody of the staff acts as them")
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


class PasskeySettings(BaseModel):
    """Who we are to passkeys. Another RP_ID later makes every passkey useless."""

    RP_ID: str = Field(
        "", pattern=r"^[a-z0-9:.-]{0,253}$", description="domain that passkeys belong to; default the host of PUBLIC_URL"
    )
    PASSKEY_ORIGINS: tuple[str, ...] = Field(
        (),
        description="origins whose pages, and apps (android:apk-key-hash:…), may use passkeys, separated by commas;"
        " default the origin of PUBLIC_URL",
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


class AuditSettings(BaseModel):
    """The audit log: how it is signed, where signed heads are kept, how long rows stay."""

    AUDIT_SIGNING_KEY: SecretStr | None = Field(
        None, description="secret that the audit log is marked and signed with, 32 random bytes or more; none: from SECRET_KEY"
    )
    AUDIT_TRUSTED_KEYS: tuple[str, ...] = Field(
        (), description="public keys that signed heads before the present one, separated by commas (`python -m app audit key`)"
    )
    HEAD_SINKS: tuple[str, ...] = Field(
        (),
        description="where signed heads of the audit log go, separated by commas: file:/path, stdout, mail:address, webhook:https://…;"
        " out of reach of whoever owns the database",
    )
    AUDIT_HEAD_MINUTES: int = Field(5, ge=1, le=1440, description="minutes between signed heads, while there is something new")
    AUDIT_RETENTION_DAYS: int = Field(0, ge=0, le=36500, description="days that rows of the audit log stay; 0: for ever")


class WebhookSettings(BaseModel):
    """Where webhooks may lead."""

    WEBHOOKS_LOOPBACK: bool = Field(
        False, description="webhooks may call this machine itself, and by http; for tests, and receivers beside the server"
    )


class MetricsSettings(BaseModel):
    """Numbers for Prometheus, traces for OpenTelemetry; neither unless one of these is set."""

    METRICS_PORT: str = Field(
        "",
        pattern=r"^([1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?)?$",
        description="port of /metrics; one a process: with several workers a range such as 9464-9467",
    )
    METRICS_HOST: str = Field("127.0.0.1", min_length=1, max_length=255, description="address that METRICS_PORT listens on")
    METRICS_TOKEN: SecretStr | None = Field(
        None,
        description="bearer token that /metrics asks for, 32 random bytes or more; without METRICS_PORT it is served on PORT",
    )
    OTEL_EXPORTER_OTLP_ENDPOINT: str = Field(
        "", description="base address of an OpenTelemetry collector (OTLP over HTTP) that traces are sent to"
    )
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: str = Field("", description="the same, as the whole address for traces")

    @field_validator("METRICS_PORT")
    @classmethod
    def _ports(cls, value: str) -> str:
        first, _, last = value.partition("-")
        if value and not int(first) <= int(last or first) <= min(int(first) + MOST_WORKERS - 1, 65535):
            raise ValueError(f"must be a port, or a range of at most {MOST_WORKERS} such as 9464-9467")
        return value

    @field_validator("METRICS_TOKEN")
    @classmethod
    def _in_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", value.get_secret_value()):
            raise ValueError("must be letters, digits and -._~+/ alone, with = at the end, as RFC 6750 has it")
        return value

    @property
    def metrics_ports(self) -> range:
        """Ports of which each process takes the first that is free; empty where there is to be none."""
        first, _, last = self.METRICS_PORT.partition("-")
        return range(int(first), int(last or first) + 1) if first else range(0)

    @property
    def metrics_wanted(self) -> bool:
        """Whether anybody may ask for numbers."""
        return bool(self.METRICS_PORT) or self.METRICS_TOKEN is not None

    @property
    def traces_to(self) -> str | None:
        """Where traces are sent; None where none are made."""
        base = self.OTEL_EXPORTER_OTLP_ENDPOINT
        return self.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or (f"{base}/v1/traces" if base else None)


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
    RATE_LIMIT_PASSKEY_OPTIONS: RateLimit = Field("60/minute", description="challenges for passkeys asked for by address")
    RATE_LIMIT_END_SESSION: RateLimit = Field("30/hour", description="links that end a session tried by address")
    RATE_LIMIT_CHANGE_PROFILE: RateLimit = Field("60/hour", description="changes of a profile by address")
    RATE_LIMIT_EXPORT: RateLimit = Field("10/hour", description="exports of one's own data by address")
    RATE_LIMIT_IMPERSONATE: RateLimit = Field("30/hour", description="times that somebody begins to act as another, by address")
    RATE_LIMIT_SECOND_STEP: RateLimit = Field("20/minute", description="second steps of logins by address")
    RATE_LIMIT_MFA_ENROL: RateLimit = Field("30/hour", description="second factors set up or confirmed by address")
