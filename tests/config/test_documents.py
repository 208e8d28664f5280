"""`.env.example` and the README name every setting, and say of each what the code says."""

import re
from io import StringIO

import pytest
from dotenv import dotenv_values

from app.config import FILE_TWINS, Settings, load_settings
from scripts import settings_table
from tests.config.test_settings import GOOD
from tests.support.processes import ROOT

EXAMPLE = ROOT / ".env.example"
README = ROOT / "README.md"


def named_in_example() -> list[str]:
    return re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", EXAMPLE.read_text(), re.MULTILINE)


@pytest.mark.asvs("V13.3.1")
def test_the_example_names_every_setting_once_and_no_other() -> None:
    named = [name for name in named_in_example() if name.removesuffix("_FILE") not in FILE_TWINS or not name.endswith("_FILE")]
    assert sorted(named) == sorted(Settings.model_fields)


@pytest.mark.asvs("V13.2.3", "V13.3.1")
def test_the_example_holds_no_secret_that_would_start_a_server() -> None:
    values = {name: value for name, value in dotenv_values(EXAMPLE).items() if value}
    for name in GOOD:
        assert not values.get(name)
    assert load_settings(values | GOOD, env_file=None)


def test_the_values_shown_in_the_example_are_good_ones() -> None:
    commented = re.sub(r"^# ?(?=[A-Z][A-Z0-9_]+=)", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    values = {name: value for name, value in dotenv_values(stream=StringIO(commented)).items() if value}
    for name, value in values.items():
        if name in Settings.model_fields and name not in GOOD:
            assert load_settings(GOOD | {name: value}, env_file=None), name


def test_the_readmes_table_is_what_the_generator_makes() -> None:
    made = settings_table.table()
    for name in Settings.model_fields:
        assert f"`{name}`" in made, name
    assert made in README.read_text()
    assert settings_table.stale() == {}


def test_every_setting_says_what_it_is_for() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert "\n" not in field.description
