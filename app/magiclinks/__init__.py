"""Magic links: sign-in by a mailed link or code, bound to the browser that asked unless the person says otherwise.

Owns: /auth/magic-link, mail and ticket purpose "magic-link", mail "password-voided". Needs: auth, users, tickets, mail,
audit. There only if MAGIC_LINK is true.
"""
