"""Figures in words: the same on the terminal, in the document and in its charts."""

from bench.speed.figures import Goal, Row, Spread


def number(value: float) -> str:
    """Three or four digits."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


def middle(spread: Spread | None, unit: str = "") -> str:
    """The median."""
    return "" if spread is None else f"{number(spread.median)} {unit}".strip()


def ratio(row: Row) -> str:
    """The ratio's median, and its least and greatest."""
    spread = row.ratio
    return f"{spread.median:.2f} ({spread.low:.2f}–{spread.high:.2f})" if spread else ""


def goal(wanted: Goal | None) -> str:
    """What is to be reached."""
    if wanted is None:
        return ""
    times = " ×" if wanted.of == "ratio" else ""
    return f"{'≥' if wanted.sense == '>=' else '≤'} {wanted.value:g}{times}"


def beside(row: Row) -> str:
    """The yardstick and its figure."""
    return f"{middle(row.against)} {row.yardstick}" if row.against else ""
