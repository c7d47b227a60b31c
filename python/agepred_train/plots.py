"""Plots as SVG: lines, bars and points over two axes, for a report that needs nothing beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

COLORS = ("#1565c0", "#e65100", "#2e7d32", "#6a1b9a", "#00838f", "#ad1457")
_WIDTH, _HEIGHT = 420, 280
_WIDE = 1060  # pixels of a plot across the page
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 10, 28, 40  # margins that hold numbers and titles


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a plot."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axes:
    """The frame of a plot: where a place between the ends of the axes lies in pixels."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int = _WIDTH
    room: float = 0
    """Left free beyond both ends of x, in its units."""

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return the place in pixels; what lies beyond an axis is put at its end."""
        start, end = self.x[0] - self.room, self.x[1] + self.room
        across = min(max((x - start) / (end - start), 0), 1)
        up = min(max((y - self.y[0]) / (self.y[1] - self.y[0]), 0), 1)
        return (
            _LEFT + (self.width - _LEFT - _RIGHT) * across,
            _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - up),
        )

    def draw(self, title: str, x_title: str, y_title: str, legend: int) -> list[str]:
        """Return the beginning of an SVG: frame, numbers and titles, with room for lines of legend below."""
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {_HEIGHT + 16 * legend}" '
            f'width="{self.width}" font-family="sans-serif" font-size="11" role="img" aria-label="{escape(title)}">',
            f'<text x="{_LEFT}" y="16" font-size="13">{escape(title)}</text>',
        ]
        bottom, right = _HEIGHT - _BOTTOM, self.width - _RIGHT
        for step in range(6):
            at_x, at_y = (start + (end - start) * step / 5 for start, end in (self.x, self.y))
            x, y = self.place(at_x, at_y)
            parts.append(f'<path d="M{x:.1f} {_TOP}V{bottom}M{_LEFT} {y:.1f}H{right}" stroke="#ddd"/>')
            parts.append(f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{at_x:.3g}</text>')
            parts.append(f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{at_y:.3g}</text>')
        parts.append(
            f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x_title)}</text>'
            f'<text transform="translate(11 {(_TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">'
            f"{escape(y_title)}</text>"
        )
        return parts


def plot(
    title: str,
    x_title: str,
    y_title: str,
    lines: Sequence[Line],
    *,
    x_end: float = 1,
    y_end: float = 1,
    x_start: float = 0,
    y_start: float = 0,
) -> str:
    """Return an SVG of lines between the ends of the axes; a legend names them."""
    axes = _Axes(x=(x_start, x_end), y=(y_start, y_end))
    parts = axes.draw(title, x_title, y_title, len(lines))
    for number, line in enumerate(lines):
        parts += _drawn_line(axes, line, COLORS[number % len(COLORS)])
        parts += _legend(number, line.name, COLORS[number % len(COLORS)], dashed=line.dashed)
    return "".join([*parts, "</svg>"])


def bars(
    title: str,
    x_title: str,
    y_title: str,
    series: Sequence[Line],
    *,
    colors: Sequence[str],
    x_end: float,
    y_end: float = 1,
) -> str:
    """Return a wide SVG of bars side by side; every `x` is a whole number from 0 on, each has a place of one."""
    axes = _Axes(x=(0, x_end), y=(0, y_end), width=_WIDE, room=0.5)
    parts = axes.draw(title, x_title, y_title, len(series))
    width = 0.8 / max(1, len(series))
    for number, (one, color) in enumerate(zip(series, colors, strict=True)):
        shape = ""
        for x, y in zip(one.x, one.y, strict=True):
            left = x - 0.4 + number * width
            (x0, y0), (x1, y1) = axes.place(left, 0), axes.place(left + width, y)
            shape += f"M{x0:.1f} {y0:.1f}H{x1:.1f}V{y1:.1f}H{x0:.1f}Z"
        parts.append(f'<path d="{shape}" fill="{color}"/>')
        parts += _legend(number, one.name, color)
    return "".join([*parts, "</svg>"])


def points(title: str, x_title: str, y_title: str, cloud: Line, lines: Sequence[Line], *, end: float) -> str:
    """Return an SVG of many points, with lines over them, from 0 to the end of both axes."""
    axes = _Axes(x=(0, end), y=(0, end))
    parts = axes.draw(title, x_title, y_title, 1 + len(lines))
    places = (axes.place(x, y) for x, y in zip(cloud.x, cloud.y, strict=True))
    # One path of dots: thousands of circles would make a heavy page.
    dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places)
    parts.append(
        f'<path d="{dots}" stroke="{COLORS[0]}" stroke-width="3" stroke-linecap="round" stroke-opacity=".25"/>'
    )
    parts += _legend(0, cloud.name, COLORS[0])
    for number, line in enumerate(lines, start=1):
        parts += _drawn_line(axes, line, COLORS[number])
        parts += _legend(number, line.name, COLORS[number], dashed=line.dashed)
    return "".join([*parts, "</svg>"])


def steps(edges: Sequence[float], counts: Sequence[int]) -> tuple[list[float], list[float]]:
    """Return a histogram as a line of steps: shares of all that was counted."""
    total = max(1, sum(counts))
    x = [edge for low, high in pairwise(edges) for edge in (low, high)]
    return x, [count / total for count in counts for _ in range(2)]


def _dashes(dashed: bool) -> str:
    return ' stroke-dasharray="4 3"' if dashed else ""


def _drawn_line(axes: _Axes, line: Line, color: str) -> list[str]:
    places = " ".join("{:.1f},{:.1f}".format(*axes.place(x, y)) for x, y in zip(line.x, line.y, strict=True))
    stroke = f'stroke="{color}" stroke-width="1.6"{_dashes(line.dashed)}'
    return [f'<polyline points="{places}" fill="none" {stroke}/>']


def _legend(number: int, name: str, color: str, *, dashed: bool = False) -> list[str]:
    y = _HEIGHT + 16 * number + 6
    return [
        f'<path d="M{_LEFT} {y}h22" stroke="{color}" stroke-width="2"{_dashes(dashed)}/>',
        f'<text x="{_LEFT + 28}" y="{y + 4}">{escape(name)}</text>',
    ]
