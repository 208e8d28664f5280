"""Every metric there is: docs/metrics.md has the same table. The values of each label are from a closed list, or our routes."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Named:
    """One metric, without the endings that its samples get."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    words: str


INFO = Named("authkeep_info", "gauge", ("version",), "1; the version of this process")
REQUESTS = Named(
    "authkeep_http_requests_total",
    "counter",
    ("method", "route", "status"),
    "Requests answered. route is the template, none for an unknown path; status is 2xx and so on, none where no answer was sent",
)
DURATION = Named(
    "authkeep_http_request_duration_seconds",
    "histogram",
    ("method", "route", "status"),
    "How long answers took; those that are streamed are left out",
)
LOGINS = Named("authkeep_logins_total", "counter", ("result",), "Logins by what came of them")
FACTS = Named("authkeep_security_events_total", "counter", ("fact",), "What this process wrote into the audit log")
LIMITED = Named("authkeep_rate_limited_total", "counter", ("rule",), "Requests over a limit by address or by what was typed")
HASHING = Named("authkeep_hashing", "gauge", ("state",), "Password hashes under way: running in a thread, waiting for one")
HASHING_THREADS = Named("authkeep_hashing_threads", "gauge", (), "Threads that hash")
HASHING_FREE = Named("authkeep_hashing_places_free", "gauge", (), "How many more may come before one is shed")
SHED = Named("authkeep_hashing_shed_total", "counter", (), "Requests that got 503 because the queue for hashing was full")
BATCH = Named(
    "authkeep_batch_size",
    "histogram",
    ("of",),
    "How many questions shared a statement (sessions), a commit (refreshes) or a round trip to Redis (blocklist)",
)
UP = Named(
    "authkeep_up", "gauge", ("check",), "1: the check of /health/ says ok; 0: it does not. Without Redis there is no redis"
)
REDIS_PAUSED = Named("authkeep_redis_paused", "gauge", (), "1: Redis did not answer, and is left alone for a second")
REDIS_UNANSWERED = Named("authkeep_redis_unanswered_total", "counter", (), "How often Redis did not answer in time")
CONNECTIONS = Named(
    "authkeep_database_connections", "gauge", ("pool", "state"), "Connections to the database: in_use, idle (open and free)"
)
CONNECTIONS_MOST = Named("authkeep_database_connections_most", "gauge", ("pool",), "How many connections there may be")
STORED_UP = Named(
    "authkeep_stored_up", "gauge", (), "1: the database was read for the metrics below; 0: it was not, and they are absent"
)
JOBS = Named("authkeep_jobs", "gauge", ("kind", "state"), "Jobs, mails among them: queued, running, dead (given up)")
JOBS_LATE = Named("authkeep_jobs_late_seconds", "gauge", (), "For how long the oldest job that is due has been so")
UNSEALED = Named(
    "authkeep_audit_unsealed_seconds", "gauge", (), "For how long the oldest row of the audit log has waited for its seal"
)
FOREIGN = Named("authkeep_audit_foreign_rows", "gauge", (), "1: the audit log holds a row that the server did not write")

STORED = (JOBS, JOBS_LATE, UNSEALED, FOREIGN)
OWN = (
    INFO,
    REQUESTS,
    DURATION,
    LOGINS,
    FACTS,
    LIMITED,
    HASHING,
    HASHING_THREADS,
    HASHING_FREE,
    SHED,
    BATCH,
    UP,
    REDIS_PAUSED,
    REDIS_UNANSWERED,
    CONNECTIONS,
    CONNECTIONS_MOST,
    STORED_UP,
)
PROCESS = (  # prometheus-client's own, of Linux
    Named("process_cpu_seconds_total", "counter", (), "Total user and system CPU time spent in seconds"),
    Named("process_resident_memory_bytes", "gauge", (), "Resident memory size in bytes"),
    Named("process_virtual_memory_bytes", "gauge", (), "Virtual memory size in bytes"),
    Named("process_open_fds", "gauge", (), "Number of open file descriptors"),
    Named("process_max_fds", "gauge", (), "Maximum number of open file descriptors"),
    Named("process_start_time_seconds", "gauge", (), "Start time of the process since unix epoch in seconds"),
)
EVERY = (*OWN, *STORED, *PROCESS)
