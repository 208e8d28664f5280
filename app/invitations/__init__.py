"""Invitations: an admin gives an address leave to register, with a role.

Owns: table invitations, /users/invitations, /auth/invitations, mail "invitation", ticket purpose "invitation". Needs: auth,
users, tickets, mail, audit.
"""
