"""Who must have a second factor: MFA and its grace, or an admin's word; and what that makes a login owe."""

import uuid
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.auth import remembered
from app.auth.deps import AuthKit
from app.auth.sockets import FACTORS, Debt, Entry, Grace
from app.auth.steps import ENROLMENT_REQUIRED, MFA_REQUIRED
from app.core.assurance import AAL1
from app.core.permissions import is_staff
from app.core.ports import Account
from app.mfa import repository
from app.mfa.deps import MfaKit


class MfaStep:
    """Part of auth.LOGIN_STEPS."""

    def __init__(self, auth: AuthKit, kit: MfaKit) -> None:
        self._auth = auth
        self._kit = kit

    async def owes(self, db: AsyncSession, entry: Entry, now: datetime, /) -> Debt | Grace | None:
        """See `LoginStep.owes`. A login that reached more than one factor by itself owes nothing."""
        account, enrolled = entry.account, entry.enrolled
        if entry.acr != AAL1:
            return None
        if enrolled.owing:
            if await remembered.is_remembered(db, self._auth, entry.remembered, account.id, enrolled.mark, now):
                return None
            return Debt(MFA_REQUIRED, tuple(sorted(enrolled.names)))
        ends_at = await self._grace_end(db, account, now)
        if ends_at is None:
            return None
        if ends_at > now:
            return Grace(ends_at)
        return Debt(ENROLMENT_REQUIRED, tuple(sorted(kind.name for kind in FACTORS.within(db) if kind.owes)))

    async def requires(self, db: AsyncSession, account: Account, _now: datetime, /) -> bool:
        """See `LoginStep.requires`: from the first day of the grace on."""
        return await is_required(db, self._kit, account)

    async def _grace_end(self, db: AsyncSession, account: Account, now: datetime) -> datetime | None:
        found = await repository.find_requirement(db, account.id)
        if found is not None and found.required_at is not None:
            return now
        if not applies(self._kit, account):
            return None
        if found is None or found.grace_ends_at is None:
            await repository.begin_grace(db, account.id, now + self._kit.grace)
            return now + self._kit.grace
        return found.grace_ends_at


def applies(kit: MfaKit, account: Account) -> bool:
    """Whether MFA wants this account to have a factor."""
    return kit.rule == "required" or (kit.rule == "admins" and is_staff(account.role))


async def is_required(db: AsyncSession, kit: MfaKit, account: Account) -> bool:
    """Whether the account must have a factor, now or once its grace is over."""
    return applies(kit, account) or await is_required_by_admin(db, account.id)


async def is_required_by_admin(db: AsyncSession, user_id: uuid.UUID) -> bool:
    """Whether an admin said so."""
    found = await repository.find_requirement(db, user_id)
    return found is not None and found.required_at is not None
