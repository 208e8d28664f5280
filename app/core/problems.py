"""Errors as answers: problem+json (RFC 9457) with a stable `code`, never with what was sent."""

from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from itertools import chain
from typing import Any, get_args

import structlog
from fastapi import FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import JSONResponse, Response

from app.core.errors import (
    AppError,
    BodyTooLarge,
    FieldError,
    Invalid,
    MalformedBody,
    NotFound,
    SignInNeeded,
    Unavailable,
    UnsupportedMediaType,
)
from app.core.sockets import Socket
from app.core.templating import PAGES

log = structlog.get_logger()
MEDIA_TYPE = "application/problem+json"
SCHEMAS = "#/components/schemas/"
MAX_ERRORS = 20
NAMED: dict[int, type[AppError]] = {400: MalformedBody, 404: NotFound, 413: BodyTooLarge, 415: UnsupportedMediaType}
ERROR_PAGE: Socket[Callable[[Request, AppError], Response]] = Socket("core.ERROR_PAGE")  # for people: `account` plugs it
JSON_BODY = (MalformedBody, BodyTooLarge, UnsupportedMediaType, Invalid)  # what any route with a body may answer


class FieldProblem(BaseModel):
    """One field's fault."""

    loc: list[str | int] = Field(examples=[["body", "email"]])
    code: str = Field(examples=["missing"])
    detail: str = Field(examples=["Field required"])


class Problem(BaseModel):
    """What every refusal looks like (RFC 9457)."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["The request is not valid"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["The request is not valid"])
    code: str = Field(examples=["validation_error"])
    errors: list[FieldProblem] = Field(default_factory=list)


PROBLEM = SCHEMAS + Problem.__name__


def problem(error: AppError) -> Response:
    """The answer that an error stands for."""
    return _render(error.status, error.code, error.title, error.detail, error.headers, error.errors)


def crashed(request_id: str) -> Response:
    """A 500, which says nothing but the request's id."""
    return _render(500, "internal_error", "Something went wrong", f"Request {request_id}", {}, ())


def _render(status: int, code: str, title: str, detail: str, headers: dict[str, str], errors: Sequence[FieldError]) -> Response:
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}
    body["errors"] = [{"loc": list(e.loc), "code": e.code, "detail": e.detail} for e in errors]
    return JSONResponse(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def unavailable_cause(error: Exception) -> bool:
    """Whether a database error means "not now" (lock, disk, connection, time) and not a mistake of ours."""
    if isinstance(error, PoolTimeout):
        return True
    return isinstance(error, DBAPIError) and not isinstance(error, IntegrityError | ProgrammingError)


def translate(error: Exception) -> AppError | None:
    """The refusal an exception stands for, or None for a crash."""
    if isinstance(error, AppError):
        return error
    if unavailable_cause(error):
        log.warning("database.unavailable", error=_cause(error))
        return Unavailable()
    return None


def _cause(error: Exception) -> str:
    original = getattr(error, "orig", None)
    return type(original or error).__name__


def install_handlers(app: FastAPI) -> None:
    """Render every error of routing, validation, database and features the same way."""
    app.add_exception_handler(AppError, _on_app_error)
    app.add_exception_handler(DBAPIError, _on_database_error)
    app.add_exception_handler(PoolTimeout, _on_database_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(StarletteHTTPException, _on_http_exception)


async def _on_app_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, AppError):
        raise error
    if isinstance(error, SignInNeeded):
        if "hx-request" in request.headers:  # a script would follow the redirect by itself, and put that page into this one
            return Response(headers={"HX-Redirect": error.headers["Location"]})
        return Response(status_code=error.status, headers=error.headers)
    return _for_whom_it_is(request, error)


def _for_whom_it_is(request: Request, error: AppError) -> Response:
    """A page for people, a problem for programs."""
    if (request.scope["path"] + "/").startswith(tuple(f"{path}/" for path in PAGES)):
        for render in ERROR_PAGE.of(request.app.state.server.parts):
            return render(request, error)
    return problem(error)


async def _on_database_error(request: Request, error: Exception) -> Response:
    refusal = translate(error)
    if refusal is None:
        raise error
    return _for_whom_it_is(request, refusal)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    known = _known_names(request.app)
    return _for_whom_it_is(request, Invalid(errors=[_field_error(item, known) for item in error.errors()[:MAX_ERRORS]]))


def _known_names(app: FastAPI) -> frozenset[str]:
    """Every name that a refusal may repeat: those of our own fields. (The OpenAPI document has them too, but is dear to make.)"""
    known: frozenset[str] | None = getattr(app.state, "known_names", None)
    if known is None:
        routes = [route for route in app.routes if isinstance(route, APIRoute)]
        ours = (name for route in routes for name in (*_parameters(route.dependant), *_described(route.openapi_extra)))
        known = app.state.known_names = frozenset({"body", "query", "path", "header", "cookie", *ours})
    return known


def _parameters(dependant: Dependant) -> Iterator[str]:
    taken = (
        dependant.path_params,
        dependant.query_params,
        dependant.header_params,
        dependant.cookie_params,
        dependant.body_params,
    )
    for field in chain(*taken):
        yield field.alias
        yield from _fields(field.field_info.annotation)
    for below in dependant.dependencies:
        yield from _parameters(below)


def _fields(kind: Any) -> Iterator[str]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            yield field.alias or name
            yield from _fields(field.annotation)
    for part in get_args(kind):
        yield from _fields(part)


def _described(document: Any) -> Iterator[str]:
    """Those of parameters and bodies that a route reads and describes itself."""
    if isinstance(document, dict):
        yield from document.get("properties", {})
        if "in" in document:
            yield document["name"]
        for value in document.values():
            yield from _described(value)
    elif isinstance(document, list):
        for value in document:
            yield from _described(value)


def _field_error(item: dict[str, Any], known: frozenset[str]) -> FieldError:
    # Neither `input` nor `ctx` goes out: both hold what was sent. A name that is none of ours may itself be a secret.
    loc = tuple(part if isinstance(part, int) or part in known else "?" for part in item["loc"])
    kind = str(item["type"])
    if kind == "json_invalid":
        return FieldError(("body",), "json_invalid", "The body is not valid JSON")
    message = "Not valid" if kind in {"value_error", "assertion_error"} and "ctx" not in item else str(item["msg"])
    code, _, text = message.removeprefix("Value error, ").partition("|")
    return FieldError(loc, code, text) if text else FieldError(loc, kind, message.removeprefix("Value error, "))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    if not isinstance(error, StarletteHTTPException):
        raise error
    if error.status_code in NAMED:
        return _for_whom_it_is(request, NAMED[error.status_code]())
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    return _render(error.status_code, code, phrase, phrase, dict(error.headers or {}), ())


def refusals(*errors: type[AppError], also: dict[int, str] | None = None) -> dict[int | str, dict[str, Any]]:
    """OpenAPI `responses` of the errors a route may answer with, beside those that any route may."""
    found: dict[int, list[str]] = {}
    every: dict[type[AppError], None] = dict.fromkeys([*errors, Unavailable])
    for error in every:
        found.setdefault(error.status, []).append(f"`{error.code}`: {error.title}")
    for status, text in (also or {}).items():
        found.setdefault(status, []).append(text)
    return {
        status: {"description": " · ".join(texts), "content": {MEDIA_TYPE: {"schema": {"$ref": PROBLEM}}}}
        for status, texts in sorted(found.items())
    }


def document_problems(app: FastAPI) -> None:
    """Describe `Problem` in OpenAPI once: as a `model` of each refusal it would be analysed for each, a third of a start."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        document = make()
        described = Problem.model_json_schema(ref_template=SCHEMAS + "{model}")
        document["components"]["schemas"] |= {**described.pop("$defs"), Problem.__name__: described}
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI documents this way of extending it


def document_tokens(app: FastAPI) -> None:
    """A second scheme in OpenAPI, beside the form that asks for the password: for who has a second factor, and a token."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        document = make()
        document["components"]["securitySchemes"]["Token"] = {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "For who has a second factor: the access token of a login that was finished.",
        }
        for operations in document["paths"].values():
            for operation in operations.values():
                if "security" in operation:
                    operation["security"] = [{"Login": []}, {"Token": []}]
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # as above
