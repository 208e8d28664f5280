"""What an application on a phone does, in Python: a pair of tokens, kept where the system keeps secrets, refreshed when due.

A phone has a safe place for secrets (Keychain, Keystore), so it takes the refresh token in the body and needs no cookie.
"""

import asyncio
from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

EARLY = timedelta(seconds=30)  # before the access token expires


class SignedOut(Exception):
    """There is no session (any more): show the form."""


class StepOwed(Exception):
    """The password was right, and a second factor is owed: ask for a code and call `finish` with it, within ten minutes.

    `methods` names what it can be given by; where `status` is mfa_enrolment_required, a browser at /account/sign-in adds one.
    """

    def __init__(self, status: str, attempt: str, methods: list[str]) -> None:
        super().__init__(status)
        self.status, self.attempt, self.methods = status, attempt, methods


class Phone:
    """One person's session. `secrets` outlives the application; `http` has Authkeep's address as its base_url."""

    def __init__(
        self, http: httpx2.AsyncClient, secrets: MutableMapping[str, str], clock: Any = lambda: datetime.now(UTC)
    ) -> None:
        self._http = http
        self._secrets = secrets
        self._clock = clock
        self._access: str | None = None
        self._expires_at = datetime.min.replace(tzinfo=UTC)
        self._refreshing = asyncio.Lock()

    async def sign_in(self, username: str, password: str) -> None:
        """By password. With `device` of an earlier login, strangers' failed tries don't slow this one.

        Raises:
            StepOwed: the account has a second factor.
            httpx2.HTTPStatusError: 401 login_failed; 429 with Retry-After.
        """
        body = {"username": username, "password": password}
        if "device" in self._secrets:
            body["device"] = self._secrets["device"]
        self._begin(await self._http.post("/auth/login", json=body))

    async def finish(self, owed: StepOwed, method: str, code: str) -> None:
        """The second step, by totp or recovery.

        Raises:
            httpx2.HTTPStatusError: 400 proof_wrong: ask again; 401 attempt_invalid: begin anew; 429 with Retry-After.
        """
        body = {"attempt": owed.attempt, "code": code}
        if "device" in self._secrets:
            body["device"] = self._secrets["device"]
        self._begin(await self._http.post(f"/auth/login/{method}", json=body))

    def _begin(self, answer: httpx2.Response) -> None:
        said = answer.raise_for_status().json()
        if "status" in said:
            raise StepOwed(said["status"], said["attempt"], said["methods"])
        self._keep(said)
        self._secrets["device"] = said["device"]

    async def call(self, method: str, path: str, **more: Any) -> httpx2.Response:
        """A request as the person; refreshes first if the token is about to expire, and once if it is refused.

        Raises:
            SignedOut: the session is over.
        """
        if self._access is None or self._clock() >= self._expires_at - EARLY:
            await self._refresh(self._access)
        used = self._access
        answer = await self._http.request(method, path, headers={"Authorization": f"Bearer {used}"}, **more)
        if answer.status_code == 401 and answer.json()["code"] == "token_invalid":
            await self._refresh(used)
            answer = await self._http.request(method, path, headers={"Authorization": f"Bearer {self._access}"}, **more)
        return answer

    async def sign_out(self) -> None:
        """End the session there, then forget it here. By the refresh token, which works when the other has expired."""
        token = self._secrets.pop("refresh_token", None)
        self._access = None
        if token is not None:
            await self._http.post("/auth/logout", json={"refresh_token": token})

    async def _refresh(self, refused: str | None) -> None:
        async with self._refreshing:  # of ten requests that find the token expired, one refreshes
            if self._access is not None and self._access != refused:
                return
            token = self._secrets.get("refresh_token")
            if token is None:
                raise SignedOut
            answer = await self._http.post("/auth/refresh", json={"refresh_token": token})
            if answer.status_code == 401:
                self._access = None
                del self._secrets["refresh_token"]
                raise SignedOut
            answer.raise_for_status()  # 503: keep the token and try again; an answer that was lost is given once more
            self._keep(answer.json())

    def _keep(self, tokens: dict[str, Any]) -> None:
        self._secrets["refresh_token"] = tokens["refresh_token"]  # before anything else: the old one is spent
        self._access = tokens["access_token"]
        self._expires_at = self._clock() + timedelta(seconds=tokens["expires_in"])
