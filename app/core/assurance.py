"""How well somebody proved who they are: the levels of NIST SP 800-63B, as sessions and tokens name them in `acr`."""

import uuid
from dataclasses import dataclass
from datetime import datetime

AAL1 = "aal1"  # one factor
AAL2 = "aal2"  # two
AAL2_PHR = "aal2-phr"  # two, and no look-alike page gets at one of them
LEVELS = (AAL1, AAL2, AAL2_PHR)  # each is as good as those before it


def reaches(acr: str, wanted: str) -> bool:
    """Whether one level is as good as another. What is no level, or one of a newer version, counts as the lowest."""
    return level_of(acr) >= LEVELS.index(wanted)


def level_of(acr: object) -> int:
    """The place of a level, the lowest for what is none."""
    return LEVELS.index(acr) if acr in LEVELS else 0


def factor_key(kind: str, factor_id: uuid.UUID) -> str:
    """How a session remembers a factor that it was opened or proved with."""
    return f"{kind}:{factor_id.hex}"


@dataclass(frozen=True, slots=True)
class Proof:
    """That somebody is who they say: since when, by which methods (`amr`, spaces between), how well, with which factor."""

    at: datetime
    amr: str
    acr: str = AAL1
    factor: str | None = None
