"""What was made of a row, as long as the row says the same."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")
KEPT = 16_384


class Parsed(Generic[Value]):
    """One value a key, with the raw row that it was made of: a row that differs in anything is parsed anew, in its place.

    Of the keys, the one that came first is forgotten first.
    """

    def __init__(self, parse: Callable[[Any], Value]) -> None:
        self._parse = parse
        self._known: OrderedDict[bytes | str, tuple[Any, Value]] = OrderedDict()

    def of(self, key: bytes | str, raw: Any) -> Value:
        """The value of a raw row."""
        known = self._known.get(key)
        if known is not None and known[0] == raw:
            return known[1]
        value = self._parse(raw)
        self._known[key] = raw, value
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return value
