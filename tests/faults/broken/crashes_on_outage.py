"""Takes a database that is away for a mistake in the program."""

from app.core import edge, problems
from app.core.errors import AppError
from tests.faults.launching import launch, put


def _translate(error: Exception) -> AppError | None:
    return error if isinstance(error, AppError) else None


put(problems, "translate", _translate)
put(edge, "translate", _translate)

if __name__ == "__main__":
    launch()
