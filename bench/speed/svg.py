"""Bars in SVG, small and plain; readable on light and on dark pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

LABEL, WIDTH, ROW, BAR, TOP, RIGHT = 270, 860, 28, 16, 44, 130
COLOURS = ("#2a78b8", "#d98324", "#3b9560", "#a2559c", "#8a8a35", "#c0504d", "#4f6f8f", "#7f6b5d", "#5aa5a5", "#999999")
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: 600; font-size: 15px } .small { font-size: 11px }
.line { stroke: #1f2328; stroke-width: 1.3 } .goal { stroke: #c0382b; stroke-width: 2; stroke-dasharray: 3 2 }
.own { fill: #2a78b8 } .other { fill: #9aa4ae }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .line { stroke: #e6edf3 } .goal { stroke: #ff7b72 } .own { fill: #4d9fe0 } .other { fill: #6e7681 }
}
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One value, with the least and greatest of its rounds, what it should reach, and what to write beside it."""

    label: str
    value: float
    text: str
    low: float | None = None
    high: float | None = None
    goal: float | None = None
    own: bool = True  # a figure of this server, not of a yardstick


@dataclass(frozen=True, slots=True)
class Stack:
    """One bar of several parts, one after the other."""

    label: str
    parts: Sequence[tuple[str, float]]
    text: str


def bars(title: str, values: Sequence[Bar]) -> str:
    """A chart of one bar a line."""
    most = max(max(each.value, each.high or 0, each.goal or 0) for each in values)
    scale = (WIDTH - LABEL - RIGHT) / most
    lines = []
    for number, each in enumerate(values):
        top = TOP + number * ROW
        middle, end = top + BAR / 2, LABEL + max(each.value, each.high or 0) * scale
        lines.append(_text(LABEL - 10, middle + 4.5, each.label, anchor="end"))
        lines.append(_box(LABEL, top, each.value * scale, f'class="{"own" if each.own else "other"}"'))
        if each.low is not None and each.high is not None:
            lines.append(_line(LABEL + each.low * scale, middle, LABEL + each.high * scale, middle, "line"))
        if each.goal is not None:
            at = LABEL + each.goal * scale
            lines.append(_line(at, top - 4, at, top + BAR + 4, "goal"))
            end = max(end, at)
        lines.append(_text(end + 8, middle + 4.5, each.text))
    return _page(title, len(values), lines)


def stacks(title: str, values: Sequence[Stack]) -> str:
    """A chart of bars made of parts; equal names have equal colours, told below."""
    names = list(dict.fromkeys(name for each in values for name, _ in each.parts))
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    scale = (WIDTH - LABEL - RIGHT) / max(sum(size for _, size in each.parts) for each in values)
    lines = []
    for number, each in enumerate(values):
        top, at = TOP + number * ROW, float(LABEL)
        lines.append(_text(LABEL - 10, top + BAR / 2 + 4.5, each.label, anchor="end"))
        for name, size in each.parts:
            lines.append(_box(at, top, size * scale, f'fill="{colours[name]}"', f"{name}: {size:.0f}"))
            at += size * scale
        lines.append(_text(at + 8, top + BAR / 2 + 4.5, each.text))
    for number, name in enumerate(names):
        column, line = number % 4, number // 4
        left, top = 20 + column * 210, TOP + len(values) * ROW + 10 + line * 20
        lines.append(f'<rect x="{left}" y="{top}" width="11" height="11" fill="{colours[name]}"/>')
        lines.append(_text(left + 17, top + 10, name, kind="small"))
    return _page(title, len(values) + 1 + (len(names) + 3) // 4, lines)


def _page(title: str, rows: int, lines: Sequence[str]) -> str:
    height = TOP + rows * ROW + 8
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">'
    name = f"<title>{escape(title)}</title>"
    return "\n".join([head, name, f"<style>{STYLE}</style>", _text(20, 24, title, kind="title"), *lines, "</svg>"]) + "\n"


def _text(x: float, y: float, words: str, *, anchor: str = "start", kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(words)}</text>'


def _box(x: float, y: float, width: float, style: str, told: str = "") -> str:
    inside = f"<title>{escape(told)}</title>" if told else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{BAR}" {style}>{inside}</rect>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'
