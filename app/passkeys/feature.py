"""What passkeys plug in."""

from app.auth.sockets import FACTORS, SECOND_PROOFS, Factor
from app.core.brand import Brand
from app.core.crypto import derive_key
from app.core.csrf import origin_of
from app.core.personal import PERSONAL_DATA
from app.core.server import Server
from app.jobs.sockets import DAILY
from app.passkeys import repository, service
from app.passkeys.deps import PasskeyKit
from app.passkeys.login_routes import router as login_router
from app.passkeys.logins import PasskeyProof
from app.passkeys.personal import PasskeysOf
from app.passkeys.routes import router
from app.passkeys.service import KIND


def install(server: Server) -> None:
    """Add, list and remove passkeys; sign in by them."""
    settings = server.settings
    kit = PasskeyKit(
        rp_id=settings.rp_id,
        rp_name=server.kit(Brand).product,
        origins=settings.PASSKEY_ORIGINS or (origin_of(settings.public_url),),
        fake_key=derive_key(settings.SECRET_KEY.get_secret_value(), "passkey-fakes"),
    )
    server.provide(kit)
    server.plug(FACTORS, Factor(KIND, owes=True, ids=repository.IDS_OF, remove=service.remove_all))
    server.plug(SECOND_PROOFS, PasskeyProof(kit))
    server.plug(PERSONAL_DATA, PasskeysOf())
    server.plug(DAILY, service.tidy)
    server.routers += [router, login_router]
