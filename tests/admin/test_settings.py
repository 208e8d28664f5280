"""Settings in the console: every one, and no secret."""

import uuid

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import SecretStr

from app.admin.settings_pages import shown
from app.config import Settings
from app.core.server import Server
from tests.admin.scene import check_desk, give_role, staff

SECRETS = sorted(name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation))


@pytest.mark.env(SMTP_USER="someone", SMTP_PASSWORD="Hq7-smtp-secret", AUDIT_SIGNING_KEY="vB3kQ9zXw2LmT7rYp5NcJ8sDf4GhAe6U")
async def test_every_setting_and_no_secret(app: FastAPI, client: AsyncClient, server: Server) -> None:
    looker = await staff(app, client, "auditor")
    page = await looker.open("/admin/settings")
    check_desk(page)
    for name in Settings.model_fields:
        assert f"<code>{name}</code>" in page.text
    settings = server.settings
    for name in SECRETS:
        value = getattr(settings, name)
        if value is not None and name not in {"DATABASE_URL"}:
            assert value.get_secret_value() not in page.text, name
    assert settings.PRODUCT_NAME in page.text
    assert "SECRET_KEY" in SECRETS
    assert "AUDIT_SIGNING_KEY" in SECRETS
    await give_role(app, looker.username, "support")
    assert (await looker.open("/admin/settings")).status_code == 403


@pytest.mark.parametrize("name", SECRETS)
def test_whatever_a_secret_is_it_is_not_shown(name: str) -> None:
    secret = f"S{uuid.uuid4().hex}"
    text = (
        f"postgresql://name:{secret}@db.example.com/keep?password={secret}&sslpassword={secret}"
        if name == "DATABASE_URL"
        else secret
    )
    text = f"rediss://:{secret}@redis.example.com/0?password={secret}" if name == "REDIS_URL" else text
    found = shown(name, Settings.model_fields[name], SecretStr(text))
    assert secret not in repr(found)
    assert found.given
    assert found.differs
    assert ("db.example.com" in str(found.value)) == (name == "DATABASE_URL")
    unset = shown(name, Settings.model_fields[name], None) if name != "DATABASE_URL" else None
    assert unset is None or not unset.given


def test_what_differs_from_its_default_is_marked() -> None:
    field = Settings.model_fields["PORT"]
    assert (shown("PORT", field, 8000).differs, shown("PORT", field, 8001).differs) == (False, True)
