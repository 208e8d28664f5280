"""People: everybody, or who is searched for."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from app.admin.face import At, Desk
from app.core.crypto import derive_key
from app.core.i18n import N_
from app.core.paging import CursorInvalid
from app.core.permissions import ROLES, Role
from app.users.names import name_key
from app.users.search import SORTS, Filters, Found, search

pages = APIRouter(prefix="/admin/users", include_in_schema=False)
PATH, PART = "/admin/users", "found"
PAGE_SIZE = 25
MAX_QUERY = 254
NOBODYS = "\ufffd"  # in no name and no address: what can't be printed is searched for, and not found
YES_NO = {"yes": True, "no": False}
CHOICES = {"role": frozenset(ROLES), "active": frozenset(YES_NO), "verified": frozenset(YES_NO), "sort": frozenset(SORTS)}
ROLE_NAMES = {Role.USER: N_("User"), Role.SUPPORT: N_("Support"), Role.AUDITOR: N_("Auditor"), Role.ADMIN: N_("Admin")}


def asked_for(params: Mapping[str, str]) -> dict[str, str]:
    """What a search's address says, as far as it says something: an unknown choice is none."""
    found = {name: params[name] for name, known in CHOICES.items() if params.get(name) in known and params[name] != SORTS[0]}
    sought = params.get("q", "").strip()[:MAX_QUERY]
    return {"q": sought, **found} if sought else found


def filters_of(asked: Mapping[str, str]) -> Filters:
    """The same for the search."""
    role = ROLES.get(asked.get("role", ""))
    sought = name_key("".join(each if each.isprintable() else NOBODYS for each in asked["q"])) if asked.get("q") else None
    return Filters(sought, role, YES_NO.get(asked.get("active", "")), YES_NO.get(asked.get("verified", "")))


async def _find(desk: Desk, asked: Mapping[str, str], cursor: str | None) -> Found:
    key = derive_key(desk.server.settings.SECRET_KEY.get_secret_value(), "cursor")
    filters, sort = filters_of(asked), asked.get("sort", SORTS[0])
    async with desk.server.database.read() as db:
        try:
            return await search(db, key, filters, sort, cursor, PAGE_SIZE)
        except CursorInvalid:  # of another search, or an address that was cut: from the beginning
            return await search(db, key, filters, sort, None, PAGE_SIZE)


@pages.get("")
async def list_people(desk: Annotated[Desk, At("users:read")]) -> Response:
    """Whole, or the part that changes while somebody types."""
    params = desk.request.query_params
    asked = asked_for(params)
    found = await _find(desk, asked, params.get("cursor"))
    query = f"{PATH}?{urlencode(asked)}" if asked else PATH
    following = f"{PATH}?{urlencode({**asked, 'cursor': found.next_cursor})}" if found.next_cursor else None
    shown = desk.show(
        "users_found" if desk.request.headers.get("hx-target") == PART else "users",
        desk.form(asked),
        found=found,
        asked={"q": "", **dict.fromkeys(CHOICES, ""), **asked},
        first=query if params.get("cursor") else None,
        following=following,
        roles=[(role.value, desk.say(name)) for role, name in ROLE_NAMES.items()],
        role_names={role.value: desk.say(name) for role, name in ROLE_NAMES.items()},
    )
    if "hx-request" in desk.request.headers and not desk.request.headers.get("hx-current-url", "").endswith(query):
        shown.headers["HX-Push-Url"] = query  # a new place for the button back; leaving a field asks for the same again
    return shown
