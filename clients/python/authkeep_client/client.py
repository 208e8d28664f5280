"""The dependency: reads the token, asks Authkeep, remembers a yes for as long as it was told to."""

import asyncio
import logging
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Annotated, Self

import httpx2
from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from authkeep_client.verdict import (
    ACTOR,
    LEVELS,
    User,
    check_assured,
    forbidden,
    not_proved,
    not_signed_in,
    not_themselves,
    unavailable,
    user_of,
)

MAX_CACHE_SECONDS = 30
MAX_REMEMBERED = 10_000
MAX_TOKEN = 8192
MAX_BODY = 65_536
MOST_SECONDS = 999_999_999
INSUFFICIENT = "insufficient_user_authentication"
CONNECT_SECONDS, TOTAL_SECONDS = 1.0, 2.0
IDLE_SECONDS = 4.0  # less than the 5 after which Authkeep closes an idle connection
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750; so nothing that could end the header
log = logging.getLogger("authkeep_client")


class _Bearer(SecurityBase):
    """Reads the token: here alone, so that what is checked is what is asked about."""

    def __init__(self) -> None:
        self.model = HTTPBearer(bearerFormat="JWT", description="An access token of Authkeep")
        self.scheme_name = "Authkeep"

    async def __call__(self, request: Request) -> str:
        values = request.headers.getlist("authorization")
        if not values:
            raise not_signed_in("Bearer")
        scheme, _, token = values[0].partition(" ")
        token = token.strip(" ")
        if len(values) > 1 or scheme.lower() != "bearer" or len(token) > MAX_TOKEN or not TOKEN.fullmatch(token):
            raise not_signed_in()
        return token


BEARER = _Bearer()


class Authkeep:
    """Asks the Authkeep at `url` who a caller is, over one pool of connections that `lifespan` opens and closes.

    With `cache_seconds` (0 to 30) a yes is remembered that long: a revoked token may pass for up to `cache_seconds` more, and
    so may a role that was taken away and a token that has expired. With 0 the next request is refused. A no, an error and an
    outage are never remembered.
    """

    def __init__(
        self,
        url: str,
        cache_seconds: float = 0,
        *,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        base = httpx2.URL(url)
        if base.scheme not in {"http", "https"} or not base.host or base.userinfo or base.query or base.fragment:
            raise ValueError("url: wanted https://auth.example.com")
        if not 0 <= cache_seconds <= MAX_CACHE_SECONDS:
            raise ValueError(f"cache_seconds: wanted 0 to {MAX_CACHE_SECONDS}")
        self._url = f"{url.rstrip('/')}/auth/verify"
        self._seconds = cache_seconds
        self._clock = clock
        self._transport = transport
        self._remembered: OrderedDict[bytes, tuple[float, User]] = OrderedDict()
        self._client: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        if self._client is not None:
            raise RuntimeError("this Authkeep is open already")
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=100, max_keepalive_connections=100, keepalive_expiry=IDLE_SECONDS),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            transport=self._transport,
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        client, self._client = self._client, None
        self._remembered.clear()
        if client is not None:
            await client.aclose()

    @asynccontextmanager
    async def lifespan(self, _: object = None) -> AsyncIterator[None]:
        """For `FastAPI(lifespan=auth.lifespan)`; in a lifespan of your own say `async with auth:`."""
        async with self:
            yield

    async def user(self, token: Annotated[str, Depends(BEARER)]) -> User:
        """The dependency: who is calling.

        Raises:
            HTTPException: 401 for no token or one that is not good; 503 if Authkeep did not say.
        """
        key, now = sha256(token.encode()).digest(), self._clock()
        found = self._remembered.get(key)
        if found is not None and now < found[0]:
            self._remembered.move_to_end(key)
            return found[1]
        user = await self._ask(token)
        if self._seconds:
            # Counted from before the question, so the answer is never older than it may be.
            self._remembered[key] = now + self._seconds, user
            self._remembered.move_to_end(key)
            if len(self._remembered) > MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        return user

    def require_role(self, role: str) -> Callable[[User], Awaitable[User]]:
        """A dependency: the caller, if they hold this role; 403 for others, beside what `user` raises."""

        async def holder(user: Annotated[User, Depends(self.user)]) -> User:
            if role not in user.roles:
                raise forbidden()
            return user

        return holder

    def require_assurance(self, acr: str = "aal1", *, max_age: int | None = None) -> Callable[[str], Awaitable[User]]:
        """A dependency: the caller, if they proved who they are that well (`aal1`, `aal2`, `aal2-phr`), within `max_age` seconds.

        Asked at each request, whatever `cache_seconds` says. Others get a 401 that says what would do (RFC 9470).
        """
        if acr not in LEVELS or (max_age is not None and not 0 <= max_age <= MOST_SECONDS):
            raise ValueError(f"wanted one of {', '.join(LEVELS)}, and whole seconds")
        asked = {"acr": acr} if max_age is None else {"acr": acr, "max_age": str(max_age)}
        wanted = "" if acr == LEVELS[0] else f', acr_values="{acr}"'
        wanted += "" if max_age is None else f", max_age={max_age}"

        async def assured(token: Annotated[str, Depends(BEARER)]) -> User:
            return await self._ask(token, asked, f'Bearer error="{INSUFFICIENT}"{wanted}')

        return assured

    async def _ask(self, token: str, asked: Mapping[str, str] | None = None, challenge: str = "") -> User:
        if self._client is None:
            raise RuntimeError("not open: FastAPI(lifespan=auth.lifespan), or `async with auth:` in your own lifespan")
        try:
            async with (
                asyncio.timeout(TOTAL_SECONDS),
                self._client.stream("GET", self._url, params=asked, headers={"Authorization": f"Bearer {token}"}) as answer,
            ):
                await _drain(answer)
                if answer.status_code == 204:
                    if asked is not None:
                        check_assured(answer.headers, asked["acr"])
                    return user_of(answer.headers)
        except (httpx2.HTTPError, TimeoutError, ValueError) as error:
            log.warning("Authkeep can't be asked: %s", type(error).__name__)
            raise unavailable() from None
        if answer.status_code == 401:
            known = challenge and f'error="{INSUFFICIENT}"' in answer.headers.get("WWW-Authenticate", "")
            raise not_proved(challenge) if known else not_signed_in()
        if answer.status_code == 403 and asked is not None and ACTOR in answer.headers:
            raise not_themselves()
        log.warning("Authkeep answered %d", answer.status_code)
        raise unavailable()


async def _drain(answer: httpx2.Response) -> None:
    """Read a short body, so that the connection can be used again; a long one is Authkeep's no more than its answer."""
    size = 0
    async for chunk in answer.aiter_raw():
        size += len(chunk)
        if size > MAX_BODY:
            raise ValueError("a long body")
