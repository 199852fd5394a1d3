"""A picture of ratios: bars in an SVG file, without any library."""

from collections.abc import Mapping
from html import escape
from pathlib import Path

_WIDTH, _LEFT, _RIGHT, _BAR, _GAP = 760, 190, 60, 14, 14
_COLOURS = {
    "kraal": "#2a7f62",
    "php-fpm": "#7a86b8",
    "mod_php": "#c06c4b",
    "uwsgi": "#b9a44c",
    "engine": "#999999",
}


def draw(file: Path, title: str, ratios: Mapping[str, Mapping[str, float]]) -> None:
    """For each row its bars, one a server; 1 is where a line is drawn."""
    largest = max((value for bars in ratios.values() for value in bars.values()), default=1.0)
    scale = (_WIDTH - _LEFT - _RIGHT) / max(largest, 1.1)
    parts, y = [_text(10, 24, title, size=15)], 44
    for row, bars in ratios.items():
        parts.append(_text(10, y + len(bars) * _BAR / 2 + 4, row))
        for server, value in bars.items():
            colour = _COLOURS.get(server, "#555555")
            width = value * scale
            parts.append(
                f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR - 2}" fill="{colour}"/>'
            )
            parts.append(_text(_LEFT + width + 5, y + 10, f"{value:.2f}", size=11))
            y += _BAR
        y += _GAP
    one = _LEFT + scale
    parts.append(f'<path d="M{one:.1f} 36V{y - _GAP + 4}" stroke="#333" stroke-dasharray="3"/>')
    x = _LEFT
    for server in dict.fromkeys(server for bars in ratios.values() for server in bars):
        parts.append(
            f'<rect x="{x}" y="{y}" width="12" height="12" fill="{_COLOURS.get(server, "#555555")}"/>'
        )
        parts.append(_text(x + 17, y + 11, server))
        x += 100
    size = f'width="{_WIDTH}" height="{y + 24}" viewBox="0 0 {_WIDTH} {y + 24}"'
    back = f'<rect width="{_WIDTH}" height="{y + 24}" fill="#ffffff"/>'
    file.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{back}{"".join(parts)}</svg>\n')


def _text(x: float, y: float, text: str, *, size: int = 13) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-family="sans-serif" font-size="{size}">{escape(text)}</text>'
