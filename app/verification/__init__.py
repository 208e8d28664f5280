"""Mail addresses: proving them, at registration and later; changing them, and taking a change back.

Owns: tables pending_registrations and email_changes, /auth/verify-email, /auth/me/email, mails "verify-email", "address-taken",
"email-change", "email-changed" and "email-change-undone", ticket purposes "email-verification", "email-change" and
"email-undo". Needs: auth, users, tickets, mail, audit.
"""
