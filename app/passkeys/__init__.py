"""Passkeys and security keys (WebAuthn Level 3): as a second factor, and as the whole login.

Owns: tables passkeys and passkey_challenges, /auth/passkeys, /auth/login/passkey, /auth/reauthenticate/passkey. Needs: auth,
users, audit.
"""
