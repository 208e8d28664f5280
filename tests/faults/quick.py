"""The server as it is."""

from tests.faults.launching import launch

if __name__ == "__main__":
    launch()
