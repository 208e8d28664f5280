"""Metrics: what this process did, and what waits in the database, in Prometheus' text.

Owns: /metrics, the port METRICS_PORT. Needs: what counts already: core's latency and limits, auth, audit, jobs, health.
"""
