"""A clock that tests move forward."""

from datetime import UTC, datetime, timedelta


class TravellingClock:
    """Tells the real time plus all that was travelled; pass it as `create_app(settings, clock=clock)`."""

    def __init__(self) -> None:
        self.travelled = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.travelled

    def advance(self, by: timedelta = timedelta(), *, seconds: float = 0) -> datetime:
        """Move forward; returns the new time."""
        self.travelled += by + timedelta(seconds=seconds)
        return self()
