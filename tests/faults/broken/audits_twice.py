"""Writes every security event down twice."""

from typing import Any

from app.audit import service as audit
from tests.faults.launching import launch, put

record = audit.record


async def _record_twice(*arguments: Any, **more: Any) -> None:
    await record(*arguments, **more)
    await record(*arguments, **more)


put(audit, "record", _record_twice)

if __name__ == "__main__":
    launch()
