"""Ends at SIGTERM without a look at who is waiting."""

import os
from typing import Any

import uvicorn

from tests.faults.launching import launch, put


def _handle_exit(*_: Any) -> None:
    os._exit(0)


put(uvicorn.Server, "handle_exit", _handle_exit)

if __name__ == "__main__":
    launch()
