"""Audit: one row for every security event, in the transaction of what it tells; chained, signed, and verifiable.

Owns: tables audit_events, audit_chain and audit_heads, sockets HEAD_SINKS and KEYS. Needs: jobs (steady work), mail (for heads);
whoever acts calls `service.record`.
"""
