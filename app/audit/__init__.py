"""Audit: one row for every security event, in the transaction of what it tells.

Owns: table audit_events. Needs: nothing but core; whoever acts calls `service.record`.
"""
