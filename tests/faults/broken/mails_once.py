"""Tries to send a mail once."""

import uuid
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.jobs import repository
from tests.faults.launching import launch, put


async def _postpone_job(db: AsyncSession, job_id: uuid.UUID, lease: uuid.UUID, *_: Any) -> None:
    await repository.finish_job(db, job_id, lease)


put(repository, "postpone_job", _postpone_job)

if __name__ == "__main__":
    launch()
