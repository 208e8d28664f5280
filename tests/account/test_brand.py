"""The brand's colours: whatever is configured can be read, on light and on dark."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import SettingsError, load_settings
from app.core.brand import DARK_GROUND, LIGHT_GROUND, MAX_LOGO, READABLE, contrast, read_brand
from tests.support.processes import ROOT
from tests.support.stacks import settings_env

COLORS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


@given(COLORS)
def test_text_in_and_on_any_colour_can_be_read(color: str) -> None:
    brand = read_brand(load_settings(settings_env("sqlite:///x.db", BRAND_COLOR=color), env_file=None))
    assert contrast(brand.color, brand.on_color) >= READABLE
    for light in ("#ffffff", LIGHT_GROUND):
        assert contrast(brand.text_on_light, light) >= READABLE
    for dark in ("#000000", DARK_GROUND):
        assert contrast(brand.text_on_dark, dark) >= READABLE
    if contrast(color, LIGHT_GROUND) >= READABLE:
        assert brand.text_on_light == color  # no further from the brand than it must be


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def test_the_grounds_are_those_of_the_stylesheet() -> None:
    css = (ROOT / "app" / "static" / "authkeep.css").read_text()
    assert f"--ground: light-dark({LIGHT_GROUND}," in css
    assert f"--well: light-dark(#f6f7f9, {DARK_GROUND})" in css


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("logo.gif", b"x", "must be one of"),
        ("logo.svg", None, "can't be read"),
        ("logo.png", b"x" * (MAX_LOGO + 1), "is larger than"),
    ],
)
def test_a_logo_that_can_not_be_used_is_said_at_start(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes | None, why: str
) -> None:
    path = tmp_path_factory.mktemp("logo") / name
    if content is not None:
        path.write_bytes(content)
    settings = load_settings(settings_env("sqlite:///x.db", BRAND_LOGO=str(path)), env_file=None)
    with pytest.raises(SettingsError, match=f"^BRAND_LOGO: {why}"):
        read_brand(settings)
