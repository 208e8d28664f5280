"""What the account pages plug in."""

from app.account import (
    acting_pages,
    activity,
    entry_pages,
    link_pages,
    magic_pages,
    own_pages,
    recovery_pages,
    security_pages,
    step_pages,
    verdict,
)
from app.account.face import error_page
from app.core.problems import ERROR_PAGE
from app.core.server import Server


def install(server: Server) -> None:
    """The pages, and how an error looks on one."""
    server.plug(ERROR_PAGE, error_page)
    for router in (
        entry_pages.pages,
        step_pages.pages,
        activity.pages,  # before it: there any other path leads back
        security_pages.pages,
        recovery_pages.pages,
        link_pages.pages,
        own_pages.pages,
        own_pages.well_known,
        acting_pages.pages,
        verdict.pages,
    ):
        server.routers.append(router)
    if server.settings.MAGIC_LINK:
        server.routers.append(magic_pages.pages)
