"""The bundled list: what it refuses and admits, how often it errs, and that a damaged file is noticed."""

import hashlib
import random
import re
import string
import time
from pathlib import Path

import pytest

from app.auth.common_passwords import (
    DATA_FILE,
    FINGERPRINT_BYTES,
    HEADER,
    MAX_LOOKUPS,
    CommonPasswords,
    DamagedListError,
    fingerprint,
    skeleton,
    undecorated,
)

SAMPLE = Path(__file__).with_name("common_sample.txt").read_text(encoding="utf-8").splitlines()
WORDS = re.findall(
    r"[a-z]+",
    """
    abacus acorn amber anchor apron arrow attic autumn badge bagel bamboo barley basket beacon beaver bison blanket
    blossom bonfire bottle bramble brisk bronze bucket butter cabin cactus candle canoe canyon carpet castle cedar
    cellar chalk cherry chimney cinder cloud clover cobalt comet copper coral cotton cradle crane cricket crystal
    daisy desert dolphin donkey drizzle eagle easel ember emerald falcon feather fennel fiddle flannel forest fossil
    garden ginger glacier goblet granite grape gravel hammer harbor hazel helmet heron hollow honey island ivory jacket
    jigsaw jungle kernel kettle ladder lagoon lantern lemon linen lizard lobster magnet mango maple marble meadow
    mirror mitten morning mosaic muffin needle nickel nutmeg oasis ocean olive onion orbit orchid otter oyster paddle
    panther parade pebble pepper pigeon pillow planet plum pocket pollen pony prairie puddle pumpkin quartz quiver
    rabbit radish raven ribbon river rocket saddle saffron sailor salmon scarf shadow shovel silver sparrow spider
    spruce squirrel summit sunset table teapot thistle thunder timber tomato trumpet tulip turtle umbrella valley
    velvet violet walnut willow window winter yarrow yellow zephyr zipper
""",
)


@pytest.fixture(scope="module")
def common() -> CommonPasswords:
    return CommonPasswords.load()


@pytest.mark.asvs("V6.2.4")
@pytest.mark.parametrize(
    "password",
    ["P@ssw0rd", "Password1!", "Qwerty123!", "password", "PASSWORD", "p4$$w0rd", "P@$$W0RD!", "!password!", "123456"],
)
def test_a_common_password_is_listed(common: CommonPasswords, password: str) -> None:
    assert password in common


@pytest.mark.parametrize("password", ["Dragon2024!", "!!Monkey99", "m0nk3y_2025", "$unsh1ne#1"])
def test_a_common_password_is_recognised_in_disguise(common: CommonPasswords, password: str) -> None:
    assert password in common


@pytest.mark.asvs("V6.2.4", "V6.2.12")
def test_a_thousand_sampled_entries_are_listed(common: CommonPasswords) -> None:
    assert len(set(SAMPLE)) == 1000
    assert [entry for entry in SAMPLE if entry not in common] == []


def test_sampled_entries_are_listed_in_other_letter_case_and_leet_too(common: CommonPasswords) -> None:
    leet = str.maketrans("aeiostAEIOST", "@3!0$7@3!0$7")
    disguised = [form for entry in SAMPLE for form in (entry.upper(), entry.swapcase(), entry.translate(leet))]
    assert [form for form in disguised if form not in common] == []


def test_ten_thousand_passphrases_are_admitted(common: CommonPasswords) -> None:
    generator = random.Random(20240229)
    passphrases = {
        generator.choice(" -_.+").join(generator.choices(WORDS, k=generator.randint(4, 6))) + generator.choice(["", "!"])
        for _ in range(10_000)
    }
    assert len(passphrases) > 9_900
    assert [passphrase for passphrase in passphrases if passphrase in common] == []


def test_ten_thousand_random_passwords_are_admitted(common: CommonPasswords) -> None:
    generator = random.Random(20240301)
    characters = string.ascii_letters + string.digits + string.punctuation
    passwords = ["".join(generator.choices(characters, k=15)) + "!" for _ in range(10_000)]
    assert [password for password in passwords if password in common] == []


def test_a_passphrase_that_ends_in_decoration_is_admitted(common: CommonPasswords) -> None:
    assert "correct horse battery staple!" not in common
    assert "purple monkey dishwasher 42!" not in common


def test_under_one_in_a_million_passwords_is_refused_by_chance(common: CommonPasswords) -> None:
    total = common.commonest + common.others
    by_hand = (total + (MAX_LOOKUPS - 1) * common.commonest) / 2**48
    assert common.false_positive_bound == pytest.approx(by_hand)
    assert common.false_positive_bound < 1e-6


def test_no_password_takes_more_look_ups_than_the_bound_counts() -> None:
    everything_is_decoration = "1234567890!?" * 10
    assert len(list(undecorated(everything_is_decoration))) + 1 == MAX_LOOKUPS
    assert all(len(list(undecorated("1" * size))) < MAX_LOOKUPS for size in range(129))


def test_twenty_thousand_unlisted_passwords_meet_no_false_positive(common: CommonPasswords) -> None:
    generator = random.Random(20240302)
    assert not any(f"{generator.getrandbits(128):032x}!" in common for _ in range(20_000))


def test_decoration_is_short_and_shorter_than_its_base() -> None:
    assert "monkey" in set(undecorated("monkey!1234"))
    assert "monkey" not in set(undecorated("monkey!12345"))
    assert "elephants" in set(undecorated("123elephants!!!"))
    assert "elephants" not in set(undecorated("123elephants!!!!"))
    assert set(undecorated("abc!!!")) == {"abc!!", "abc!"}
    assert all(len(base) >= 5 for base in undecorated("12345678"))


def test_differently_disguised_passwords_have_one_skeleton() -> None:
    assert len({skeleton(text) for text in ("Illegal", "1llegal", "!LL3G@L", "i||egal")}) == 1


def test_the_file_is_small_and_sorted(common: CommonPasswords) -> None:
    data = DATA_FILE.read_bytes()
    assert len(data) <= 4_000_000
    assert common.commonest >= 50_000
    body = data[HEADER.size :]
    entries = [body[at : at + FINGERPRINT_BYTES] for at in range(0, len(body), FINGERPRINT_BYTES)]
    first, second = entries[: common.commonest], entries[common.commonest :]
    assert first == sorted(set(first))
    assert second == sorted(set(second))
    assert not set(first) & set(second)


def test_the_file_is_the_one_that_the_licences_describe() -> None:
    described = re.findall(r"[0-9a-f]{64}", DATA_FILE.with_name("LICENSES.md").read_text(encoding="utf-8"))
    assert described == [hashlib.sha256(DATA_FILE.read_bytes()).hexdigest()]


@pytest.mark.parametrize("position", [0, 8, 12, 16, HEADER.size, -1])
def test_a_file_with_one_changed_byte_is_refused(tmp_path: Path, position: int) -> None:
    data = bytearray(DATA_FILE.read_bytes())
    data[position] ^= 1
    damaged = tmp_path / "damaged.bin"
    damaged.write_bytes(data)
    with pytest.raises(DamagedListError):
        CommonPasswords.load(damaged)


@pytest.mark.parametrize("size", [0, 20, HEADER.size, -1])
def test_a_truncated_file_is_refused(size: int) -> None:
    with pytest.raises(DamagedListError):
        CommonPasswords(DATA_FILE.read_bytes()[:size])


def test_a_small_list_holds_its_entries_and_nothing_else() -> None:
    first, second = sorted(map(fingerprint, ["dragon"])), sorted(map(fingerprint, ["a longer one", "another one"]))
    body = b"".join(first + second)
    digest = hashlib.sha256(body).digest()
    small = CommonPasswords(HEADER.pack(b"AKCOMPW1", len(first), len(second), digest) + body)
    assert all(password in small for password in ("dragon", "Dr@gon99", "A longer one", "another one"))
    # Decoration is taken off the commonest only.
    assert all(password not in small for password in ("drago", "another one!!", "zebra", ""))
    empty = CommonPasswords(HEADER.pack(b"AKCOMPW1", 0, 0, hashlib.sha256(b"").digest()))
    assert "dragon" not in empty


def test_odd_values_are_looked_up_without_an_error(common: CommonPasswords) -> None:
    for password in ("", "\ud800", "\0" * 20, "\u0301" * 20, "\U0010ffff" * 20, "\ufdfa" * 128):
        assert password not in common
    assert 123456 not in common
    assert None not in common


def test_loading_takes_under_50_ms() -> None:
    def seconds() -> float:
        start = time.perf_counter()
        CommonPasswords.load()
        return time.perf_counter() - start

    assert min(seconds() for _ in range(5)) < 0.05
