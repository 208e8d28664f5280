"""Remembers for five seconds what a row said, as a cache would."""

from tests.faults.launching import launch
from tests.faults.remembering import remember_rows

remember_rows(5.0)

if __name__ == "__main__":
    launch()
