"""The garbage collector, tamed: it stops the event loop for as long as it looks at every object there is."""

import atexit
import gc
from functools import cache

# Almost nothing a request makes is part of a cycle, so the young are looked at every 5,000 net allocations instead of 700. More
# would save nothing that can be measured, and let a megabyte or more of dead cycles wait.
THRESHOLDS = (5_000, 10, 20)


def leave_lightly() -> None:
    """Let this process end without a last look at every object there is, which takes the better part of a second."""
    atexit.register(gc.freeze)


@cache
def settle() -> None:
    """Once per process, when it is ready to serve: leave out of every later look what was loaded until now.

    What of it is garbage stays: two thousand small objects of two hundred thousand. To look for them took a tenth of the start.
    """
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
