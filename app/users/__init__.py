"""Users: the account record, and what admins do to it.

Owns: tables users and hash_schemes, /users/*, socket ACCESS_ENDED. Needs: audit, tickets.
"""
