"""Why a row, or a whole file, is not taken."""


class Refused(Exception):
    """A row that is not taken: what of it, and why. Neither holds anything of the row's own."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")
        self.what, self.why = what, why


class Unusable(Refused):
    """A part of a row that can't be carried over, while the person could be."""


class BadFile(Exception):
    """A file that can't be read at all, or options that don't fit it; the message says why."""
