"""Signs in by a password that was right when its check began, whatever happened to the account meanwhile."""

from typing import Any

from app.auth import service
from app.users import service as users
from tests.faults.launching import launch, put


async def _touch_unchanged(db: Any, before: Any, _now: Any) -> Any:
    user = await users.lock_user(db, before.id) if before.id else None
    return user.account() if user else None


put(service, "_touch_unchanged", _touch_unchanged)

if __name__ == "__main__":
    launch()
