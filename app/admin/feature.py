"""What the console plugs in."""

from app.admin import (
    audit_pages,
    bulk_pages,
    home_pages,
    impersonation_pages,
    jobs_pages,
    lockouts_pages,
    mail_pages,
    making_pages,
    person_pages,
    settings_pages,
    users_pages,
    webhooks_pages,
)
from app.admin.entry import ConsoleDoor, ConsoleKit
from app.core.crypto import derive_key
from app.core.identity import DOORS
from app.core.server import Server


def install(server: Server) -> None:
    """The pages, and the key of who is in the console."""
    kit = ConsoleKit(derive_key(server.settings.SECRET_KEY.get_secret_value(), "console-entry"))
    server.provide(kit)
    server.plug(DOORS, ConsoleDoor(kit, server.cookies))
    for router in (
        home_pages.pages,
        bulk_pages.pages,
        impersonation_pages.pages,
        users_pages.pages,
        making_pages.pages,
        person_pages.pages,
        lockouts_pages.pages,
        audit_pages.pages,
        jobs_pages.pages,
        mail_pages.pages,
        webhooks_pages.pages,
        settings_pages.pages,
    ):
        server.routers.append(router)
