"""Auth: register, login, logout, refresh, me; sessions, known devices, failed logins, tokens, the blocklist.

Owns: tables sessions, known_devices and login_failures, most of /auth/*, mails "signed-out-for-safety" and "login-stopped".
Needs: users, audit, mail, jobs. Plugs into core.CREDENTIALS, users.ACCESS_ENDED, jobs.DAILY.
"""
