"""Which passwords the two policies refuse, why, and that no refusal says what the password was."""

import time
from pathlib import Path

import pytest

from app.auth.common_passwords import CommonPasswords
from app.auth.password_rules import PasswordPolicy, Violation, normalise, violations

STANDARD, STRICT = PasswordPolicy.STANDARD, PasswordPolicy.STRICT
SAMPLE = Path(__file__).with_name("common_sample.txt").read_text(encoding="utf-8").splitlines()
# All distinct, so that neither the list nor a name is near.
LONG = "".join(chr(0x4E00 + 7 * i) for i in range(127)) + "!"


@pytest.fixture(scope="module")
def common() -> CommonPasswords:
    return CommonPasswords.load()


def found(
    password: str,
    policy: PasswordPolicy = STANDARD,
    *,
    username: str = "carol.jones",
    email: str = "cj+shop@example.org",
    product: str = "Authkeep",
    common: CommonPasswords | frozenset[str] = frozenset(),
) -> list[Violation]:
    return violations(password, policy, username=username, email=email, product=product, common=common)


def codes(
    password: str,
    policy: PasswordPolicy = STANDARD,
    *,
    username: str = "carol.jones",
    email: str = "cj+shop@example.org",
    product: str = "Authkeep",
    common: CommonPasswords | frozenset[str] = frozenset(),
) -> list[str]:
    return [
        violation.code for violation in found(password, policy, username=username, email=email, product=product, common=common)
    ]


@pytest.mark.asvs("V6.2.1")
def test_the_standard_policy_asks_for_eight_code_points() -> None:
    assert codes("kq!vzxw") == ["too_short"]
    assert codes("kq!vzxwm") == []
    assert codes("\U0001f98a" * 7) == ["too_short"]
    assert codes("\U0001f98a" * 8) == []


@pytest.mark.asvs("V6.2.1")
def test_the_strict_policy_asks_for_fifteen_code_points() -> None:
    assert codes("kqvzxwmtrbhjpl", STRICT) == ["too_short"]
    assert codes("kqvzxwmtrbhjplg", STRICT) == []


@pytest.mark.asvs("V6.2.5")
def test_the_strict_policy_asks_for_no_class_of_characters() -> None:
    for password in ("kqvzxwmtrbhjplg", "KQVZXWMTRBHJPLG", "830265719402658", "漢字仮名交文書道鳥獣戯画巻物語", "-" * 15):
        assert codes(password, STRICT) == []


def test_length_is_counted_after_normalising() -> None:
    assert codes("e\u0301" * 7 + "!") == []
    assert codes("e\u0301" * 4 + "!") == ["too_short"]


@pytest.mark.parametrize("special", [" ", "!", "_", "€", "\u00a0", "\U0001f98a", "\0", "。", "'"])
def test_a_special_character_is_neither_letter_nor_digit(special: str) -> None:
    assert codes("kqvzxwm" + special) == []


@pytest.mark.parametrize("ordinary", ["x", "X", "7", "é", "ß", "漢", "٣", "½", "Ⅷ", "n\u0308", "ु"])
def test_letters_digits_and_marks_are_not_special(ordinary: str) -> None:
    assert codes("kqvzxwmt" + ordinary) == ["no_special_character"]


@pytest.mark.asvs("V6.2.9")
@pytest.mark.parametrize("policy", [STANDARD, STRICT])
def test_up_to_128_code_points_are_admitted(common: CommonPasswords, policy: PasswordPolicy) -> None:
    assert len(LONG) == 128
    assert codes(LONG, policy, common=common) == []
    assert codes(LONG[-64:], policy, common=common) == []
    assert codes("\U0001f98a" * 64, policy, common=common) == []
    assert codes("e\u0301" * 127 + "!", policy, common=common) == []


def test_more_than_128_code_points_are_refused_for_that_alone(common: CommonPasswords) -> None:
    assert codes(LONG + "x", common=common) == ["too_long"]
    assert codes("a" * 129, username="a" * 129, common=common) == ["too_long"]
    assert codes("e\u0301" * 129) == ["too_long"]


def test_a_huge_password_is_refused_at_once() -> None:
    # Reordering so many marks would take minutes.
    password = "\u0301\u0316" * 2_000_000
    start = time.perf_counter()
    assert codes(password) == ["too_long"]
    assert time.perf_counter() - start < 0.1


def test_the_densest_normalisation_still_counts_code_points() -> None:
    # Four code points that NFC makes one: the most there are.
    assert normalise("\u03b1\u0313\u0300\u0345") == "\u1f82"
    assert codes("\u03b1\u0313\u0300\u0345" * 127 + "!") == []
    assert codes("\u03b1\u0313\u0300\u0345" * 128 + "!") == ["too_long"]


@pytest.mark.asvs("V6.2.4")
@pytest.mark.parametrize("password", ["P@ssw0rd", "Password1!", "Qwerty123!"])
def test_a_common_password_is_refused(common: CommonPasswords, password: str) -> None:
    assert codes(password, common=common) == ["common"]


@pytest.mark.asvs("V6.2.4", "V6.2.12")
def test_every_sampled_entry_is_refused_as_common_under_both_policies(common: CommonPasswords) -> None:
    for policy in PasswordPolicy:
        assert [entry for entry in SAMPLE if "common" not in codes(entry, policy, common=common)] == []


def test_every_sampled_entry_would_be_admitted_were_it_not_listed() -> None:
    assert [entry for entry in SAMPLE if codes(entry) and codes(entry, STRICT)] == []


def test_a_long_passphrase_is_admitted(common: CommonPasswords) -> None:
    for policy in PasswordPolicy:
        assert codes("violet otter juggles seven lanterns", policy, common=common) == []


@pytest.mark.asvs("V6.2.11")
@pytest.mark.parametrize("password", ["alicejones", "Alice-Jones", "AliceJones123!", "@l1cej0n3s!!!!", "2024 aliceJONES."])
def test_the_username_in_disguise_is_refused(password: str) -> None:
    assert "is_username" in codes(password, username="alicejones")


@pytest.mark.parametrize(("username", "password"), [("alice", "Alice123!"), ("alice", "@l1ce!!!!"), ("bob", "Bob!2024")])
def test_a_short_username_with_decoration_is_refused(username: str, password: str) -> None:
    assert codes(password, username=username) == ["is_username"]


def test_punctuation_inside_a_name_makes_no_difference() -> None:
    for password in ("JohnSmith1!", "john_smith!", "John-Smith 99"):
        assert codes(password, username="john.smith") == ["is_username"]


@pytest.mark.asvs("V6.2.11")
@pytest.mark.parametrize(
    "password",
    ["Alice.B@Example.com", "alice.b@example.com!", "Alice.b1!", "al1ceb++", "alice.b+shop", "example.com", "Examp1e!!"],
)
def test_the_address_and_its_parts_in_disguise_are_refused(password: str) -> None:
    assert "is_email" in codes(password, username="someone", email="alice.b+shop@example.com")


@pytest.mark.asvs("V6.2.11")
@pytest.mark.parametrize("password", ["Authkeep!", "4uthk33p!", "auth-keep-2024", "AUTHKEEP#1"])
def test_the_product_name_in_disguise_is_refused(password: str) -> None:
    assert "is_product_name" in codes(password)


@pytest.mark.parametrize("policy", [STANDARD, STRICT])
@pytest.mark.parametrize("username", ["alice", "tea", "al", "a", "", "1", "...", "1234"])
def test_a_name_within_a_longer_password_is_no_reason_to_refuse_it(username: str, policy: PasswordPolicy) -> None:
    assert codes("alice likes tea 1234", policy, username=username) == []


def test_a_name_of_digits_is_found_only_where_it_is_all_there_is() -> None:
    assert codes("5551234!!", username="5551234") == ["is_username"]
    assert codes("98-5551234-76", username="5551234") == []
    assert codes("xq 5551234 vz", username="5551234") == []


def test_empty_names_refuse_nothing() -> None:
    assert codes("kq!vzxwm", username="", email="", product="") == []
    assert codes("!!!!!!!!", username="", email="@", product="!") == []


def test_all_violations_are_found_in_a_fixed_order() -> None:
    assert codes("alice", username="alice", email="alice@alice", product="Alice", common=frozenset({"alice"})) == [
        "too_short",
        "no_special_character",
        "common",
        "is_username",
        "is_email",
        "is_product_name",
    ]


def test_no_violation_echoes_the_password_or_a_name() -> None:
    password = "zyxwvut"
    refused = found(password, username=password, email=f"{password}@qqq.example", product=password)
    refused += found("zyxwvut" * 20)
    assert {violation.code for violation in refused} >= {"too_short", "is_username", "is_email", "too_long"}
    assert all(violation.detail and password not in violation.detail.lower() for violation in refused)


def test_normalising_only_composes() -> None:
    assert normalise("e\u0301") == "é"
    for kept in ("  Spaces and CASE \t", "a\0b", "ﬁ", "ｆｕｌｌ", "²"):
        assert normalise(kept) == kept


def test_composed_and_decomposed_passwords_are_judged_alike() -> None:
    assert codes("Café-René", username="cafe\u0301-rene\u0301") == ["is_username"]
    assert codes("Cafe\u0301-Rene\u0301", username="café-rené") == ["is_username"]


def test_odd_unicode_is_judged_without_an_error(common: CommonPasswords) -> None:
    assert codes("\ud800kqvzxwm", username="\udfff" * 4, email="\ud800@\ud800", common=common) == []
    for odd in ("\0", "\u0301", "\u200d", "\ufdfa", "\U0010ffff", "\u0130", "\u1100"):
        assert "too_long" not in codes(odd * 128, username=odd * 3, common=common)


@pytest.mark.parametrize(
    "password",
    ["1" * 128, "!" * 128, "a" * 128, "a1" * 64, "1a" * 64, "1" * 63 + "a" + "1" * 64, LONG, "\u0301" * 128, "\u0390" * 128],
)
def test_a_check_takes_under_a_millisecond(common: CommonPasswords, password: str) -> None:
    def seconds() -> float:
        start = time.perf_counter()
        codes(password, username="aaa", email="111@1111.example", product="Authkeep", common=common)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(20)) < 0.001
