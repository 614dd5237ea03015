"""Each quantity against the units, with its fit, interval and limit: drawn as SVG, by hand.

Both scales are logarithmic, since a rehearsal's sizes lie far from the hidden test's.
"""

import html
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bundler.rehearse.checks.projection import RED
from bundler.rehearse.fit import Fit
from bundler.rehearse.quantities import PARTS, Quantity

WIDTH, HEIGHT = 320, 190
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 24, 26  # margins, for the labels
CURVE = 48  # points of a drawn curve
# The least that is drawn of each: nothing has no place on a logarithmic scale.
LEAST = {"time": 0.1, "memory": 1e6, "disk": 1e6, "open files": 1.0, "threads": 1.0}
DECADES = 5  # labels of an axis, at most


def draw(quantities: Sequence[Quantity], rows: str) -> list[str]:
    """Return a chart for each quantity that was fitted; the kernel's only where they grow."""
    return [
        _chart(one, one.fit, rows)
        for one in quantities
        if one.fit and (one.place != PARTS["kernel"] or one.grows)
    ]


@dataclass(frozen=True, kw_only=True)
class _Scales:
    """Where a size and a value lie in the picture."""

    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, units: float, value: float) -> tuple[float, float]:
        return (
            LEFT + _share(units, self.x) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - _share(value, self.y) * (HEIGHT - TOP - BOTTOM),
        )


def _share(value: float, ends: tuple[float, float]) -> float:
    low, high = ends
    inside = min(max(value, low), high)
    return math.log(inside / low) / math.log(high / low)


def _chart(quantity: Quantity, fit: Fit, rows: str) -> str:
    scales = _scales(quantity, fit)
    title = quantity.name.capitalize() + (f" of {quantity.place}" if quantity.place else "")
    parts = [
        f'<text x="0" y="13" class="title">{html.escape(title)}</text>',
        *_axes(quantity, scales, rows),
        *_curves(fit, scales),
        *_limit(quantity, scales),
        *(_dot(scales.at(p.units, p.value), "bound" if p.at_most else "run") for p in fit.points),
        _dot(scales.at(fit.units, fit.value), "end"),
    ]
    label = f"{title}: {_text(quantity, fit.value)} at {fit.units} {rows}"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _scales(quantity: Quantity, fit: Fit) -> _Scales:
    least = LEAST[quantity.name]
    sizes = [point.units for point in fit.points]
    values = [max(point.value, least) for point in fit.points]
    most = max(fit.high, fit.value, quantity.limit or 0.0, *values)
    return _Scales(
        x=(min(sizes) / 1.5, max(fit.units, *sizes) * 1.2),
        y=(max(min(values) / 2, least), max(most * 1.5, 10 * least)),
    )


def _curves(fit: Fit, scales: _Scales) -> Iterator[str]:
    low, high = scales.x
    xs = [low * (high / low) ** (number / CURVE) for number in range(CURVE + 1)]
    bands = [(x, *fit.band(x)) for x in xs]
    edge = [scales.at(x, upper) for x, _, upper in bands]
    edge += [scales.at(x, lower) for x, lower, _ in reversed(bands)]
    yield f'<polygon class="band" points="{_points(edge)}"/>'
    yield f'<polyline class="fit" points="{_points(scales.at(x, fit.best.value(x)) for x in xs)}"/>'


def _limit(quantity: Quantity, scales: _Scales) -> Iterator[str]:
    if quantity.limit:
        y = scales.at(scales.x[0], RED * quantity.limit)[1]
        yield f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _axes(quantity: Quantity, scales: _Scales, rows: str) -> Iterator[str]:
    bottom = HEIGHT - BOTTOM
    for value in _decades(scales.y):
        y = scales.at(scales.x[0], value)[1]
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 5}" y="{y + 3:.1f}" class="y">{_text(quantity, value)}</text>'
    for size in _decades(scales.x):
        x = scales.at(size, scales.y[0])[0]
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 12}" class="x">{size:,.0f}</text>'
    yield f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 2}" class="y">{html.escape(rows)}</text>'


def _decades(ends: tuple[float, float]) -> list[float]:
    low, high = ends
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    every = math.ceil(len(powers) / DECADES) if powers else 1
    return [10.0**power for power in powers[::every]]


def _text(quantity: Quantity, value: float) -> str:
    if quantity.name == "time":
        if value >= 3600:
            return f"{value / 3600:.2g} h"
        return f"{value:,.0f} s" if value >= 10 else f"{value:.2g} s"
    if quantity.name in ("memory", "disk"):
        return f"{value / 1e9:.3g} GB" if value >= 1e9 else f"{value / 1e6:.3g} MB"
    return f"{value:,.0f}"


def _dot(at: tuple[float, float], kind: str) -> str:
    return f'<circle class="{kind}" cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="3.2"/>'


def _points(places: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
