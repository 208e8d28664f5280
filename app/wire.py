"""A connection of psycopg's, spoken to by libpq itself: a statement costs a third of what a cursor takes (docs/adr/0028).

psycopg opens and closes the connection, and commits and rolls back; its adapters say how values go in and come out.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection, OperationalError
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

Row = Sequence[Any]
GOOD = {ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK}


class Wire:
    """One statement at a time. Each is prepared on its connection when it is first put, which is kept until that closes.

    What is broken off leaves it `at_work`, at a place that nobody knows: whoever asked has to close the connection.
    """

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self.connection = connection
        self.at_work = False
        self._pq = connection.pgconn
        self._values = Transformer(connection)
        # By text and types: the same statement with other types (NULL has none) is another to PostgreSQL. There are as many
        # as the code has statements, whatever is sent to us.
        self._prepared: dict[tuple[bytes, tuple[int, ...]], bytes] = {}

    async def execute(self, text: bytes, parameters: Sequence[Any]) -> list[Row]:
        """The rows of a statement whose parameters are $1, $2 …; it begins a transaction where none is open.

        Raises:
            psycopg.Error: as a cursor does.
        """
        pq, values = self._pq, self._values
        dumped = values.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
        types, formats = values.types or (), values.formats
        name, begins = self._prepared.get((text, types)), pq.transaction_status == TransactionStatus.IDLE
        self.at_work = True
        if name is not None and not begins:
            pq.send_query_prepared(name, dumped, formats)
            results = await self._results(ahead=False)
        else:  # all in one round trip
            new_name = name or b"authkeep_%d" % len(self._prepared)
            pq.enter_pipeline_mode()
            if begins:
                pq.send_query_params(b"BEGIN", None)
            if name is None:
                pq.send_prepare(new_name, text, types)
            pq.send_query_prepared(new_name, dumped, formats)
            pq.pipeline_sync()
            results = await self._results(ahead=True)
            pq.exit_pipeline_mode()
            if name is None and results[begins].status == ExecStatus.COMMAND_OK:  # whatever then comes of the statement
                self._prepared[text, types] = new_name
        self.at_work = False
        for result in results:
            if result.status not in GOOD:
                raise error_from_result(result)
        values.set_pgresult(results[-1])
        return values.load_rows(0, results[-1].ntuples, tuple)

    async def _results(self, *, ahead: bool) -> list[PGresult]:
        """What is answered to all that was sent; with `ahead`, more was sent than one statement."""
        answer = _Answer(self._pq, ahead=ahead)
        try:
            return await answer.future
        finally:
            answer.unwatch()


class _Answer:
    """Reads the results of one round trip as they come, and writes what the socket did not take at once."""

    def __init__(self, pq: Any, *, ahead: bool) -> None:
        self._pq, self._ahead = pq, ahead
        self._loop = asyncio.get_running_loop()
        self._found: list[PGresult] = []
        self._socket, self._watched, self._writes = pq.socket, True, False
        self.future: asyncio.Future[list[PGresult]] = self._loop.create_future()
        self._loop.add_reader(self._socket, self._read)
        self._write()

    def unwatch(self) -> None:
        """Look at the socket no more. Once only: libpq closes it when the server goes, and its number may soon be another's."""
        if self._watched:
            self._watched = False
            self._loop.remove_reader(self._socket)
            if self._writes:
                self._loop.remove_writer(self._socket)

    def _write(self) -> None:
        try:
            unsent = bool(self._pq.flush())
        except OperationalError as error:
            self._end(error)
            return
        if unsent and not self._writes:
            self._loop.add_writer(self._socket, self._write)
        elif self._writes and not unsent:
            self._loop.remove_writer(self._socket)
        self._writes = unsent

    def _read(self) -> None:
        try:
            self._pq.consume_input()
            while not self._pq.is_busy():  # asked before each result: to wait for the rest of one is the event loop's business
                result = self._pq.get_result()
                if result is not None and result.status != ExecStatus.PIPELINE_SYNC:
                    self._found.append(result)
                elif result is not None or not self._ahead:  # between the results of several there is a None for each
                    self._end(None)
                    return
        except OperationalError as error:
            self._end(error)

    def _end(self, error: OperationalError | None) -> None:
        self.unwatch()
        if self.future.done():
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(self._found)
