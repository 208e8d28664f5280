"""Moments as other systems write them: ISO 8601, UTC where no zone is said, and within what both databases can hold."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
SLACK = timedelta(days=1)  # that the clock of another machine may be ahead


def is_to_come(moment: datetime | None, now: datetime) -> bool:
    """Whether it can't have been yet, on any machine whose clock is nearly right."""
    return moment is not None and moment > now + SLACK


def _moment(value: Any) -> Any:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("moment", "A moment as ISO 8601 writes it is wanted")
    try:
        moment = datetime.fromisoformat(value)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise PydanticCustomError("moment", "A moment as ISO 8601 writes it is wanted") from None
    if moment < EARLIEST:
        raise PydanticCustomError("moment", "Before 1970")
    return moment


Moment = Annotated[datetime, BeforeValidator(_moment)]
