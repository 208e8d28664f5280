"""/auth/magic-link and /auth/magic-link/verify."""

from fastapi import APIRouter, Request, Response

from app.auth.cookies import hand_over, held_by
from app.auth.deps import Auth
from app.auth.schemas import LoginOut, OwedOut
from app.auth.sessions import Pair, end_replaced
from app.auth.steps import Owed
from app.core.caller import PUBLIC
from app.core.client import ClientOf
from app.core.cookies import DEVICE, REMEMBERED
from app.core.csrf import check_origin_if_any
from app.core.deps import Db, Now, ServerOf, Transactions
from app.core.errors import CsrfRefused, TooManyRequests
from app.core.limits import Limited
from app.core.problems import JSON_BODY, refusals
from app.core.wire import JSON_ONLY
from app.magiclinks import service
from app.magiclinks.deps import Magic, asking_browser, forget_browser, remember_browser
from app.magiclinks.errors import OtherBrowser
from app.magiclinks.schemas import MagicLinkIn, MagicLinkOut, MagicSignInIn
from app.tickets.service import TicketInvalid

router = APIRouter(prefix="/auth", tags=["magic links"], dependencies=[JSON_ONLY])


@router.post(
    "/magic-link",
    status_code=202,
    summary="Ask for a sign-in link",
    dependencies=[PUBLIC, Limited("magic_link")],
    responses=refusals(*JSON_BODY, TooManyRequests),
)
async def ask_magic_link(
    body: MagicLinkIn,
    request: Request,
    response: Response,
    db: Db,
    server: ServerOf,
    kit: Magic,
    client: ClientOf,
    now: Now,
) -> MagicLinkOut:
    """Have a link and a code mailed, if there is such an account: the answer is the same, at the same time, if there is none."""
    secret = remember_browser(request, response, kit)
    await service.ask(db, server.limits, kit, body.email, secret, client, now)
    return MagicLinkOut(request=secret)


@router.post(
    "/magic-link/verify",
    response_model=LoginOut | OwedOut,
    summary="Sign in by a mailed link or code",
    dependencies=[PUBLIC, Limited("magic_link_verify")],
    responses=refusals(TicketInvalid, OtherBrowser, CsrfRefused, *JSON_BODY, TooManyRequests),
)
async def sign_in_by_mail(
    body: MagicSignInIn,
    request: Request,
    response: Response,
    database: Transactions,
    server: ServerOf,
    auth: Auth,
    kit: Magic,
    client: ClientOf,
    now: Now,
) -> Pair | Owed:
    """Open a session by the token of a link, or by address and code, in the browser that asked for it. In another one the
    answer is `other_browser`, until `confirm` says that the person was told.
    """
    check_origin_if_any(server, request.scope)
    secrets = (body.request, asking_browser(request))
    device, remembered = body.device or server.cookies.read(request.scope, DEVICE), server.cookies.read(request.scope, REMEMBERED)
    async with database.write() as db:
        pair = await service.sign_in(
            db, auth, kit, body.proof, secrets, device, client, now, confirmed=body.confirm, remembered=remembered
        )
    if isinstance(pair, Owed):
        forget_browser(request, response)
        return pair
    by_cookie = body.transport == "cookie"
    if by_cookie:
        await end_replaced(database, auth, held_by(request), client, now)
    forget_browser(request, response)
    return hand_over(response, server, pair, now, by_cookie=by_cookie)
