"""One page of the console for one request: who looks at it, what they may do, and how it is answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request, params
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.admin.entry import ConsoleKit, read_entry, write_entry
from app.admin.notices import notice
from app.core import faults
from app.core.brand import Brand
from app.core.caller import REAUTHENTICATE, Caller, PageCaller, PermittedPage, missing_proof
from app.core.cookies import CONSOLE
from app.core.csrf import form_token, keep_form_cookie
from app.core.deps import moment_in, server_in
from app.core.errors import AppError, SignInNeeded, Unauthenticated
from app.core.face import LOOKING, PageFace
from app.core.i18n import N_
from app.core.permissions import Permission, holds
from app.core.server import Server
from app.core.templating import Look, page

Answer = TypeVar("Answer", bound=Response)

HOME = "/admin/"
MAX_SHOWN = 320
LEAST_PASSWORD = 8
# Path, name, and the permission that its page asks for.
SECTIONS = (
    (HOME, N_("Overview"), Permission.STATS_READ),
    ("/admin/users", N_("People"), Permission.USERS_READ),
    ("/admin/bulk", N_("Bulk actions"), Permission.USERS_WRITE),
    ("/admin/lockouts", N_("Lockouts"), Permission.USERS_READ),
    ("/admin/audit", N_("Audit log"), Permission.AUDIT_READ),
    ("/admin/jobs", N_("Jobs"), Permission.JOBS_READ),
    ("/admin/mail", N_("Mail"), Permission.JOBS_READ),
    ("/admin/webhooks", N_("Webhooks"), Permission.WEBHOOKS_READ),
    ("/admin/settings", N_("Settings"), Permission.SETTINGS_READ),
)


@dataclass(frozen=True, slots=True)
class Form:
    """What a template needs to show a form: what was typed, what is wrong with it."""

    token: str
    values: Mapping[str, str]
    errors: Mapping[str, str]
    next: None = None


class Desk(PageFace):
    """One page for one request, of those below /admin."""

    def __init__(self, request: Request, server: Server, caller: Caller, entry: str | None) -> None:
        super().__init__(request, server, caller)
        self._entry = entry

    def keep(self, answer: Answer) -> Answer:
        """The answer, after which 15 minutes begin anew; `show` and `go` do it themselves."""
        if self._entry is not None:
            self.server.cookies.put(answer, CONSOLE, self._entry, None)
        return answer

    def go(self, path: str, done: str = "", **query: str) -> RedirectResponse:
        """See `PageFace.go`."""
        return self.keep(super().go(path, done, **query))

    def may(self, permission: str) -> bool:
        """Whether whoever looks at it holds a permission; what they can't do is not shown."""
        return holds(self.known.me.role, Permission(permission))

    def form(self, values: Mapping[str, str] | None = None, errors: Mapping[str, str] | None = None) -> Form:
        """A form with this in its fields."""
        shown = {name: text[:MAX_SHOWN] for name, text in (values or {}).items()}
        return Form(form_token(self.request), shown, errors or {})

    def show(self, name: str, form: Form | None = None, *, status: int = 200, **values: Any) -> HTMLResponse:
        """The page, or the part of one, admin/NAME.html."""
        form = form or self.form()
        path = self.request.scope["path"]
        shown = page(
            f"admin/{name}.html",
            Look(self.server.kit(Brand), self.locale),
            status=status,
            scripts=True,
            trusted_types="default",
            form=form,
            caller=self.me,
            may=self.may,
            section=max((each for each, _, _ in SECTIONS if path.startswith(each)), key=len, default=""),
            sections=[(each, self.say(label)) for each, label, permission in SECTIONS if self.may(permission)],
            notice=notice(self.request.query_params.get("done", ""), self.locale) if not form.errors else "",
            **values,
        )
        keep_form_cookie(self.request, shown)
        return self.keep(shown)

    def refused(self, name: str, fields: Mapping[str, str], error: AppError, **values: Any) -> HTMLResponse:
        """The same page again, saying what is wrong, with what was typed."""
        said = faults.by_field(error, self.locale, LEAST_PASSWORD, frozenset(fields))
        return self.show(name, self.form(fields, said), status=error.status, **values)


@dataclass(frozen=True, slots=True)
class Console:
    """The rule of `At`."""

    permission: Permission
    harm: bool
    polls: bool

    async def __call__(self, request: Request, caller: PageCaller) -> Desk:
        """The page; who is not in the console (any more) is led to prove who they are, and back."""
        server, now = server_in(request), moment_in(request)
        await PermittedPage(self.permission)(request, caller)
        entry = await self._enter(request, server, caller, now)
        found = request.scope[LOOKING] = Desk(request, server, caller, entry)
        return found

    async def _enter(self, request: Request, server: Server, caller: Caller, now: datetime) -> str | None:
        if caller.session_id is None:
            raise Unauthenticated
        kit = server.kit(ConsoleKit)
        entered_at = read_entry(kit, caller.session_id, server.cookies.read(request.scope, CONSOLE), now)
        if (entered_at is None or self.harm) and await missing_proof(server, caller, now) is not None:
            raise SignInNeeded(f"{REAUTHENTICATE}?next={quote(_back(request))}")
        return None if self.polls else write_entry(kit, caller.session_id, entered_at or now, now)


def _back(request: Request) -> str:
    """Where to go on after the proof: to the page looked at; what a form said is not kept, its page is shown again."""
    if "hx-request" in request.headers:  # a part of a page was asked for
        try:
            shown = urlsplit(request.headers.get("hx-current-url", ""))
        except ValueError:  # no address at all
            return HOME
        return _with_query(shown.path, shown.query) if shown.path.startswith(HOME) else HOME
    path, query = request.scope["path"], request.scope["query_string"].decode("latin-1")
    return _with_query(path, query if request.method == "GET" else "")


def _with_query(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path


def At(permission: str, *, harm: bool = False, polls: bool = False) -> params.Depends:  # noqa: N802 -- reads as other rules do
    """`Annotated[Desk, At("users:read")]`: the page for whoever holds the permission, and is in the console.

    Args:
        permission: its name.
        harm: it takes a proof of the last ten minutes, as what could do lasting harm does.
        polls: a script asks by itself, which is no sign of somebody being there.

    Raises:
        ValueError: there is no such permission.
    """
    rule: params.Depends = Depends(Console(Permission(permission), harm, polls))
    return rule
