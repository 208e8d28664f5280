"""Secrets and schemes: what the settings refuse, and what is made in their place."""

import base64
import os
import stat
from pathlib import Path

import pytest
from dotenv import dotenv_values

from app.auth.utils import ALGORITHM, Passwords
from app.cli.setup import fresh_password, write_env
from app.config import Settings, SettingsError, load_settings
from app.core.crypto import random_id, random_secret
from tests.support.processes import ROOT
from tests.support.stacks import settings_env

GOOD = settings_env("sqlite:///x.db")


def load(**changed: str) -> Settings:
    return load_settings({**GOOD, **changed}, None)


@pytest.mark.asvs("V11.2.3", "V13.2.3")
@pytest.mark.parametrize("name", ["SECRET_KEY", "PASSWORD_RESET_TOKEN_SECRET"])
@pytest.mark.parametrize(
    "weak",
    [
        "pw-1234",
        "x" * 31,
        "aB3$" + "x" * 27,
        "changeme-changeme-changeme-changeme-changeme",
        "your-secret-key-0123456789-abcdefghij-klmn",
        "0" * 64,
        "abcabcabcabcabcabcabcabcabcabcabcabcabcabc",
    ],
)
def test_a_weak_or_sample_secret_is_refused_and_not_shown(name: str, weak: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: ") as refused:
        load(**{name: weak})
    assert weak not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.asvs("V11.2.3", "V13.2.3")
def test_a_secret_is_needed_and_the_two_must_differ() -> None:
    for name in ("SECRET_KEY", "PASSWORD_RESET_TOKEN_SECRET"):
        with pytest.raises(SettingsError, match=f"^{name}: is not set"):
            load_settings({key: value for key, value in GOOD.items() if key != name}, None)
    with pytest.raises(SettingsError, match="equals SECRET_KEY"):
        load(PASSWORD_RESET_TOKEN_SECRET=GOOD["SECRET_KEY"])


@pytest.mark.asvs("V13.2.3", "V13.3.1")
def test_no_secret_has_a_default() -> None:
    example = dotenv_values(ROOT / ".env.example")
    assert example == {"SECRET_KEY": "", "PASSWORD_RESET_TOKEN_SECRET": ""}
    with pytest.raises(SettingsError):
        load_settings({}, ROOT / ".env.example")
    for name in ("SECRET_KEY", "PASSWORD_RESET_TOKEN_SECRET"):
        assert Settings.model_fields[name].is_required()
    for name in ("REDIS_PASSWORD", "SMTP_PASSWORD"):
        assert Settings.model_fields[name].default is None


@pytest.mark.asvs("V13.3.1")
@pytest.mark.parametrize("name", ["SECRET_KEY", "PASSWORD_RESET_TOKEN_SECRET", "DATABASE_URL", "SMTP_PASSWORD", "REDIS_PASSWORD"])
def test_a_secret_can_be_mounted_as_a_file(tmp_path: Path, name: str) -> None:
    value = f"sqlite:///{tmp_path}/y.db" if name == "DATABASE_URL" else random_secret()
    (tmp_path / "mounted").write_text(f"{value}\n")
    environ = {key: value for key, value in GOOD.items() if key != name}
    loaded = load_settings({**environ, f"{name}_FILE": str(tmp_path / "mounted")}, None)
    assert getattr(loaded, name).get_secret_value() == value
    assert value not in repr(loaded)


@pytest.mark.asvs("V11.6.1", "V11.5.1", "V13.3.1")
def test_init_makes_secrets_of_384_random_bits_for_its_owner_alone(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        assert write_env(tmp_path / name)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        values = dotenv_values(tmp_path / name)
        made += [values["SECRET_KEY"], values["PASSWORD_RESET_TOKEN_SECRET"]]
    assert len(set(made)) == 4
    assert all(len(base64.urlsafe_b64decode(each or "")) == 48 for each in made)
    assert not write_env(tmp_path / "one")


@pytest.mark.asvs("V11.6.1", "V9.1.2")
def test_tokens_are_signed_by_one_algorithm() -> None:
    assert ALGORITHM == "HS256"


@pytest.mark.asvs("V7.2.3", "V11.5.1")
def test_what_is_looked_up_by_value_has_at_least_128_random_bits() -> None:
    secrets = {random_secret() for _ in range(1000)}
    assert len(secrets) == 1000
    assert {len(base64.urlsafe_b64decode(each + "=")) for each in secrets} == {32}
    ids = [random_id().bytes for _ in range(1000)]
    assert len(set(ids)) == 1000
    # Every bit is random: no version, no time in it.
    for bit in range(128):
        ones = sum(each[bit // 8] >> (bit % 8) & 1 for each in ids)
        assert 350 < ones < 650
    assert len({fresh_password() for _ in range(100)}) == 100


@pytest.mark.asvs("V11.4.2")
def test_production_hashes_at_a_cost_of_ten_at_least_and_twelve_by_default() -> None:
    assert load_settings({key: value for key, value in GOOD.items() if key != "BCRYPT_ROUNDS"}, None).BCRYPT_ROUNDS == 12
    with pytest.raises(SettingsError, match="BCRYPT_ROUNDS: below 10 in production"):
        load(ENVIRONMENT="production", BCRYPT_ROUNDS="9")
    assert load(ENVIRONMENT="production", BCRYPT_ROUNDS="10").BCRYPT_ROUNDS == 10


@pytest.mark.asvs("V11.4.2")
def test_stored_hashes_are_salted_bcrypt_or_argon2id_of_the_whole_password() -> None:
    bcrypt, argon2 = Passwords("bcrypt", 10, os.urandom(32)), Passwords("argon2id", 10, os.urandom(32))
    assert bcrypt.hash("open sesame 42!").startswith("$2b$10$")
    assert bcrypt.hash("open sesame 42!") != bcrypt.hash("open sesame 42!")
    assert argon2.hash("open sesame 42!").startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    long = "x" * 80 + "one"
    stored = bcrypt.hash(long)
    assert bcrypt.check(long, stored, [], may_upgrade=False).right
    assert not bcrypt.check("x" * 80 + "two", stored, [], may_upgrade=False).right
