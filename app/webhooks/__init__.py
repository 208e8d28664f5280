"""Webhooks: receivers that staff name are told of the security events they chose, signed (Standard Webhooks), for three days.

Owns: tables webhook_endpoints, webhook_deliveries, webhook_attempts and webhook_cursor, /webhooks. Needs: audit, jobs, users.
"""
