"""How good a password looks, for the meter beside its field. The rules decide what may be set; this only encourages."""

import math
import unicodedata
from itertools import pairwise

from app.core.i18n import N_

REJECTED, FAIR, GOOD, STRONG = range(4)
WORDS = {
    FAIR: N_("Accepted. A few more words would make it better."),
    GOOD: N_("Good."),
    STRONG: N_("Very good."),
}
BITS_GOOD, BITS_STRONG = 55.0, 75.0
KINDS = {"L": 26, "N": 10, "Z": 5, "P": 20, "S": 20}  # how many characters of a kind somebody who guesses has to reckon with
OTHER = 20


def level_of(password: str) -> int:
    """FAIR to STRONG, by what is left once repeats and runs such as 1234 or aaaa are counted once."""
    bits = _varied(password) * math.log2(_alphabet(password) or 1)
    if bits >= BITS_STRONG:
        return STRONG
    return GOOD if bits >= BITS_GOOD else FAIR


def _varied(password: str) -> int:
    steps = [ord(after) - ord(before) for before, after in pairwise(password)]
    runs = sum(1 for one, next_one in pairwise(steps) if one == next_one and abs(one) <= 1)
    return min(len(password) - runs, 2 * len(set(password)))


def _alphabet(password: str) -> int:
    kinds = {unicodedata.category(char)[0] for char in password}
    both_cases = password.lower() != password and password.upper() != password
    return sum(KINDS.get(kind, OTHER) for kind in kinds) + (26 if both_cases else 0)
