"""Files as records, a piece at a time: nothing is held but one row, and a row is as long as MOST_ROW at most."""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from app.transfer.errors import BadFile, Refused

MOST_ROW = 1024 * 1024  # bytes
CHUNK = 64 * 1024
BOM = b"\xef\xbb\xbf"
TOO_LONG = Refused("row", "longer than a megabyte")
OPEN = Refused("row", "a quote that begins here has no end: nothing behind it was read")


@dataclass(frozen=True, slots=True)
class Record:
    """A row as it stands in the file: its line, and its values by name, or why it has none."""

    line: int
    values: dict[str, Any]
    refused: Refused | None = None


class Lines:
    """A file's lines, as text. A line, or a row of several, that is too long is left out: asking for it raises; then it goes on
    behind it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._quotes = self._size = 0  # of the row so far
        self.number = 0

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        raw = self._read()
        if not raw:
            raise StopIteration
        self.number += 1
        if self.number == 1:
            raw = raw.removeprefix(BOM)
        if len(raw) == MOST_ROW and not raw.endswith(b"\n"):
            while (rest := self._read()) and not rest.endswith(b"\n"):
                pass
        if self._size > MOST_ROW:
            raise TOO_LONG
        # Bytes that are no UTF-8 become lone surrogates, which no value may hold: the row is refused, not the file.
        return raw.decode("utf-8", "surrogateescape")

    def begin(self) -> None:
        """A row begins here."""
        self._quotes = self._size = 0

    def leave_cell(self) -> bool:
        """Go on to the end of the quoted cell in which the row was given up; False if the file ends before.

        What stands in a cell was typed by somebody: a line of it must never be taken for a row. A quote within a cell is
        written twice, so that their number is odd exactly while one is open.
        """
        while self._quotes % 2:
            try:
                next(self)
            except Refused:
                continue
            except StopIteration:
                return False
        return True

    def _read(self) -> bytes:
        raw = self._file.readline(MOST_ROW)
        self._quotes += raw.count(b'"')
        self._size += len(raw)
        return raw


def read_jsonl(file: BinaryIO) -> Iterator[Record]:
    """A JSON object on each line; empty lines are nothing."""
    lines = Lines(file)
    while True:
        lines.begin()
        try:
            line = next(lines)
        except StopIteration:
            return
        except Refused as refused:
            yield Record(lines.number, {}, refused)
            continue
        if line.strip():
            yield parse(lines.number, line)


def parse(line: int, text: str) -> Record:
    """A JSON object as a record."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return Record(line, {}, Refused("row", "this is not JSON"))
    if not isinstance(values, dict):
        return Record(line, {}, Refused("row", "this is not a JSON object"))
    return Record(line, values)


def read_csv(file: BinaryIO, columns: Iterable[str] = ()) -> Iterator[Record]:
    """Rows by the names in the first one; an empty cell is no value. A quoted cell may hold ends of lines.

    Raises:
        BadFile: the first row holds no names, or not those of these columns.
    """
    csv.field_size_limit(MOST_ROW)
    lines = Lines(file)
    rows = csv.reader(lines, strict=True)
    try:
        names = next(rows, [])
    except (csv.Error, Refused):
        names = []
    if not names or len(set(names)) != len(names) or not all(name.isprintable() and name for name in names):
        raise BadFile("the first row of the file does not name its columns")
    if missing := [name for name in columns if name not in names]:
        raise BadFile(f"the file has no column {', '.join(missing)}")
    while True:
        line = lines.number + 1
        lines.begin()
        try:
            cells = next(rows)
        except StopIteration:
            return
        except (csv.Error, Refused) as error:
            why = error if isinstance(error, Refused) else Refused("row", "this is not CSV")
            yield Record(line, {}, why if lines.leave_cell() else OPEN)
            continue
        if len(cells) == len(names):
            yield Record(line, {name: cell for name, cell in zip(names, cells, strict=True) if cell})
        elif cells:
            yield Record(line, {}, Refused("row", "as many cells as the first row has are wanted"))


# A string, a bracket, or what is between them; only a string can't be cut anywhere.
PIECE = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\]]|[^"{}\[\]]++', re.DOTALL)

INSIDE = re.compile(r'(?:[^"\\]|\\.)*+', re.DOTALL)
LONG = f'"{"x" * MOST_ROW}"'  # stands for a string that is too long, and makes its row so


def _pieces(file: BinaryIO) -> Iterator[str]:
    # The bytes one by one: what marks the structure is ASCII, which is in no other character of UTF-8.
    rest, ended = "", False
    while not ended:
        chunk = file.read(CHUNK)
        text, at, ended = rest + chunk.decode("latin-1"), 0, not chunk
        while found := PIECE.match(text, at):
            yield found[0]
            at = found.end()
        rest = text[at:]
        if len(rest) > MOST_ROW:
            rest = _behind(file, rest)
            yield LONG
    if rest:
        raise BadFile("the file ends in the middle")


def _behind(file: BinaryIO, string: str) -> str:
    """What stands behind a string that has begun, and is too long to be kept."""
    found = INSIDE.match(string, 1)
    rest = string[found.end() :] if found else ""
    while chunk := file.read(CHUNK):
        text = rest + chunk.decode("latin-1")
        found = INSIDE.match(text)
        rest = text[found.end() :] if found else text
        if rest.startswith('"'):
            return rest[1:]
    raise BadFile("the file ends in the middle")


def read_array(file: BinaryIO, name: str) -> Iterator[Record]:
    """The objects of an array: the file as a whole, or what a document has under a name: `{"users": [{…}, {…}]}`.

    Raises:
        BadFile: there is no such array, or it has no end.
    """
    array = _Array(name)
    for piece in _pieces(file):
        record = array.feed(piece)
        if record is not None:
            yield record
        if array.ended:
            return
    if array.level:
        raise BadFile("the array in the file has no end")
    raise BadFile(f'there is no "{name}" in the file; JSON Lines are in files named .jsonl')


class _Array:
    """How far a document has been read: `level` is the depth of the array, once it has begun."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.level, self.ended = 0, False
        self._depth, self._line, self._began, self._size = 0, 1, 1, 0
        self._last = ""  # the text at the document's own level that was read last: the name of what comes
        self._parts: list[str] = []

    def feed(self, piece: str) -> Record | None:
        """One more piece, and the record that it is the end of."""
        opens, closes = piece in {"{", "["}, piece in {"}", "]"}
        if opens:
            self._open(piece)
        elif self._depth == 1 and piece[0] == '"':
            self._last = piece[1:-1]
        self._size += len(piece)
        if self.level and self._depth > self.level and self._size <= MOST_ROW:
            self._parts.append(piece)
        record = self._close() if closes else None
        if not (opens or closes) and self.level and self._depth == self.level and piece.strip(" \t\r\n,"):
            record = Record(self._line, {}, Refused("row", "this is not a JSON object"))
        self._line += piece.count("\n")
        return record

    def _open(self, piece: str) -> None:
        self._depth += 1
        is_wanted = self._depth == 1 or (self._depth == 2 and self._last == self._name)
        if not self.level and piece == "[" and is_wanted:
            self.level = self._depth
        elif self._depth == self.level + 1:
            self._parts, self._size, self._began = [], 0, self._line

    def _close(self) -> Record | None:
        self._depth -= 1
        self.ended = self._depth < self.level
        if not self.level or self._depth != self.level:
            return None
        text = "".join(self._parts).encode("latin-1").decode("utf-8", "surrogateescape")
        return Record(self._began, {}, TOO_LONG) if self._size > MOST_ROW else parse(self._began, text)
