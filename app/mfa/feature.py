"""What second factors plug in."""

from datetime import timedelta

from app.auth.deps import AuthKit
from app.auth.sockets import FACTORS, LOGIN_STEPS, SECOND_PROOFS, Factor
from app.core.crypto import Sealer, derive_key
from app.core.personal import PERSONAL_DATA
from app.core.server import Server
from app.mfa import repository
from app.mfa.deps import MfaKit
from app.mfa.personal import FactorsOf
from app.mfa.policy import MfaStep
from app.mfa.proofs import RECOVERY, TOTP, RecoveryProof, TotpProof
from app.mfa.routes import router


def install(server: Server) -> None:
    """Authenticator apps and recovery codes; and the step that whoever logs in owes by them, or by MFA."""
    settings, secret = server.settings, server.settings.SECRET_KEY.get_secret_value()
    kit = MfaKit(
        sealer=Sealer(derive_key(secret, "totp-secrets")),
        code_key=derive_key(secret, "recovery-codes"),
        issuer=settings.product_name,
        rule=settings.MFA,
        grace=timedelta(days=settings.MFA_GRACE_DAYS),
    )
    server.provide(kit)
    server.plug(FACTORS, Factor(TOTP, True, repository.TOTP_IDS, repository.delete_totp))
    server.plug(FACTORS, Factor(RECOVERY, False, repository.CODE_IDS, repository.delete_codes))
    server.plug(LOGIN_STEPS, MfaStep(server.kit(AuthKit), kit))
    for proof in (TotpProof(kit), RecoveryProof(kit)):
        server.plug(SECOND_PROOFS, proof)
    server.plug(PERSONAL_DATA, FactorsOf())
    server.routers.append(router)
