"""The account pages: what people do for themselves with a browser. No tables: each page calls the service its route calls.

Owns: /account/*, /.well-known/change-password. Needs: auth, passwords, verification, magiclinks, invitations, privacy.
Plugs into core.ERROR_PAGE.
"""
