"""The clock of these tests: it ticks by itself, and begins well within a step of 30 seconds."""

import pytest

from tests.auth.holding import TickingClock
from tests.mail.postman import postman
from tests.support.clock import TravellingClock

__all__ = ["clock", "postman"]


@pytest.fixture
def clock() -> TravellingClock:
    clock = TickingClock()
    clock.advance(seconds=35 - clock().timestamp() % 30)
    return clock
