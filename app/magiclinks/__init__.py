"""Magic links: sign-in by a mailed link or code, bound to the browser that asked.

Owns: /auth/magic-link, mails "magic-link", ticket purpose "magic-link". Needs: auth, users, tickets, mail, audit.
"""
