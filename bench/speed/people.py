"""Starts and stops the people of logging_in.py."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.speed.logging_in import BEGUN, Seen
from bench.speed.stand import Stand
from bench.speed.wrk import Feed, UnmeasuredError
from tests.support.processes import ROOT, reap_if_we_die


@dataclass(slots=True)
class People:
    """A process of people, running."""

    process: subprocess.Popen[str]

    def stop(self) -> Seen:
        """Make them go away at once; what they saw.

        Raises:
            UnmeasuredError: there was something else than 200 and 503 with Retry-After.
        """
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=30)
        seen = Seen(**json.loads(said))
        if seen.others:
            raise UnmeasuredError(f"logins were answered otherwise than by 200 or 503 with Retry-After: {seen.others}")
        return seen


@contextmanager
def logging_in(stand: Stand, port: int, feed: Feed, connections: int) -> Iterator[People]:
    """So many people who log in until they are stopped."""
    file = stand.new_folder() / "people.json"
    task = {"port": port, "file": str(feed.file), "first": feed.position, "connections": connections}
    file.write_text(json.dumps(task))
    command = [sys.executable, "-m", "bench.speed.logging_in", str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        reap_if_we_die(process.pid)
        try:
            assert process.stdout is not None
            if process.stdout.readline().strip() != BEGUN:
                raise UnmeasuredError("nobody began to log in")
            yield People(process)
        finally:
            process.kill()
