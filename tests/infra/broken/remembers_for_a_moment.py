"""Remembers for 50 ms what a row said."""

from tests.faults.launching import launch
from tests.faults.remembering import remember_rows

remember_rows(0.05)

if __name__ == "__main__":
    launch()
