"""Charts of the measurements, as SVG: written by hand, as they are few and no library is asked of the user."""

import math
from collections.abc import Callable, Sequence
from html import escape

BAR, GAP, LABEL, WIDTH, MARGIN = 18, 10, 400, 520, 30
KPATH, PEER, GRID, TEXT = "#2f6db3", "#b8b8b8", "#dddddd", "#333333"
STYLE = f'font-family="sans-serif" font-size="12" fill="{TEXT}"'


def scale(low: float, high: float, width: float) -> Callable[[float], float]:
    """A logarithmic scale."""
    span = math.log10(high) - math.log10(low)
    return lambda v: (math.log10(v) - math.log10(low)) / span * width


def decades(low: float, high: float) -> list[float]:
    return [10.0**e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def svg(width: float, height: float, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
    return "\n".join([head + f'height="{height:.0f}">', '<rect width="100%" height="100%" fill="white"/>', *parts,
                      "</svg>\n"])


def number(v: float) -> str:
    """`1.6 M`, `81 k`, `161`."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if v >= size:
            return f"{v / size:.3g} {unit}"
    return f"{v:.3g}"


def bars(title: str, rows: Sequence[tuple[str, float, bool]], unit: str) -> str:
    """Horizontal bars on a logarithmic scale. rows: (label, value, whether it is kpath's)."""
    low, high = min(v for _, v, _ in rows), max(v for _, v, _ in rows)
    ticks = decades(low, high)
    x = scale(ticks[0], ticks[-1], WIDTH)
    height = 60 + len(rows) * (BAR + GAP)
    parts = [f'<text x="{LABEL}" y="20" {STYLE} font-weight="bold">{escape(title)}</text>']
    for t in ticks:
        at = LABEL + x(t)
        parts.append(f'<line x1="{at:.1f}" y1="30" x2="{at:.1f}" y2="{height - 26}" stroke="{GRID}"/>')
        parts.append(f'<text x="{at:.1f}" y="{height - 10}" text-anchor="middle" {STYLE}>{number(t)}</text>')
    for i, (label, value, ours) in enumerate(rows):
        y = 36 + i * (BAR + GAP)
        parts.append(f'<text x="{LABEL - 8}" y="{y + 13}" text-anchor="end" {STYLE}>{escape(label)}</text>')
        parts.append(f'<rect x="{LABEL}" y="{y}" width="{max(x(value), 1):.1f}" height="{BAR}" '
                     f'fill="{KPATH if ours else PEER}"/>')
        parts.append(f'<text x="{LABEL + x(value) + 6:.1f}" y="{y + 13}" {STYLE}>{number(value)} {unit}</text>')
    return svg(LABEL + WIDTH + 110, height, parts)


def lines(title: str, series: dict[str, Sequence[tuple[float, float]]], across: str, up: str) -> str:
    """Curves on logarithmic scales both ways. series: points by name."""
    points = [p for s in series.values() for p in s]
    xs, ys = decades(min(p[0] for p in points), max(p[0] for p in points)), decades(
        min(p[1] for p in points), max(p[1] for p in points))
    width, height, left, top = 560, 300, 80, 52
    fx, fy = scale(xs[0], xs[-1], width), scale(ys[0], ys[-1] if len(ys) > 1 else ys[0] * 10, height)
    parts = [f'<text x="{left}" y="20" {STYLE} font-weight="bold">{escape(title)}</text>']
    for v in xs:
        at = left + fx(v)
        parts.append(f'<line x1="{at:.1f}" y1="{top}" x2="{at:.1f}" y2="{top + height}" stroke="{GRID}"/>')
        parts.append(f'<text x="{at:.1f}" y="{top + height + 18}" text-anchor="middle" {STYLE}>{number(v)}</text>')
    for v in ys:
        at = top + height - fy(v)
        parts.append(f'<line x1="{left}" y1="{at:.1f}" x2="{left + width}" y2="{at:.1f}" stroke="{GRID}"/>')
        parts.append(f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end" {STYLE}>{number(v)}</text>')
    parts.append(f'<text x="{left + width / 2}" y="{top + height + 40}" text-anchor="middle" {STYLE}>'
                 f'{escape(across)}</text>')
    parts.append(f'<text x="{left}" y="{top - 8}" {STYLE}>{escape(up)}</text>')
    colours = (KPATH, "#c0562b", "#4d9650", "#8a5aa8")
    for i, (name, curve) in enumerate(series.items()):
        colour = colours[i % len(colours)]
        path = " ".join(f"{left + fx(a):.1f},{top + height - fy(b):.1f}" for a, b in curve)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{left + fx(a):.1f}" cy="{top + height - fy(b):.1f}" r="3" fill="{colour}"/>'
                  for a, b in curve]
        end = curve[-1]
        parts.append(f'<text x="{left + fx(end[0]) + 8:.1f}" y="{top + height - fy(end[1]) - 8:.1f}" {STYLE}>'
                     f'{escape(name)}</text>')
    return svg(left + width + 160, top + height + 60, parts)
