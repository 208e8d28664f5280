"""Second factors: one-time codes of an authenticator app (TOTP), recovery codes, and who must have a factor.

Owns: tables totp_factors, recovery_codes and mfa_requirements, /auth/mfa*, /auth/login/totp, /auth/login/recovery,
/users/{id}/mfa, mails "recovery-codes", "recovery-code-used", "factor-required", "factor-not-required" and "factors-reset".
Needs: auth, users, audit, mail. Plugs into auth.FACTORS, auth.LOGIN_STEPS, auth.SECOND_PROOFS.
"""
