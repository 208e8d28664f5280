"""The command line as it is, but an import commits every twenty people: there are many moments to be killed at."""

from app.transfer import service
from tests.faults.launching import launch, put

put(service, "BATCH", 20)

if __name__ == "__main__":
    launch()
