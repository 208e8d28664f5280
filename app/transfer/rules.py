"""What the operator allows a file."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from app.auth.carried import MOST_BCRYPT
from app.transfer.errors import Unusable

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator allows a file."""

    derive: bool = False  # usernames that are not allowed here are made new
    trusted: bool = False  # roles above user, and reserved names
    drop: bool = False  # what can't be carried over; the person comes without
    most_bcrypt: int = MOST_BCRYPT  # its dearest cost

    def carry(self, read: Callable[..., Value | None], *arguments: object) -> Value | None:
        """What `read` makes of a part of a row; None if that can't be carried over, and may be dropped.

        Raises:
            Unusable: it can't, and may not.
        """
        try:
            return read(*arguments)
        except Unusable:
            if self.drop:
                return None
            raise
