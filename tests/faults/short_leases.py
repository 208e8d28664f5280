"""The server as it is, but a job of a worker that died is taken up by another one after two seconds instead of sixty."""

from datetime import timedelta

from app.jobs import worker
from app.webhooks import sending
from tests.faults.launching import launch, put

put(worker, "LEASE", timedelta(seconds=2))
put(sending, "LEASE", timedelta(seconds=2))

if __name__ == "__main__":
    launch()
