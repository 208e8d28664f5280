"""POST /account/password-verdict: the server's own word on a new password, for the meter beside its field."""

from fastapi import APIRouter, Request
from pydantic import Field

from app.account.face import Open
from app.account.strength import REJECTED, WORDS, level_of
from app.auth.deps import Auth
from app.auth.errors import PasswordRejected
from app.auth.password_rules import MIN_LENGTH
from app.core.csrf import check_form
from app.core.faults import fault_text
from app.core.limits import Limited
from app.core.wire import JSON_ONLY, Body

pages = APIRouter(prefix="/account", include_in_schema=False, dependencies=[JSON_ONLY])


class VerdictIn(Body):
    """A password that somebody is typing, and the names it must not be."""

    form_token: str = Field(max_length=100)
    password: str = Field(max_length=1024)
    username: str = Field("", max_length=320)
    email: str = Field("", max_length=320)


class VerdictOut(Body):
    """0: it would be refused; 1 to 3: it would be taken, and is fair, good or very good."""

    level: int
    text: str


@pages.post("/password-verdict", dependencies=[Limited("password_verdict")])
async def judge(body: VerdictIn, request: Request, face: Open, kit: Auth) -> VerdictOut:
    """By the rules that decide when the form is sent. Nothing is kept."""
    check_form(request, {"form_token": body.form_token})
    username, email = (face.me.username, face.me.email) if face.me else (body.username, body.email)
    try:
        kit.check_new_password(body.password, "password", username=username, email=email)
    except PasswordRejected as error:
        texts = [fault_text(fault, face.locale, MIN_LENGTH[kit.policy]) for fault in error.errors]
        return VerdictOut(level=REJECTED, text=" ".join(texts))
    level = level_of(body.password)
    return VerdictOut(level=level, text=face.say(WORDS[level]))
