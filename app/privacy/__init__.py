"""Privacy: what people may change, read and remove of what is held about them.

Owns: PATCH and DELETE /auth/me, /auth/me/export, the erasure of who left. Needs: auth, users, and every feature's part of
core.PERSONAL_DATA.
"""
