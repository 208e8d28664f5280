"""Files as records: what a reader makes of odd bytes, and that it holds no more than a row."""

import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.transfer import reading
from app.transfer.errors import BadFile
from app.transfer.reading import MOST_ROW, Record, read_array, read_csv, read_jsonl

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def values_of(records: Iterator[Record]) -> list[dict[str, Any]]:
    found = list(records)
    assert [record.refused for record in found if record.refused] == []
    return [record.values for record in found]


@given(st.lists(st.dictionaries(st.text(max_size=8), JSON, max_size=4), max_size=6), st.integers(1, 40), st.booleans(), JSON)
def test_an_array_is_read_as_json_reads_it(people: list[dict[str, Any]], chunk: int, ascii_only: bool, other: Any) -> None:
    document = {"users before": other, "nested": {"users": [{"no": 1}]}, "users": people, "after": other}
    whole, reading.CHUNK = reading.CHUNK, chunk
    try:
        for text in (json.dumps(document, ensure_ascii=ascii_only), json.dumps(people, ensure_ascii=ascii_only, indent=2)):
            assert values_of(read_array(io.BytesIO(text.encode()), "users")) == people
    finally:
        reading.CHUNK = whole


@given(st.binary(max_size=200) | st.text('{}[]",:\\u12 \n', max_size=60).map(str.encode))
def test_no_bytes_bring_a_reader_down(raw: bytes) -> None:
    for reader in (read_jsonl, read_csv, lambda file: read_array(file, "users")):
        try:
            records = list(reader(io.BytesIO(raw)))
        except BadFile:
            continue
        assert all(record.refused or isinstance(record.values, dict) for record in records)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b'{"people": []}',
        b'{"users": {}}',
        b'{"nested": {"users": [{}]}}',
        b'{"users": [{"a": 1}',
        b'{"users": [{"a": "',
        b'["' + b"x" * 3_000_000,
    ],
)
def test_a_document_without_the_array_or_its_end_is_refused(raw: bytes) -> None:
    with pytest.raises(BadFile):
        list(read_array(io.BytesIO(raw), "users"))


def test_what_is_no_object_or_too_long_is_refused_alone() -> None:
    long = '{"a": [' + '"x",' * (MOST_ROW // 4) + '"x"]}'
    text = '{"users": [1, {"a": 1},\n"b", [2],\n' + long + ',\n{"a": 2}, {"a": }, {"a": 3}]}'
    records = list(read_array(io.BytesIO(text.encode()), "users"))
    assert [(record.line, record.values.get("a")) for record in records if not record.refused] == [(1, 1), (4, 2), (4, 3)]
    assert [record.line for record in records if record.refused] == [1, 2, 2, 3, 4]


@pytest.mark.parametrize("filling", ["x", '\\"', "\\\\", "Ω"])
def test_a_text_of_any_length_costs_its_row_and_no_other(filling: str) -> None:
    text = '{"realm": "' + filling * MOST_ROW + '", "users": [{"a": 1}, {"b": "' + filling * 3 * MOST_ROW + '"}, {"a": 2}]}'
    records = list(read_array(io.BytesIO(text.encode()), "users"))
    assert [(record.values, record.refused is None) for record in records] == [({"a": 1}, True), ({}, False), ({"a": 2}, True)]


def test_lines_are_counted_over_cells_of_several_lines() -> None:
    table = b'a,b\r\n1,"x\r\ny"\r\n2\r\n3,z\r\n'
    records = list(read_csv(io.BytesIO(table)))
    assert [(record.line, record.values or None) for record in records] == [
        (2, {"a": "1", "b": "x\r\ny"}),
        (4, None),
        (5, {"a": "3", "b": "z"}),
    ]


@pytest.mark.parametrize(
    "filling",
    [
        b"x" * (MOST_ROW + 1),
        b"x" * (MOST_ROW - 1) + b"\n",
        (b"x" * 1000 + b"\n") * 2000,
        b'say ""' * MOST_ROW + b'""',
        b'""\n' * MOST_ROW,
    ],
    ids=["a long line", "a line as long as may be", "many lines", "a long line of quotes", "lines of quotes"],
)
def test_no_line_of_a_cell_is_ever_a_row(filling: bytes) -> None:
    """What stands in a cell was typed by somebody of whom the file tells, not by who wrote it."""
    table = b'id,about,email\n1,short,a@example.com\n2,"' + filling + b'\n3,evil,victim@example.com\n",b@example.com\n'
    table += b"4,short,c@example.com\n"
    records = list(read_csv(io.BytesIO(table)))
    assert [record.values["id"] for record in records if record.refused is None] == ["1", "4"]
    assert [record.line for record in records if record.refused] == [3]


def test_behind_a_quote_without_an_end_there_is_no_row() -> None:
    for filling in (b"short", b"x" * 2 * MOST_ROW, b"x" * 2 * MOST_ROW + b'" and more"'):
        records = list(read_csv(io.BytesIO(b'id,about\n1,x\n2,"' + filling + b"\n3,evil\n4,evil\n")))
        assert [record.values for record in records] == [{"id": "1", "about": "x"}, {}]
        assert records[1].refused is not None
        assert "has no end" in records[1].refused.why


def test_a_table_without_the_columns_that_must_be_there_is_refused() -> None:
    with pytest.raises(BadFile, match="no column email, password"):
        list(read_csv(io.BytesIO(b"username,e-mail\nanna,x\n"), ("username", "email", "password")))


def test_a_file_of_any_length_takes_the_memory_of_a_row() -> None:
    """The control is a list of the same rows."""
    line = json.dumps({"username": "x" * 400}) + "\n"

    class Endless(io.RawIOBase):
        left = 40_000

        def readline(self, _size: int | None = -1, /) -> bytes:
            self.left -= 1
            return line.encode() if self.left >= 0 else b""

        def read(self, _size: int = -1, /) -> bytes:
            is_first = self.left == 40_000
            self.left -= 100
            if is_first:
                return b'{"users": ['
            return (line.replace("\n", ",\n") * 100).encode() if self.left >= 0 else b""

    def peak(read: Any) -> int:
        tracemalloc.start()
        try:
            assert sum(1 for _ in read()) > 30_000
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def elements() -> Iterator[Record]:
        try:
            yield from read_array(Endless(), "users")  # type: ignore[arg-type]  # all that is read of it
        except BadFile:
            return  # it has no end

    streamed = [peak(lambda: read_jsonl(Endless())), peak(elements)]  # type: ignore[arg-type]  # as above
    assert max(streamed) < 2 * 2**20
    assert peak(lambda: list(read_jsonl(Endless()))) > 10 * max(streamed)  # type: ignore[arg-type]  # as above
