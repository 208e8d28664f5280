"""Leaves out what the row says of a session's end; only Redis refuses."""

from app.infra import sessions_sqlite
from app.infra.sessions_postgres import PostgresSessionChecks
from tests.faults.launching import launch, put


def leave_out_the_row() -> None:
    put(sessions_sqlite, "FIND_LIVE", sessions_sqlite.FIND_LIVE.replace("s.ended_at IS NULL AND ", ""))
    put(PostgresSessionChecks, "statement", PostgresSessionChecks.statement.replace(b"s.ended_at IS NULL AND ", b""))


leave_out_the_row()

if __name__ == "__main__":
    launch()
