"""Mail addresses: proving them, at registration and later; changing them, and taking a change back.

Owns: tables pending_registrations and email_changes, /auth/verify-email, /auth/me/email. Needs: auth, users, tickets, mail.
"""
