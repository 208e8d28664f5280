"""A bar on a terminal that shows how far something is."""

import sys

WIDTH = 30


def show(done: int, of: int, told: str) -> None:
    """Draw it anew, if there is somebody to see it; the last time with an end of line."""
    if sys.stderr.isatty() and of:
        part = min(done / of, 1)
        bar = "█" * int(part * WIDTH) + "░" * (WIDTH - int(part * WIDTH))
        sys.stderr.write(f"\r{bar} {part:4.0%}  {told}" + ("\n" if done >= of else ""))
        sys.stderr.flush()
