"""One page for one request: who looks at it, in which language, with the form's token; and how it is answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.account.notices import notice
from app.auth.deps import AuthKit
from app.auth.errors import AttemptInvalid
from app.auth.password_rules import MIN_LENGTH, PasswordPolicy
from app.core import faults
from app.core.acting import ACTING
from app.core.brand import Brand
from app.core.caller import ActingPage, BackedPage, Caller, FreshPage, MaybeCaller, PageCaller
from app.core.cookies import CONSOLE_PATH
from app.core.csrf import form_token, keep_form_cookie, origin_of, safe_next
from app.core.deps import server_in
from app.core.errors import AppError, FieldError, Invalid, ProofTooWeak, TokenInvalid
from app.core.face import LOOKING, PageFace
from app.core.i18n import N_
from app.core.templating import Look, page
from app.tickets.service import TicketInvalid

HOME, SIGN_IN, SECURITY = "/account/", "/account/sign-in", "/account/security"
SECRET = frozenset(  # never shown again
    {
        "password",
        "new_password",
        "current_password",
        "code",
        "otp",
        "recovery_code",
        "credential",
        "secret",
        "token",
        "form_token",
    }
)
MAX_TOKEN, MAX_SHOWN = 4096, 320
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Form:
    """What a template needs to show a form: what was typed, what is wrong with it."""

    token: str
    values: Mapping[str, str]
    errors: Mapping[str, str]
    next: str | None
    policy: PasswordPolicy

    @property
    def least_length(self) -> int:
        """Of a new password."""
        return MIN_LENGTH[self.policy]

    @property
    def is_strict(self) -> bool:
        """Whether the policy asks for length alone."""
        return self.policy is PasswordPolicy.STRICT

    @property
    def next_query(self) -> str:
        """For links to pages from which one goes on to the same place."""
        return f"?{urlencode({'next': self.next})}" if self.next else ""


class Face(PageFace):
    """One page for one request, of those below /account."""

    @property
    def offers(self) -> dict[str, bool]:
        """Which ways in there are, beside the password."""
        settings = self.server.settings
        return {"magic_link": settings.MAGIC_LINK, "sign_up": settings.REGISTRATION == "open"}

    def form(self, values: Mapping[str, str] | None = None, errors: Mapping[str, str] | None = None) -> Form:
        """A form with this in its fields; secrets are left out."""
        given = values if values is not None else dict(self.request.query_params)
        shown = {name: text[:MAX_SHOWN] for name, text in given.items() if name not in SECRET}
        return Form(
            token=form_token(self.request),
            values=shown,
            errors=errors or {},
            next=safe_next(self.server.settings, given.get("next")),
            policy=self.server.kit(AuthKit).policy,
        )

    def show(self, name: str, form: Form | None = None, *, status: int = 200, **values: Any) -> HTMLResponse:
        """The page account/NAME.html."""
        form = form or self.form({})
        leads_away = form.next is not None and not form.next.startswith("/")
        shown = page(
            f"account/{name}.html",
            Look(self.server.kit(Brand), self.locale),
            status=status,
            scripts=True,
            form_targets=(origin_of(form.next),) if form.next and leads_away else (),
            form=form,
            caller=self.me,
            section=self.request.scope["path"],
            acting=self.request.scope.get(ACTING),
            notice=notice(self.request.query_params.get("done", ""), self.locale) if not form.errors else "",
            **values,
        )
        keep_form_cookie(self.request, shown)
        return shown

    def refused(self, name: str, fields: Mapping[str, str], error: AppError, **values: Any) -> HTMLResponse:
        """The same form again, saying what is wrong, with what was typed but for secrets.

        Raises:
            AppError: where the form can't help: who sent it is signed out, or its link is dead.
        """
        if isinstance(error, TokenInvalid | AttemptInvalid) or (isinstance(error, TicketInvalid) and "code" not in fields):
            raise error
        said = faults.by_field(error, self.locale, MIN_LENGTH[self.server.kit(AuthKit).policy], frozenset(fields))
        shown = self.show(name, self.form(fields, said), status=error.status, **values)
        if "Retry-After" in error.headers:
            shown.headers["Retry-After"] = error.headers["Retry-After"]
        return shown

    def message(self, title: str, text: str, *, link: tuple[str, str] | None = None, error: AppError | None = None) -> Response:
        """A page that says one thing, in words that are in this page's language already."""
        status = error.status if error else 200
        return self.show("message", status=status, title=title, text=text, link=link, is_error=error is not None)

    def go_on(self, fields: Mapping[str, str], done: str = "") -> RedirectResponse:
        """To where `next` leads, if it may; else to one's account."""
        onward = safe_next(self.server.settings, fields.get("next"))
        return self.go(onward) if onward else self.go(HOME, done)


def read(model: type[Model], fields: Mapping[str, str], **more: object) -> Model:
    """A form's fields as the body that the route of the same flow takes.

    Raises:
        Invalid: a field is missing or breaks a rule.
        TicketInvalid: that is so of a link's token.
    """
    given = {name: fields[name] for name in model.model_fields if fields.get(name)}
    try:
        return model.model_validate({**given, **more})
    except ValidationError as error:
        if any(item["loc"][:1] == ("token",) for item in error.errors()):
            raise TicketInvalid from None
        found = error.errors(include_input=False, include_url=False, include_context=False)
        raise Invalid(errors=[FieldError(("body", *item["loc"]), str(item["type"]), "") for item in found]) from None


def token_in(fields: Mapping[str, str]) -> str:
    """The token of a mailed link, as it came."""
    return fields.get("token", "")[:MAX_TOKEN]


def error_page(request: Request, error: AppError) -> Response:
    """Part of core.ERROR_PAGE."""
    face = Face(request, request.app.state.server, None)
    link = (HOME, face.say(N_("To your account")))
    if (looking := request.scope.get(LOOKING)) is not None:
        face.locale = looking.locale
        if request.scope["path"].startswith(CONSOLE_PATH):  # who looks at a page there may do so
            link = (CONSOLE_PATH, face.say(N_("To the console")))
    if error.code == ProofTooWeak.code and request.scope["path"].startswith(CONSOLE_PATH):
        link = (SECURITY, face.say(N_("Set up a second factor")))
    if error.code == "csrf_refused":
        link = (request.scope["path"], face.say(N_("Open the page again")))
    if error.code == "attempt_invalid":
        link = (SIGN_IN, face.say(N_("Sign in again")))
    shown = face.message(faults.title_of(error, face.locale), faults.text_of(error, face.locale), link=link, error=error)
    if "Retry-After" in error.headers:
        shown.headers["Retry-After"] = error.headers["Retry-After"]
    return shown


def _looking(request: Request, caller: Caller | None) -> Face:
    face = request.scope[LOOKING] = Face(request, server_in(request), caller)
    return face


async def _open_face(request: Request, caller: MaybeCaller) -> Face:
    return _looking(request, caller)


async def _own_face(request: Request, caller: PageCaller) -> Face:
    return _looking(request, caller)


async def _seen_face(request: Request, caller: ActingPage) -> Face:
    return _looking(request, caller)


async def _proved_face(request: Request, caller: FreshPage) -> Face:
    return _looking(request, caller)


async def _backed_face(request: Request, caller: BackedPage) -> Face:
    return Face(request, server_in(request), caller)


Open = Annotated[Face, Depends(_open_face)]  # for anybody
Own = Annotated[Face, Depends(_own_face)]  # for whoever is signed in
Seen = Annotated[Face, Depends(_seen_face)]  # for whoever is signed in, and staff who act as them
Proved = Annotated[Face, Depends(_proved_face)]  # for whoever proved it within ten minutes
Backed = Annotated[Face, Depends(_backed_face)]  # for whoever gave their second factor within them, if they have one
