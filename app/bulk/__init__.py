"""Bulk: one action on many accounts, done by a job one account at a time, so that it can be watched, stopped and resumed.

Owns: tables bulk_actions and bulk_items. Needs: what the actions are: users, auth, passwords, mfa, verification.
"""
