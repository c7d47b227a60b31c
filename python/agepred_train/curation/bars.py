"""Histograms as SVG, for a report that needs nothing beside it."""

from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT = 520, 200
_LEFT, _TOP, _BOTTOM = 48, 28, 34  # margins that hold numbers and the title
_COLOR = "#1565c0"
_YEARS = 10  # between two marks of the axis, where bars are years


def bars(title: str, counts: Sequence[float], names: Sequence[str] | None = None) -> str:
    """Return a histogram; without names bar i is the year of age i, and every tenth is marked."""
    top = max([1.0, *counts])
    inner_width, inner_height = _WIDTH - _LEFT, _HEIGHT - _TOP - _BOTTOM
    step = inner_width / max(1, len(counts))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'font-family="sans-serif" font-size="11" role="img" aria-label="{escape(title)}">'
        f'<text x="{_LEFT}" y="16" font-size="13">{escape(title)}</text>'
    ]
    for share in (0, 0.5, 1):
        y = _TOP + inner_height * (1 - share)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{top * share:.4g}</text>')
    for number, count in enumerate(counts):
        height = inner_height * count / top
        x, y = _LEFT + step * (number + 0.1), _TOP + inner_height - height
        label = names[number] if names else f"{number} years"
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{0.8 * step:.1f}" height="{height:.1f}" fill="{_COLOR}">'
            f"<title>{escape(label)}: {count:g}</title></rect>"
        )
        if names or number % _YEARS == 0:
            text = escape(label) if names else str(number)
            # Names are longer than their bars are wide: every other one stands lower.
            y = _HEIGHT - (6 if names and number % 2 else 19)
            parts.append(f'<text x="{x + 0.4 * step:.1f}" y="{y}" text-anchor="middle">{text}</text>')
    return "".join([*parts, "</svg>"])
