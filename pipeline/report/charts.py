"""Charts as SVG text: a few lines and bars, crisp at any size, coloured by the page's style sheet.

Colours and dashes are classes (`s0` ... of style.css), so that a chart follows the reader's light or dark theme; every
chart carries its meaning in words for those who cannot see it. Equal data is equal text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, HEIGHT = 360, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 38


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Attributes:
        label: What it shows.
        low: Its smallest value.
        high: Its largest value, above `low`.
        ticks: Values that are marked.
        percent: Mark shares as percentages.
        log: Whether equal ratios are equally far apart; `low` is positive then.
    """

    label: str
    low: float
    high: float
    ticks: Sequence[float]
    percent: bool = False
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value lies between the ends, 0 to 1."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def text(self, value: float) -> str:
        """What a tick says."""
        return (
            f"{value * 100:g} %" if self.percent else f"{value:,g}" if abs(value) < 1000 else f"{value:,.0f}"
        )


@dataclass(frozen=True)
class Series:
    """One line.

    Attributes:
        name: Whose it is.
        style: Its class in the style sheet.
        points: (x, y), by rising x.
    """

    name: str
    style: str
    points: Sequence[tuple[float, float]]


def round_axis(label: str, high: float, *, percent: bool = False) -> Axis:
    """An axis from 0 to a round number at or above `high`, with three to six ticks."""
    high = max(high, 1e-6)
    power = 10.0 ** math.floor(math.log10(high))
    step = next(s * power for s in (0.2, 0.5, 1, 2) if high / (s * power) <= 6)
    step = step if percent or high < 2 else max(1.0, step)
    count = math.ceil(high / step - 1e-9)
    return Axis(label, 0, count * step, [round(n * step, 10) for n in range(count + 1)], percent)


def frame_axis(last: int) -> Axis:
    """An axis of frame numbers from 1: logarithmic for long videos, whose beginnings matter most."""
    last = max(last, 2)
    if last <= 250:
        return Axis("frame", 1, last, [1, *[t for t in round_axis("", last).ticks if 1 < t <= last]])
    ticks = [t for t in (1, 3, 10, 30, 100, 300, 1000, 3000, 10000) if t <= last]
    return Axis("frame (logarithmic)", 1, last, ticks, log=True)


def lines(series: Sequence[Series], x: Axis, y: Axis, alt: str) -> Markup:
    """A chart of lines; a series of one point is a dot."""
    parts = []
    for one in series:
        places = [f"{_x(x, a):.1f},{_y(y, b):.1f}" for a, b in one.points]
        title = f"<title>{escape(one.name)}</title>"
        if len(places) == 1:
            cx, cy = places[0].split(",")
            parts.append(f'<circle class="{one.style} dot" cx="{cx}" cy="{cy}" r="3">{title}</circle>')
        elif places:
            parts.append(f'<polyline class="{one.style}" points="{" ".join(places)}">{title}</polyline>')
    return _chart("".join(parts), x, y, alt)


def histogram(
    shares: Sequence[float], style: str, x: Axis, y: Axis, alt: str, mark: float | None = None
) -> Markup:
    """A chart of bars of equal width between the ends of x.

    Args:
        shares: Height of each bar.
        style: Its class.
        x: The axis that the bars divide.
        y: The other.
        alt: The chart in words.
        mark: A value of x to draw a line at.
    """
    width = (x.high - x.low) / max(len(shares), 1)
    bars = []
    for number, share in enumerate(shares):
        left, right = (_x(x, x.low + (number + i) * width) for i in (0, 1))
        if share:
            top, bottom = _y(y, share), _y(y, 0)
            bars.append(
                f'<rect class="{style} bar" x="{left + 0.4:.1f}" y="{top:.1f}" '
                f'width="{right - left - 0.8:.1f}" height="{bottom - top:.1f}"/>'
            )
    if mark is not None:
        at = f"{_x(x, mark):.1f}"
        bars.append(f'<line class="mark" x1="{at}" x2="{at}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    return _chart("".join(bars), x, y, alt)


def shares_bar(shares: Sequence[tuple[str, str, float]], alt: str) -> Markup:
    """One horizontal bar, divided.

    Args:
        shares: (name, class, share) from left to right.
        alt: The bar in words.
    """
    parts, left = [], 0.0
    for name, style, share in shares:
        width = share * 1000
        if width <= 0:
            continue
        title = f"<title>{escape(name)}: {share:.1%}</title>"
        parts.append(
            f'<rect class="{style} bar" x="{left:.1f}" y="0" width="{max(width - 3, 1):.1f}" height="44">'
        )
        parts.append(f"{title}</rect>")
        left += width
    svg = '<svg class="share" viewBox="0 0 1000 44" preserveAspectRatio="none" role="img"'
    return Markup(f'{svg} aria-label="{escape(alt)}">{"".join(parts)}</svg>')  # noqa: S704 - names are escaped


def _x(axis: Axis, value: float) -> float:
    return LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - axis.place(value) * (HEIGHT - TOP - BOTTOM)


def _chart(marks: str, x: Axis, y: Axis, alt: str) -> Markup:
    grid = []
    for value in y.ticks:
        at = _y(y, value)
        grid.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        grid.append(f'<text class="tick end" x="{LEFT - 6}" y="{at + 4:.1f}">{y.text(value)}</text>')
    for value in x.ticks:
        at = _x(x, value)
        grid.append(
            f'<text class="tick middle" x="{at:.1f}" y="{HEIGHT - BOTTOM + 15}">{x.text(value)}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    grid.append(f'<text class="label middle" x="{middle:.1f}" y="{HEIGHT - 5}">{escape(x.label)}</text>')
    base = f"{_y(y, y.low):.1f}"
    grid.append(f'<line class="base" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>')
    svg = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(alt)}">'
    return Markup(f"{svg}{''.join(grid)}{marks}</svg>")  # noqa: S704 - labels and names are escaped
