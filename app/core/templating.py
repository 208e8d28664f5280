"""Pages and mails from Jinja2 templates: escaped always, and a missing value is an error.

Jinja2 is loaded with the first page or mail; most starts and many servers have none.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse

if TYPE_CHECKING:
    from jinja2 import Environment

PAGES = "/account/"  # below it people look with a browser
TEMPLATES = Path(__file__).parents[1] / "templates"
PAGE_CSP = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"


@cache
def _environment(*, html: bool) -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=html,  # noqa: S701 -- off only for the text half of mails
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render_html(template: str, **values: Any) -> str:
    """HTML with every value escaped."""
    return _environment(html=True).get_template(template).render(**values)


def render_text(template: str, **values: Any) -> str:
    """Plain text, for the text half of a mail."""
    return _environment(html=False).get_template(template).render(**values)


def page(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page of our own: no script, nothing from elsewhere."""
    headers = {"Content-Security-Policy": PAGE_CSP, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return HTMLResponse(render_html(template, **values), status_code=status, headers=headers)
