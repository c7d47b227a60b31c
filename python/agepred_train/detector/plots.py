"""Plots as SVG: lines over two axes, for a report that needs nothing beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

COLORS = ("#1565c0", "#e65100", "#2e7d32", "#6a1b9a", "#00838f", "#ad1457")
_WIDTH, _HEIGHT = 420, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 10, 28, 40  # margins that hold numbers and titles


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a plot."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    dashed: bool = False


def plot(title: str, x_title: str, y_title: str, lines: Sequence[Line], *, x_end: float = 1, y_end: float = 1) -> str:
    """Return an SVG of lines between 0 and the ends of the axes; a legend names them."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT + 16 * len(lines)}" '
        f'width="{_WIDTH}" font-family="sans-serif" font-size="11" role="img" aria-label="{escape(title)}">',
        f'<text x="{_LEFT}" y="16" font-size="13">{escape(title)}</text>',
    ]
    inner_width, inner_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    for step in range(6):
        x = _LEFT + inner_width * step / 5
        y = _TOP + inner_height * (1 - step / 5)
        parts.append(
            f'<path d="M{x:.1f} {_TOP}V{_TOP + inner_height}M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>'
        )
        parts.append(
            f'<text x="{x:.1f}" y="{_TOP + inner_height + 14}" text-anchor="middle">{x_end * step / 5:.3g}</text>'
        )
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{y_end * step / 5:.3g}</text>')
    parts.append(
        f'<text x="{_LEFT + inner_width / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x_title)}</text>'
        f'<text transform="translate(11 {_TOP + inner_height / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_title)}</text>"
    )
    for number, line in enumerate(lines):
        color = COLORS[number % len(COLORS)]
        dashes = ' stroke-dasharray="4 3"' if line.dashed else ""
        places = " ".join(
            f"{_LEFT + inner_width * min(x / x_end, 1):.1f},{_TOP + inner_height * (1 - min(y / y_end, 1)):.1f}"
            for x, y in zip(line.x, line.y, strict=True)
        )
        parts.append(f'<polyline points="{places}" fill="none" stroke="{color}" stroke-width="1.6"{dashes}/>')
        y = _HEIGHT + 16 * number + 6
        parts.append(f'<path d="M{_LEFT} {y}h22" stroke="{color}" stroke-width="2"{dashes}/>')
        parts.append(f'<text x="{_LEFT + 28}" y="{y + 4}">{escape(line.name)}</text>')
    return "".join([*parts, "</svg>"])


def steps(edges: Sequence[float], counts: Sequence[int]) -> tuple[list[float], list[float]]:
    """Return a histogram as a line of steps: shares of all that was counted."""
    total = max(1, sum(counts))
    x = [edge for low, high in pairwise(edges) for edge in (low, high)]
    return x, [count / total for count in counts for _ in range(2)]
