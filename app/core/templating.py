"""Pages and mails from Jinja2 templates: escaped always, and a missing value is an error.

Jinja2 is loaded with the first page or mail; most starts and many servers have none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse

from app.core.brand import Brand
from app.core.i18n import SOURCE, catalog
from app.core.static import asset

if TYPE_CHECKING:
    from jinja2 import Environment

PAGES = ("/account", "/admin")  # below these people look with a browser
TEMPLATES = Path(__file__).parents[1] / "templates"


@dataclass(frozen=True, slots=True)
class Look:
    """Whose page it is, in which language."""

    brand: Brand
    locale: str = SOURCE


@cache
def _environment(*, html: bool, locale: str) -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=html,  # noqa: S701 -- off only for the text half of mails
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.globals |= {"asset": asset, "locale": locale}
    environment.install_gettext_translations(catalog(locale), newstyle=True)  # type: ignore[attr-defined]  # of the extension
    return environment


def render_html(template: str, locale: str = SOURCE, **values: Any) -> str:
    """HTML with every value escaped."""
    return _environment(html=True, locale=locale).get_template(template).render(**values)


def render_text(template: str, locale: str = SOURCE, **values: Any) -> str:
    """Plain text, for the text half of a mail."""
    return _environment(html=False, locale=locale).get_template(template).render(**values)


def page_policy(*, scripts: bool, form_targets: Sequence[str] = (), trusted_types: str = "'none'", frames: bool = False) -> str:
    """What a page may load: our own files, with `frames` our own pages in frames.

    A browser also asks it where the answer to a form may redirect to.
    """
    typed = f"require-trusted-types-for 'script'; trusted-types {trusted_types};"
    script = f" script-src 'self'; connect-src 'self'; {typed}" if scripts else ""
    targets = " ".join(["'self'", *form_targets])
    framed = " frame-src 'self';" if frames else ""
    return (
        f"default-src 'none';{script}{framed} style-src 'self'; img-src 'self'; form-action {targets};"
        " frame-ancestors 'none'; base-uri 'none'"
    )


def page(
    template: str,
    look: Look,
    *,
    status: int = 200,
    scripts: bool = False,
    form_targets: Sequence[str] = (),
    trusted_types: str = "'none'",
    frames: bool = False,
    **values: Any,
) -> HTMLResponse:
    """A page of our own: nothing inline, nothing from elsewhere; scripts only where it says so."""
    headers = {
        "Content-Security-Policy": page_policy(
            scripts=scripts, form_targets=form_targets, trusted_types=trusted_types, frames=frames
        ),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "Content-Language": look.locale,
    }
    html = render_html(template, look.locale, brand=look.brand, scripts=scripts, **values)
    return HTMLResponse(html, status_code=status, headers=headers)
