"""Passwords: forgot, reset, change, set by the operator.

Owns: /auth/forgot-password, /auth/reset-password, /auth/change-password, mails "password-reset" and
"password-changed", ticket purpose "password-reset". Needs: auth (sessions, hashing, rules), users, tickets, mail, audit.
"""
