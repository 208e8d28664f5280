"""Auth's parts of personal data: sessions, logins begun, devices, how the password is kept and what was tried of it."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.auth import repository
from app.auth.deps import AuthKit
from app.auth.service import failure_lanes_of
from app.auth.utils import label_of
from app.core.personal import Person, Record, record, records
from app.tickets.personal import forget_subjects
from app.users import service as users

SESSION = (
    "id",
    "created_at",
    "authenticated_at",
    "used_at",
    "expires_at",
    "ended_at",
    "end_reason",
    "address",
    "user_agent",
    "amr",
    "acr",
    "opened_with",
    "proved_with",
)

ATTEMPT = ("id", "owed", "amr", "tries", "created_at", "expires_at", "spent_at")


class SessionsOf:
    """The sessions there are rows of, alive or not."""

    name = "sessions"

    async def export(self, db: AsyncSession, person: Person) -> list[Record]:
        """Where and how the person was signed in."""
        found = await repository.list_sessions(db, person.id)
        return [record(each, *SESSION) | {"impersonated": each.parent_id is not None} for each in found]

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """The rows stay until no token of theirs can live, without where they came from."""
        await forget_subjects(db, await repository.blank_sessions(db, person.id))


class DevicesOf:
    """Devices that the person signed in on."""

    name = "devices"

    async def export(self, db: AsyncSession, person: Person) -> list[Record]:
        """Since when each is known; the secret is on the device alone."""
        return records(await repository.list_devices(db, person.id), "id", "created_at", "expires_at")

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """None is known any more."""
        await repository.delete_devices(db, person.id)


class AttemptsOf:
    """Logins that were begun and wait for another step, or waited."""

    name = "login_attempts"

    async def export(self, db: AsyncSession, person: Person) -> list[Record]:
        """What was proved first and what is owed; the secret is with whoever began it."""
        return records(await repository.list_attempts(db, person.id), *ATTEMPT)

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """None can be finished any more."""
        await repository.delete_attempts(db, person.id)


class RememberedOf:
    """Browsers that need not give the second factor for a while."""

    name = "remembered_devices"

    async def export(self, db: AsyncSession, person: Person) -> list[Record]:
        """Since when each is remembered; the cookie is in the browser alone."""
        return records(await repository.list_remembered(db, person.id), "id", "user_agent", "created_at", "expires_at")

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """None is remembered any more."""
        await repository.delete_remembered(db, person.id)


class PasswordOf:
    """What is kept to check the password by."""

    name = "password"

    def __init__(self, kit: AuthKit) -> None:
        self._kit = kit

    async def export(self, db: AsyncSession, person: Person) -> Record:
        """The scheme of its hash, and failed tries not yet forgotten."""
        user = await users.find_user(db, person.id)
        failures = await repository.list_failures(db, self._lanes(person))
        return {
            "scheme": label_of(user.password_hash) if user and user.password_hash else None,
            "failed_tries": records(failures, "failures", "next_at", "forget_at"),
        }

    async def erase(self, db: AsyncSession, person: Person, _now: datetime) -> None:
        """Failed tries are forgotten; the hash goes with the account's row."""
        await repository.clear_failures(db, *self._lanes(person))

    def _lanes(self, person: Person) -> tuple[bytes, ...]:
        return failure_lanes_of(self._kit, person.id, person.username_key, person.email_key)
