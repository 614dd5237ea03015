"""What each step of a run took, drawn as SVG, by hand: time and memory, one after the other."""

import html

from bundler.competition.protocol import Curve

WIDTH, HEIGHT = 320, 140
LEFT, TOP, BOTTOM = 52, 24, 20  # margins, for the labels
MOST = 400  # points that are drawn


def draw(curve: Curve) -> str:
    """Return a curve as SVG, from 0 to its largest value, or to a limit that is near."""
    values = curve.values[:: -(-len(curve.values) // MOST)] or (0.0,)
    near = curve.limit is not None and curve.limit < 4 * max(values)
    most = max(*values, curve.limit if near and curve.limit else 0.0, 1e-9)

    def at(number: int, value: float) -> str:
        x = LEFT + number / max(len(values) - 1, 1) * (WIDTH - LEFT - 8)
        return f"{x:.1f},{HEIGHT - BOTTOM - value / most * (HEIGHT - TOP - BOTTOM):.1f}"

    line = " ".join(at(number, value) for number, value in enumerate(values))
    parts = [
        f'<text x="0" y="13" class="title">{html.escape(curve.name)}</text>',
        f'<text x="{LEFT - 5}" y="{TOP + 4}" class="y">{_text(most, curve.unit)}</text>',
        f'<text x="{LEFT - 5}" y="{HEIGHT - BOTTOM}" class="y">0</text>',
        f'<text x="{WIDTH - 8}" y="{HEIGHT - 4}" class="y">{len(curve.values)} calls</text>',
        f'<polyline class="fit" points="{line}"/>',
    ]
    if near and curve.limit:
        ends = f"{at(0, curve.limit)} {at(len(values) - 1, curve.limit)}"
        parts.append(f'<polyline class="limit" points="{ends}"/>')
    label = f"{curve.name}: at most {_text(max(values), curve.unit)}"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _text(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value:.2g} s"
    return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"
