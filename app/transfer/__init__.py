"""Transfer: people brought in from files of other systems, and all accounts written out. A command's work, without routes.

Owns: no table. Needs: users, audit, auth (which hashes are taken), mfa, passkeys.
"""
