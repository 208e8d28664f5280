"""/account/security: second factors, passkeys, recovery codes, remembered devices, and doing without a password.

All of it takes a fresh proof; the forms lead back to this one page, or show what is shown once.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from app.account.activity import FEW, list_happenings
from app.account.entry_pages import signed_in
from app.account.face import SECURITY, Face, Own, Proved
from app.account.proofs_given import FIELD, read_code, read_credential
from app.account.step_pages import name_in
from app.auth import remembered
from app.auth.deps import Auth
from app.core.assurance import AAL2_PHR
from app.core.caller import FRESH, REAUTHENTICATE, check_assurance
from app.core.csrf import FormFields
from app.core.deps import Now
from app.core.device_names import load_names
from app.core.errors import AppError, FieldError, Invalid, ProofTooWeak, SignInNeeded
from app.core.limits import Limited
from app.mfa import service as mfa
from app.mfa.deps import Mfa, MfaKit
from app.mfa.errors import FactorNotFound
from app.mfa.proofs import TOTP
from app.mfa.schemas import ConfirmTotpIn
from app.mfa.totp import Setup, setup_again
from app.passkeys import service as passkeys
from app.passkeys.credentials import CreatedCredential
from app.passkeys.deps import Passkeys
from app.passkeys.errors import PasskeyNotAdded, PasskeyNotFound
from app.passkeys.schemas import PasskeyOut
from app.users import service as users

pages = APIRouter(prefix=SECURITY, include_in_schema=False)


@pages.get("")
async def show_security(face: Proved, now: Now) -> Response:
    """What is enrolled, and what can be done about it."""
    return face.show("security", face.form({}), **await _enrolled(face, now))


async def _enrolled(face: Face, now: Now) -> dict[str, Any]:
    caller, kit = face.known, face.server.kit(MfaKit)
    async with face.server.database.read() as db:
        overview = await mfa.look_at_own(db, kit, caller)
        keys = [PasskeyOut.of(each) for each in await passkeys.list_own(db, caller)]
        devices = await remembered.list_own(db, caller.me.id, now)
        has_password = (await users.get_user(db, caller.me.id)).password_hash is not None
    happenings = await list_happenings(face, caller.me.id, None, FEW)
    name = await load_names()
    named = [(name(each.user_agent).in_language(face.locale), each) for each in devices]
    enrolled = {"happenings": happenings, "has_password": has_password}
    return enrolled | {"overview": overview, "keys": keys, "devices": named, "most_keys": passkeys.MOST}


async def _refused(face: Face, fields: Mapping[str, str], error: AppError, now: Now) -> Response:
    return face.refused("security", fields, error, **await _enrolled(face, now))


@pages.get("/{anything}")
async def show_security_again(face: Own) -> Response:
    """For who reloads a page that came by a form, or comes from a fresh proof that the form wanted."""
    return face.go(SECURITY)


@pages.post("/app", dependencies=[Limited("mfa_enrol")])
async def start_app(face: Proved, _fields: FormFields, kit: Mfa, now: Now) -> Response:
    """The flow of POST /auth/mfa/totp. The secret is in this answer alone: a reload makes another."""
    async with face.server.database.write() as db:
        setup = await mfa.start_totp(db, kit, face.known, now)
    return face.show("totp", **_own_setup(setup))


def _own_setup(setup: Setup) -> dict[str, Any]:
    return {"setup": setup, "action": f"{SECURITY}/app-code", "restart": f"{SECURITY}/app", "back": SECURITY}


@pages.post("/app-code", dependencies=[Limited("mfa_enrol")])
async def confirm_app(face: Proved, fields: FormFields, auth: Auth, kit: Mfa, now: Now) -> Response:
    """The flow of POST /auth/mfa/totp/confirm."""
    try:
        code = read_code(ConfirmTotpIn, fields, FIELD[TOTP]).code
        async with face.server.database.write() as db:
            pair = await mfa.confirm_totp(db, auth, kit, face.known, code, now)
    except FactorNotFound:
        return face.go(SECURITY, "setup-ended")
    except AppError as error:
        setup = setup_again(fields.get("secret", ""), face.known.me.username, kit.issuer)
        return face.refused("totp", fields, error, **_own_setup(setup)) if setup else face.go(SECURITY, "setup-ended")
    return signed_in(face, face.go(SECURITY, "app-added"), pair, now)


@pages.post("/app-remove")
async def remove_app(face: Proved, fields: FormFields, now: Now) -> Response:
    """The flow of DELETE /auth/mfa/totp."""
    try:
        async with face.server.database.write() as db:
            await mfa.remove_totp(db, face.known, now)
    except AppError as error:
        return await _refused(face, fields, error, now)
    return face.go(SECURITY, "app-removed")


@pages.post("/passkey-add", dependencies=[Limited("mfa_enrol")])
async def add_passkey(face: Proved, fields: FormFields, auth: Auth, kit: Passkeys, now: Now) -> Response:
    """The flow of POST /auth/passkeys."""
    try:
        credential, name = read_credential(CreatedCredential, fields, PasskeyNotAdded), name_in(fields)
        async with face.server.database.write() as db:
            _, pair = await passkeys.add(db, auth, kit, face.known, credential, name, now)
    except AppError as error:
        return await _refused(face, fields, error, now)
    return signed_in(face, face.go(SECURITY, "passkey-added"), pair, now)


def _passkey_in(fields: Mapping[str, str]) -> uuid.UUID:
    try:
        return uuid.UUID(fields.get("passkey", ""))
    except ValueError:
        raise PasskeyNotFound from None


@pages.post("/passkey-rename", dependencies=[Limited("change_profile")])
async def rename_passkey(face: Proved, fields: FormFields, now: Now) -> Response:
    """The flow of PATCH /auth/passkeys/{id}."""
    try:
        passkey_id, name = _passkey_in(fields), name_in(fields)
        async with face.server.database.write() as db:
            await passkeys.rename(db, face.known, passkey_id, name, now)
    except AppError as error:
        return await _refused(face, fields, error, now)
    return face.go(SECURITY, "passkey-renamed")


@pages.post("/passkey-remove")
async def remove_passkey(face: Proved, fields: FormFields, now: Now) -> Response:
    """The flow of DELETE /auth/passkeys/{id}."""
    try:
        passkey_id = _passkey_in(fields)
        async with face.server.database.write() as db:
            await passkeys.remove(db, face.known, passkey_id, now)
    except AppError as error:
        return await _refused(face, fields, error, now)
    return face.go(SECURITY, "passkey-removed")


@pages.post("/recovery-codes", dependencies=[Limited("mfa_enrol")])
async def make_codes(face: Proved, fields: FormFields, kit: Mfa, now: Now) -> Response:
    """The flow of POST /auth/mfa/recovery-codes. The codes are in this answer alone."""
    try:
        async with face.server.database.write() as db:
            codes = await mfa.make_codes(db, kit, face.known, now)
    except AppError as error:
        return await _refused(face, fields, error, now)
    return face.show("recovery-codes", codes=codes, day=f"{now:%Y-%m-%d}")


@pages.post("/forget-devices")
async def forget_devices(face: Proved, _fields: FormFields, now: Now) -> Response:
    """The flow of DELETE /auth/mfa/remembered-devices."""
    async with face.server.database.write() as db:
        await mfa.forget_remembered(db, face.known, now)
    return face.go(SECURITY, "devices-forgotten")


@pages.post("/password-remove")
async def remove_password(face: Proved, fields: FormFields, now: Now) -> Response:
    """The flow of DELETE /auth/password, which wants the fresh proof to be by passkey."""
    try:
        check_assurance(face.known, AAL2_PHR, FRESH, now)
        if fields.get("sure") != "yes":
            raise Invalid(errors=[FieldError(("body", "sure"), "missing", "")])
        async with face.server.database.write() as db:
            await passkeys.remove_password(db, face.known, now)
    except ProofTooWeak:
        raise SignInNeeded(f"{REAUTHENTICATE}?by=passkey&next={SECURITY}") from None
    except AppError as error:
        return await _refused(face, {"sure": "", **fields}, error, now)
    return face.go(SECURITY, "password-removed")
