"""Auth: register, login, logout, refresh, me; sessions, known devices, failed logins, tokens, the blocklist.

Owns: tables sessions, login_attempts, known_devices, remembered_devices and login_failures, most of /auth/*, mails
"signed-out-for-safety", "login-stopped", "second-factor-failed", "factor-added" and "factor-removed".
Needs: users, audit, mail, jobs. Plugs into core.CREDENTIALS, users.ACCESS_ENDED, jobs.DAILY.
"""
