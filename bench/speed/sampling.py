"""Launches the server with a sampler in it: every millisecond of processor time it notes which stage the event loop is in.

Each sample weighs as much processor time of the loop's thread as passed since the one before, so the stages add up to what the
thread took. SIGUSR1 begins, SIGUSR2 writes what was found to the file named by SAMPLES.
"""

import gc
import json
import os
import signal
import time
from pathlib import Path
from types import CodeType, FrameType

from app.config import Settings
from bench.speed.stages import COLLECTOR, LOOP, stage_of_place

INTERVAL_SECONDS = 0.001
_known: dict[CodeType, str | None] = {}


class Sampler:
    """Seconds of the main thread's processor time by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = 0.0
        self._collecting = 0.0

    def begin(self, *_: object) -> None:
        """From now on."""
        self.seconds.clear()
        self._last = time.thread_time()
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_SECONDS, INTERVAL_SECONDS)

    def end(self, *_: object) -> None:
        """Write it down."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        target = Path(os.environ["SAMPLES"])
        target.with_suffix(".new").write_text(json.dumps(self.seconds))
        target.with_suffix(".new").rename(target)

    def sample(self, _number: int, frame: FrameType | None) -> None:
        """One look at where the main thread is."""
        now = time.thread_time()
        stage = LOOP
        while frame is not None:
            code = frame.f_code
            if code not in _known:
                _known[code] = stage_of_place(f"{code.co_filename}:{code.co_qualname}")
            if (found := _known[code]) is not None:
                stage = found
                break
            frame = frame.f_back
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = time.thread_time()  # the look itself is nobody's

    def collect(self, phase: str, _info: dict[str, int]) -> None:
        """The garbage collector begins or ends, in whatever stage."""
        now = time.thread_time()
        if phase == "start":
            self._collecting = now
            return
        self.seconds[COLLECTOR] = self.seconds.get(COLLECTOR, 0.0) + now - self._collecting
        self._last += now - self._collecting


def main() -> None:
    """The server's own command line, watched."""
    sampler = Sampler()
    signal.signal(signal.SIGPROF, sampler.sample)
    signal.signal(signal.SIGUSR1, sampler.begin)
    signal.signal(signal.SIGUSR2, sampler.end)
    gc.callbacks.append(sampler.collect)
    if os.environ.get("ENVIRONMENT") == "development":  # for cheap hashes; see cheap_hashes.py
        Settings.is_development = property(lambda _: False)  # type: ignore[method-assign, assignment]
    from app.cli.app import main as command

    command()


if __name__ == "__main__":
    main()
