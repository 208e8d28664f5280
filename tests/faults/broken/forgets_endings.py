"""Leaves out both checks of a session's end: the row's and Redis's."""

from typing import Any

from app.auth.blocklist import Blocklist
from tests.faults.broken import trusts_redis_alone
from tests.faults.launching import launch, put


async def _refuses(*_: Any) -> bool:
    return False


trusts_redis_alone.leave_out_the_row()
put(Blocklist, "refuses", _refuses)

if __name__ == "__main__":
    launch()
