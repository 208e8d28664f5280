"""Settings as they may be shown: no secret, and what an operator should know about them."""

from collections.abc import Iterator

from pydantic import SecretStr

from app.config import LOOPBACK_NAMES, Settings, database_url

MASK = "********"
IN_QUERIES = ("password", "sslpassword")  # libpq takes them there as well


def masked(name: str, value: object) -> str:
    """A setting's value as it may be shown."""
    if name == "DATABASE_URL" and isinstance(value, SecretStr):
        url = database_url(value.get_secret_value()).difference_update_query(IN_QUERIES)
        return url.render_as_string(hide_password=True)
    if isinstance(value, SecretStr):
        return MASK
    if value is None:
        return ""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def warnings(settings: Settings) -> Iterator[str]:
    """What an operator should know about these settings."""
    if settings.is_development:
        yield "ENVIRONMENT=development: /docs and the dev mailbox are open, BCRYPT_ROUNDS may be low"
        return
    if not settings.is_https:
        yield "PUBLIC_URL is not https: no HSTS, no Secure cookies"
    if settings.SMTP_HOST is None:
        yield "SMTP_HOST is not set: mails stay queued"
    if settings.SMTP_HOST is not None and settings.EMAIL_FROM.endswith("@localhost"):
        yield "EMAIL_FROM is not an address of yours: mails will be refused"
    if settings.HOST not in LOOPBACK_NAMES and not settings.TRUSTED_PROXIES:
        yield "TRUSTED_PROXIES is empty: behind a proxy all clients would share one limit"
    if not settings.RATE_LIMIT_ENABLED:
        yield "RATE_LIMIT_ENABLED=false: no limits by address"
