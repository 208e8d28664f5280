"""The steps after the first proof: /account/sign-in/step for the second factor, /account/sign-in/enrol where one must be added.

Which login is meant is in this browser's cookie (attempts.py) and in no address.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import RedirectResponse, Response

from app.account import attempts
from app.account.face import SECURITY, Face, Open, read
from app.account.proofs_given import FIELD, chosen, others, read_code, read_credential
from app.auth import sessions, steps
from app.auth.cookies import hand_over, held_by
from app.auth.deps import Auth, AuthKit
from app.auth.errors import AttemptInvalid, ProofWrong
from app.auth.sessions import Pair
from app.auth.steps import ENROLMENT_REQUIRED, MFA_REQUIRED, Onto, Owed
from app.core.client import Client, ClientOf
from app.core.cookies import DEVICE
from app.core.csrf import FormFields, check_cookie_call
from app.core.deps import Now
from app.core.errors import AppError
from app.core.limits import Limited
from app.core.wire import JSON_ONLY, Body
from app.mfa import service as mfa
from app.mfa.deps import Mfa
from app.mfa.errors import FactorNotFound
from app.mfa.proofs import RECOVERY, TOTP
from app.mfa.schemas import ConfirmTotpIn, RecoveryLoginIn, TotpLoginIn
from app.mfa.totp import Setup, setup_again
from app.passkeys import logins
from app.passkeys import service as passkeys
from app.passkeys.credentials import AssertedCredential, CreatedCredential
from app.passkeys.deps import Passkeys
from app.passkeys.errors import PasskeyNotAdded
from app.passkeys.schemas import OptionsOut, RenamePasskeyIn

pages = APIRouter(prefix="/account", include_in_schema=False)
STEP, ENROL = "/account/sign-in/step", "/account/sign-in/enrol"
By = Annotated[str | None, Query(alias="by")]


def step_owed(face: Face, fields: Mapping[str, str], owed: Owed) -> RedirectResponse:
    """The first proof was right, and is not enough: on to the next one."""
    asked = {"next": fields["next"]} if fields.get("next") else {}
    answer = face.go(STEP if owed.status == MFA_REQUIRED else ENROL, **asked)
    attempts.keep(face.request, answer, owed)
    return answer


async def step_done(face: Face, kit: AuthKit, answer: RedirectResponse, pair: Pair, client: Client, now: datetime) -> Response:
    """The answer that ends a login of several steps."""
    await sessions.end_replaced(face.server.database, kit, held_by(face.request), client, now)
    attempts.drop(face.request, answer)
    hand_over(answer, face.server, pair, now)
    return answer


def _onto(face: Face, client: Client, fields: Mapping[str, str]) -> Onto:
    device = face.server.cookies.read(face.request.scope, DEVICE)
    return Onto(client, device, browser=True, remember=fields.get("remember") == "yes")


@pages.get("/sign-in/step")
async def show_step(face: Open, now: Now, by: By = None) -> Response:
    """What the second proof is asked by, and the other ways to give it; who is signed in by now goes on."""
    try:
        waiting = await attempts.look(face, now)
    except AttemptInvalid:
        if face.caller is None:
            raise
        return face.go_on(face.request.query_params)
    if waiting.owed != MFA_REQUIRED:
        return face.go(ENROL, **_next(face))
    return face.show("step", face.form(), **_asking(waiting, by))


def _next(face: Face) -> dict[str, str]:
    asked = face.form().next
    return {"next": asked} if asked else {}


def _asking(waiting: attempts.Waiting, by: str | None) -> dict[str, Any]:
    shown = chosen(waiting.methods, by)
    return {"username": waiting.username, "method": shown, "others": others(waiting.methods, shown)}


@pages.post("/sign-in/step", dependencies=[Limited("second_step")])
async def take_step(face: Open, fields: FormFields, kit: Auth, client: ClientOf, now: Now) -> Response:
    """The flows of POST /auth/login/totp, /auth/login/recovery, and /auth/login/passkey with an attempt."""
    waiting = await attempts.look(face, now)
    method = chosen(waiting.methods, fields.get("by"))
    try:
        value = _given(method, fields, waiting.attempt)
        pair = await steps.prove(face.server.database, kit, method, waiting.attempt, value, _onto(face, client, fields), now)
    except AppError as error:
        return face.refused("step", {FIELD[method]: "", **fields}, error, **_asking(waiting, method))
    return await step_done(face, kit, face.go_on(fields), pair, client, now)


def _given(method: str, fields: Mapping[str, str], attempt: str) -> str | AssertedCredential:
    if method == TOTP:
        return read_code(TotpLoginIn, fields, FIELD[TOTP], attempt=attempt).code
    if method == RECOVERY:
        return read_code(RecoveryLoginIn, fields, FIELD[RECOVERY], attempt=attempt).code
    return read_credential(AssertedCredential, fields, ProofWrong)


class NoneNeeded(Body):
    """Which login is meant is in the cookie."""


@pages.post("/sign-in/passkey-options", dependencies=[JSON_ONLY, Limited("passkey_options")])
async def begin_ceremony(_body: NoneNeeded, face: Open, kit: Passkeys, now: Now) -> OptionsOut:
    """The flows of POST /auth/login/passkey/options and /auth/passkeys/options with an attempt, for the page's script."""
    check_cookie_call(face.server, face.request.scope)
    waiting = await attempts.look(face, now)
    begin = logins.start_step if waiting.owed == MFA_REQUIRED else passkeys.start_adding_by_attempt
    async with face.server.database.write() as db:
        return OptionsOut(public_key=await begin(db, kit, waiting.attempt, now))


@pages.get("/sign-in/enrol")
async def show_enrol(face: Open, now: Now) -> Response:
    """The factors that can be added; who is signed in by now goes on."""
    try:
        waiting = await attempts.look(face, now)
    except AttemptInvalid:
        if face.caller is None:
            raise
        return face.go_on(face.request.query_params)
    if waiting.owed != ENROLMENT_REQUIRED:
        return face.go(STEP, **_next(face))
    return face.show("enrol", face.form(), username=waiting.username)


@pages.get("/sign-in/app")
@pages.get("/sign-in/app-code")
async def show_enrol_again(face: Open) -> Response:
    """For who reloads a page that came by a form."""
    return face.go(ENROL, **_next(face))


@pages.post("/sign-in/app", dependencies=[Limited("mfa_enrol")])
async def start_app(face: Open, fields: FormFields, kit: Mfa, now: Now) -> Response:
    """The flow of POST /auth/mfa/totp with an attempt. The secret is in this answer alone: a reload makes another."""
    attempt = attempts.held(face.request)
    async with face.server.database.write() as db:
        setup = await mfa.start_totp_by_attempt(db, kit, attempt, now)
    return face.show("totp", face.form({"next": fields.get("next", "")}), **entry_setup(setup))


def entry_setup(setup: Setup) -> dict[str, Any]:
    """What the page that sets up an app shows, from within a login."""
    return {"setup": setup, "action": "/account/sign-in/app-code", "restart": "/account/sign-in/app", "back": ENROL}


@pages.post("/sign-in/app-code", dependencies=[Limited("mfa_enrol")])
async def confirm_app(face: Open, fields: FormFields, auth: Auth, kit: Mfa, client: ClientOf, now: Now) -> Response:
    """The flow of POST /auth/mfa/totp/confirm with an attempt: the login is finished."""
    waiting = await attempts.look(face, now)
    try:
        code = read_code(ConfirmTotpIn, fields, FIELD[TOTP]).code
        onto = _onto(face, client, {})
        pair = await mfa.confirm_totp_by_attempt(face.server.database, auth, kit, waiting.attempt, code, onto, now)
    except FactorNotFound:
        return face.go(ENROL, "setup-ended", **_next_in(face, fields))
    except AppError as error:
        setup = setup_again(fields.get("secret", ""), waiting.username, kit.issuer)
        if setup is None:
            return face.go(ENROL, "setup-ended", **_next_in(face, fields))
        return face.refused("totp", fields, error, **entry_setup(setup))
    return await step_done(face, auth, enrolled(face, fields, "app-added"), pair, client, now)


def _next_in(face: Face, fields: Mapping[str, str]) -> dict[str, str]:
    asked = face.form(fields).next
    return {"next": asked} if asked else {}


def enrolled(face: Face, fields: Mapping[str, str], done: str) -> RedirectResponse:
    """To where the login was to lead; else to where recovery codes are made."""
    return face.go_on(fields) if _next_in(face, fields) else face.go(SECURITY, done)


def name_in(fields: Mapping[str, str]) -> str:
    """What a form calls a passkey.

    Raises:
        Invalid: no passkey can be called so.
    """
    return read(RenamePasskeyIn, {"name": fields.get("name", "").strip() or "Passkey"}).name


@pages.post("/sign-in/enrol", dependencies=[Limited("mfa_enrol")])
async def add_passkey(face: Open, fields: FormFields, auth: Auth, kit: Passkeys, client: ClientOf, now: Now) -> Response:
    """The flow of POST /auth/passkeys with an attempt: the login is finished."""
    waiting = await attempts.look(face, now)
    try:
        credential = read_credential(CreatedCredential, fields, PasskeyNotAdded)
        onto, name = _onto(face, client, {}), name_in(fields)
        _, pair = await passkeys.add_by_attempt(face.server.database, auth, kit, waiting.attempt, credential, name, onto, now)
    except AppError as error:
        return face.refused("enrol", fields, error, username=waiting.username)
    return await step_done(face, auth, enrolled(face, fields, "passkey-added"), pair, client, now)
