"""What staff can do about one account: what each act asks for, says beforehand, and calls. The services are those of the API."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.auth import staff
from app.auth.deps import AuthKit
from app.auth.errors import SessionNotFound
from app.core.caller import Caller
from app.core.errors import FieldError, Invalid
from app.core.i18n import N_
from app.core.permissions import ROLES, Permission
from app.core.server import Server
from app.mfa import service as mfa
from app.mfa.deps import MfaKit
from app.passwords import staff as passwords
from app.users import service as users
from app.users.models import User
from app.verification import staff as verification


@dataclass(frozen=True, slots=True)
class Doing:
    """One act, about to be done."""

    db: AsyncSession
    server: Server
    caller: Caller
    user_id: uuid.UUID
    fields: Mapping[str, str]
    now: datetime


@dataclass(frozen=True, slots=True)
class Act:
    """What is asked before it, and how it is done.

    Attributes:
        permission: what it takes.
        title, text, label: the page that asks, and its button.
        do: the service.
        done: the word of the notice afterwards.
        harm: whether it takes a proof of the last ten minutes.
        destructive: whether the page also asks for a tick.
        fits: whether there is anything to do for such an account.
        own: whether somebody can do it to their own account.
    """

    permission: Permission
    title: str
    text: str
    label: str
    do: Callable[[Doing], Awaitable[object]]
    done: str = "done"
    harm: bool = False
    destructive: bool = False
    fits: Callable[[User], bool] = lambda _user: True
    own: bool = True


async def _verify(doing: Doing) -> None:
    await verification.vouch(doing.db, doing.caller, doing.user_id, doing.now)


async def _send_reset(doing: Doing) -> None:
    await passwords.send_reset(doing.db, doing.caller, doing.user_id, doing.now)


async def _log_out(doing: Doing) -> None:
    await staff.end_sessions(doing.db, doing.caller, doing.user_id, doing.now)


async def _end_session(doing: Doing) -> None:
    try:
        session_id = uuid.UUID(doing.fields.get("session", ""))
    except ValueError:
        raise SessionNotFound from None
    await staff.end_session(doing.db, doing.caller, doing.user_id, session_id, doing.now)


async def _lift(doing: Doing) -> None:
    await staff.lift_lockouts(doing.db, doing.server.kit(AuthKit), doing.caller, doing.user_id, doing.now)


async def _enable(doing: Doing) -> None:
    await users.set_active(doing.db, doing.caller, doing.user_id, doing.now, active=True)


async def _disable(doing: Doing) -> None:
    await users.set_active(doing.db, doing.caller, doing.user_id, doing.now, active=False)


async def _set_role(doing: Doing) -> None:
    role = ROLES.get(doing.fields.get("role", ""))
    if role is None:
        raise Invalid(errors=[FieldError(("body", "role"), "missing", "")])
    await users.set_role(doing.db, doing.caller, doing.user_id, role, doing.now)


async def _delete(doing: Doing) -> None:
    await users.delete_user(doing.db, doing.caller, doing.user_id, doing.now)


def _factors(*, required: bool | None = None, reset: bool = False) -> Callable[[Doing], Awaitable[None]]:
    async def do(doing: Doing) -> None:
        auth, kit = doing.server.kit(AuthKit), doing.server.kit(MfaKit)
        await mfa.set_for(doing.db, auth, kit, doing.caller, doing.user_id, doing.now, required=required, reset=reset)

    return do


WRITE, FACTORS = Permission.USERS_WRITE, Permission.USERS_FACTORS
ACTS = {
    "verify-email": Act(
        WRITE,
        N_("Take the mail address as verified"),
        N_("From now on the address counts as proved, although nobody opened a link. Do it if you know that it is the person's."),
        N_("Take it as verified"),
        _verify,
        fits=lambda user: not user.email_verified,
    ),
    "send-reset": Act(
        WRITE,
        N_("Mail a reset link"),
        N_("The person is mailed a link to set a new password. Nothing changes before they use it."),
        N_("Mail the link"),
        _send_reset,
        done="mailed",
        fits=lambda user: user.active,
    ),
    "log-out": Act(
        WRITE,
        N_("Sign out everywhere"),
        N_("Every session ends at once, and every device asks for the second factor again."),
        N_("Sign out everywhere"),
        _log_out,
    ),
    "end-session": Act(
        WRITE,
        N_("Sign one device out"),
        N_("The session of this device ends at once. The others go on."),
        N_("Sign it out"),
        _end_session,
        fits=lambda _user: False,  # its link is beside the session
    ),
    "lift-lockouts": Act(
        WRITE,
        N_("Let them try again"),
        N_("Failed sign-ins are forgotten, so the next try may be made at once. Whoever guesses may try again too."),
        N_("Let them try again"),
        _lift,
        fits=lambda _user: False,  # its link is beside the lockouts
    ),
    "disable": Act(
        WRITE,
        N_("Disable the account"),
        N_("Nobody can sign in to it, and every session ends at once. Nothing is deleted; you can enable it again."),
        N_("Disable the account"),
        _disable,
        destructive=True,
        fits=lambda user: user.active,
    ),
    "enable": Act(
        WRITE,
        N_("Enable the account"),
        N_("The person can sign in again, with the same password and factors as before."),
        N_("Enable the account"),
        _enable,
        fits=lambda user: not user.active,
    ),
    "role": Act(
        Permission.USERS_ROLES,
        N_("Change the role"),
        N_("Another role is good at once. The person's sessions end, since they name the old one."),
        N_("Change the role"),
        _set_role,
        harm=True,
    ),
    "require-factor": Act(
        FACTORS,
        N_("Require a second factor"),
        N_("The person must add one with the next sign-in, and is told by mail. Without one, every session ends at once."),
        N_("Require it"),
        _factors(required=True),
        harm=True,
        own=False,
    ),
    "release-factor": Act(
        FACTORS,
        N_("No longer require a second factor"),
        N_("The person may do without one, unless the server asks it of everybody or of staff. They are told by mail."),
        N_("No longer require it"),
        _factors(required=False),
        harm=True,
        own=False,
    ),
    "reset-factors": Act(
        FACTORS,
        N_("Remove all second factors"),
        N_(
            "Apps, passkeys and recovery codes of the account are removed and every session ends. Be sure that it is the person "
            "who asks: until they add a factor, the password alone opens the account."
        ),
        N_("Remove the factors"),
        _factors(reset=True),
        harm=True,
        destructive=True,
        own=False,
    ),
    "delete": Act(
        Permission.USERS_DELETE,
        N_("Delete the account"),
        N_("The account and all that names the person is erased at once. Nothing brings it back."),
        N_("Delete the account"),
        _delete,
        done="deleted",
        harm=True,
        destructive=True,
    ),
}
