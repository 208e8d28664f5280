"""Privacy: everything held about oneself in one document, and leaving.

Owns: /auth/me/export, DELETE /auth/me, the erasure of who left. Needs: auth, users, and every feature's part of
core.PERSONAL_DATA.
"""
