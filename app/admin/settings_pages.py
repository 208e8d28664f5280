"""The settings in effect beside their defaults, secrets masked."""

import inspect
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from starlette.responses import Response

from app.admin.face import At, Desk
from app.config import Settings
from app.core.settings_shown import masked, warnings

pages = APIRouter(prefix="/admin/settings", include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting as the page tells it; the value of a secret is None, and `given` says whether there is one."""

    name: str
    purpose: str
    value: str | None
    default: str
    given: bool
    differs: bool


def shown(name: str, field: FieldInfo, value: Any) -> Shown:
    """A setting without its secrets: of the database's address the password, of any other secret all of it."""
    default = None if field.is_required() else field.default
    secret = "SecretStr" in str(field.annotation) and name != "DATABASE_URL"
    return Shown(
        name,
        field.description or "",
        None if secret else masked(name, value),
        "" if isinstance(default, SecretStr) and secret else masked(name, default),
        value is not None,
        value != default,
    )


@pages.get("")
async def show_settings(desk: Annotated[Desk, At("settings:read")]) -> Response:
    """Every one, by section."""
    settings = desk.server.settings
    sections = [
        (
            inspect.cleandoc(section.__doc__ or "").partition("\n")[0],
            [shown(name, field, getattr(settings, name)) for name, field in getattr(section, "model_fields", {}).items()],
        )
        for section in Settings.__bases__
    ]
    return desk.show("settings", sections_shown=sections, warnings=[*warnings(settings)])
