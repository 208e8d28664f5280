"""Errors that know their code, status and headers; `core/problems.py` renders them (RFC 9457)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field's fault: where it is, a stable code, a sentence. Never what was sent."""

    loc: tuple[str | int, ...]
    code: str
    detail: str


class AppError(Exception):
    """A refusal the client is told of.

    `keeps`: the transaction it is raised in is committed nevertheless, since the refusal must leave a trace.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "The request can't be done"
    keeps: ClassVar[bool] = False

    def __init__(
        self, detail: str | None = None, *, headers: Mapping[str, str] | None = None, errors: Sequence[FieldError] = ()
    ) -> None:
        self.detail = detail or self.title
        self.headers = dict(headers or {})
        self.errors = tuple(errors)
        super().__init__(self.code)


class Unauthenticated(AppError):
    """No credentials, or none that are good now (RFC 6750 section 3)."""

    code, status, title = "unauthenticated", 401, "Sign in first"

    def __init__(self, detail: str | None = None, *, challenge: str = "Bearer") -> None:
        super().__init__(detail, headers={"WWW-Authenticate": challenge})


class TokenInvalid(Unauthenticated):
    """A token was sent, but it is malformed, of another kind, expired or revoked: one answer for all."""

    code, title = "token_invalid", "The token is not valid"

    def __init__(self) -> None:
        super().__init__("Sign in again.", challenge='Bearer error="invalid_token"')


class Forbidden(AppError):
    """Signed in, but not allowed (RFC 6750 section 3.1, insufficient_scope)."""

    code, status, title = "forbidden", 403, "Not allowed"


class Impersonated(Forbidden):
    """Not for somebody who acts as another: they gave no proof of that person, and hold no powers of their own meanwhile."""

    code, title = "impersonated", "Not while you act as somebody else"


class CsrfRefused(AppError):
    """A request that carries a cookie, and may have been made by a page of somebody else."""

    code, status, title = "csrf_refused", 403, "This request did not come from a page that may make it"

    def __init__(self) -> None:
        super().__init__("Open the page anew and try again.")


class ProofTooOld(Unauthenticated):
    """Signed in, but too long ago for this (RFC 9470 section 3)."""

    code, title = "insufficient_user_authentication", "Prove once more who you are"

    def __init__(self, max_age: int) -> None:
        challenge = f'Bearer error="insufficient_user_authentication", max_age={max_age}'
        super().__init__("This needs a fresh proof: call /auth/reauthenticate.", challenge=challenge)


class ProofTooWeak(Unauthenticated):
    """Signed in, but not well enough for this, or not by a proof as young as it must be (RFC 9470 section 3)."""

    code, title = "insufficient_user_authentication", "Prove better who you are"

    def __init__(self, acr: str, max_age: int | None) -> None:
        challenge = f'Bearer error="insufficient_user_authentication", acr_values="{acr}"'
        if max_age is not None:
            challenge += f", max_age={max_age}"
        super().__init__("This needs a second factor: call /auth/reauthenticate.", challenge=challenge)


class SignInNeeded(AppError):
    """A page for people who are signed in, or have just proved it: they are led to where that is done, and back."""

    code, status, title = "sign_in_needed", 303, "Sign in first"

    def __init__(self, location: str) -> None:
        super().__init__(headers={"Location": location})


class NotFound(AppError):
    """Nothing of that name that the caller may see."""

    code, status, title = "not_found", 404, "Not found"


class Invalid(AppError):
    """Well-formed, but a field breaks a rule."""

    code, status, title = "validation_error", 422, "The request is not valid"


class UnsupportedMediaType(AppError):
    """The body's content type is not one that the route takes."""

    code, status, title = "unsupported_media_type", 415, "Send application/json"


class MalformedBody(AppError):
    """The body can't be read at all."""

    code, status, title = "malformed_body", 400, "The body can't be read"


class BodyTooLarge(AppError):
    """More than any request of ours needs."""

    code, status, title = "content_too_large", 413, "The body is too large"


class TooManyRequests(AppError):
    """Asked too often; `retry_after` is in whole seconds."""

    code, status, title = "too_many_requests", 429, "Too many requests; wait a moment"

    def __init__(self, retry_after: int) -> None:
        super().__init__(headers={"Retry-After": str(max(1, retry_after))})


class Unavailable(AppError):
    """It can't be known or done at the moment; asking again is safe (P6)."""

    code, status, title = "unavailable", 503, "Not available at the moment; try again"

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__(headers={"Retry-After": str(retry_after)})


class Overloaded(Unavailable):
    """The hashing queue is full; the request was shed before any work (V15.2.2)."""

    code, title = "overloaded", "Too busy at the moment; try again"
