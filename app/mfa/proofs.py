"""The second proofs: a code of the authenticator app, a recovery code. Each is spent by one statement."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.sockets import Proved
from app.mail import service as mail
from app.mfa import repository
from app.mfa.codes import FEW, digest_of
from app.mfa.deps import MfaKit
from app.mfa.models import TotpFactor
from app.mfa.totp import find_step
from app.users import service as users

TOTP, RECOVERY = "totp", "recovery"


def place_of(factor: TotpFactor) -> bytes:
    """What the sealed secret of an app is bound to: its row and its account."""
    return factor.id.bytes + factor.user_id.bytes


class TotpProof:
    """Part of auth.SECOND_PROOFS."""

    name = TOTP

    def __init__(self, kit: MfaKit) -> None:
        self._kit = kit

    async def check(self, db: AsyncSession, user_id: uuid.UUID, _bound_to: uuid.UUID, value: Any, now: datetime) -> Proved | None:
        """See `SecondProof.check`."""
        factor = await repository.find_totp(db, user_id)
        secret = self._kit.sealer.unseal(factor.secret_sealed, place_of(factor)) if factor else None
        if factor is None or secret is None:
            return None
        step = find_step(secret, value, now)
        if step is None or not await repository.spend_step(db, factor.id, step):
            return None
        return Proved("otp", TOTP, factor.id)


class RecoveryProof:
    """Part of auth.SECOND_PROOFS: the owner is told of each use, and warned when few are left."""

    name = RECOVERY

    def __init__(self, kit: MfaKit) -> None:
        self._kit = kit

    async def check(self, db: AsyncSession, user_id: uuid.UUID, _bound_to: uuid.UUID, value: Any, now: datetime) -> Proved | None:
        """See `SecondProof.check`."""
        if not await repository.spend_code(db, user_id, digest_of(self._kit.code_key, user_id, value), now):
            return None
        user, left = await users.get_user(db, user_id), await repository.count_codes(db, user_id)
        at, few = f"{now:%Y-%m-%d %H:%M} UTC", "yes" if left <= FEW else ""
        values = {"username": user.username, "at": at, "left": str(left), "few": few}
        await mail.enqueue(db, "recovery-code-used", user.email, now, locale=user.locale, **values)
        return Proved("recovery", RECOVERY, user_id)  # the codes of an account are lost together, so they go by its id
