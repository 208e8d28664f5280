"""What pages and mails look like, from the settings: name, logo, colour, links. Read once at start."""

from dataclasses import dataclass
from pathlib import Path

from app.config import Settings, SettingsError
from app.core.crypto import fingerprint

Rgb = tuple[float, float, float]
LOGO_TYPES = {".svg": "image/svg+xml", ".png": "image/png", ".webp": "image/webp"}
MAX_LOGO = 256 * 1024
BLACK, WHITE = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)
# The darkest light ground and the lightest dark one that text in the brand's colour stands on (app/static/authkeep.css).
LIGHT_GROUND, DARK_GROUND = "#eef0f4", "#23262e"
READABLE = 4.5  # WCAG 2.2, 1.4.3
STEPS = 50


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture to show in the place of the product's name."""

    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Brand:
    """The look of one server. `text` colours are the brand's own, moved as far as reading on light or dark asks for."""

    product: str
    color: str
    on_color: str
    text_on_light: str
    text_on_dark: str
    logo: Logo | None
    home_url: str
    terms_url: str
    privacy_url: str
    support_url: str

    @property
    def css(self) -> bytes:
        """The stylesheet that carries the colours, since pages hold no style of their own."""
        return (
            f":root {{\n  --brand: {self.color};\n  --on-brand: {self.on_color};\n"
            f"  --brand-on-light: {self.text_on_light};\n  --brand-on-dark: {self.text_on_dark};\n}}\n"
        ).encode()

    @property
    def version(self) -> str:
        """Changes with the colours and the logo, so that browsers may keep both."""
        return fingerprint(self.css + (self.logo.content if self.logo else b""))


def read_brand(settings: Settings) -> Brand:
    """The brand of these settings.

    Raises:
        SettingsError: the logo can't be used.
    """
    color = settings.BRAND_COLOR.lower()
    return Brand(
        product=settings.product_name,
        color=color,
        on_color=text_on(color),
        text_on_light=readable(color, LIGHT_GROUND, BLACK),
        text_on_dark=readable(color, DARK_GROUND, WHITE),
        logo=_read_logo(settings.BRAND_LOGO),
        home_url=settings.HOME_URL,
        terms_url=settings.TERMS_URL,
        privacy_url=settings.PRIVACY_URL,
        support_url=settings.SUPPORT_URL,
    )


def _read_logo(name: str | None) -> Logo | None:
    if name is None:
        return None
    path = Path(name)
    media_type = LOGO_TYPES.get(path.suffix.lower())
    if media_type is None:
        raise SettingsError(f"BRAND_LOGO: must be one of {', '.join(LOGO_TYPES)}")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_LOGO + 1)
    except OSError as error:
        raise SettingsError(f"BRAND_LOGO: can't be read ({type(error).__name__})") from error
    if len(content) > MAX_LOGO:
        raise SettingsError(f"BRAND_LOGO: is larger than {MAX_LOGO // 1024} KiB")
    return Logo(content, media_type)


def contrast(one: str, other: str) -> float:
    """How far two colours are apart, 1 to 21 (WCAG 2.2, contrast ratio)."""
    lighter, darker = sorted((_luminance(_parse(one)), _luminance(_parse(other))), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def text_on(color: str) -> str:
    """White or black, whichever reads better on a colour; one of them always reaches 4.5 to 1."""
    return "#ffffff" if contrast(color, "#ffffff") >= READABLE else "#000000"


def readable(color: str, ground: str, towards: Rgb) -> str:
    """The colour, moved just as far towards black or white as reading it on a ground asks for."""
    start = _parse(color)
    for step in range(STEPS):
        share = step / STEPS
        moved = _hex(tuple(a + (b - a) * share for a, b in zip(start, towards, strict=True)))
        if contrast(moved, ground) >= READABLE:
            return moved
    return _hex(towards)


def _parse(color: str) -> Rgb:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _hex(rgb: tuple[float, ...]) -> str:
    return "#" + "".join(f"{round(part):02x}" for part in rgb)


def _luminance(rgb: Rgb) -> float:
    red, green, blue = (_linear(part / 255) for part in rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
