"""Signs in by a password that was right when its check began, whatever happened to the account meanwhile."""

from typing import Any

from app.auth import service
from app.users import service as users
from tests.faults.launching import launch, put


async def _lock_unchanged(db: Any, attempt: Any) -> Any:
    return await users.lock_user(db, attempt.candidate.id) if attempt.candidate.id else None


put(service, "_lock_unchanged", _lock_unchanged)

if __name__ == "__main__":
    launch()
