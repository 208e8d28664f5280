"""Impersonation: support acts as a person for half an hour, with a reason, marked wherever it shows.

Owns: no table; columns of sessions say who acts. Needs: auth (sessions), users, audit, mail.
"""
