"""Pictures of figures: bars and lines in SVG files, without any library."""

import math
from collections.abc import Mapping
from html import escape
from pathlib import Path

_WIDTH, _LEFT, _RIGHT, _BAR, _GAP = 760, 190, 60, 14, 14
_HEIGHT = 150  # of a panel of lines
_LINES = ("#2a7f62", "#c06c4b", "#7a86b8", "#b9a44c", "#8c4a8c", "#555555", "#4aa3b9", "#a33a3a")
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
    _write(file, parts, y + 24)


def lines(file: Path, title: str, panels: Mapping[str, Mapping[str, Mapping[int, float]]]) -> None:
    """A panel for each unit, in it a line for each name, over numbers that grow by factors."""
    parts = [_text(10, 24, title, size=15)]
    names = list(dict.fromkeys(name for series in panels.values() for name in series))
    for index, (unit, series) in enumerate(panels.items()):
        top = 60 + index * (_HEIGHT + 50)
        numbers = {number for line in series.values() for number in line}
        across = (_WIDTH - 2 * _RIGHT) / max(math.log(max(numbers)), 1.0)
        largest = max(value for line in series.values() for value in line.values()) or 1.0
        parts.append(_text(10, top - 8, f"{unit}; at most {largest:.3g}"))
        parts.append(f'<path d="M{_RIGHT} {top}v{_HEIGHT}H{_WIDTH - _RIGHT}" stroke="#333" fill="none"/>')
        parts += [_text(_RIGHT + math.log(n) * across - 4, top + _HEIGHT + 18, f"{n:,}") for n in numbers]
        for name, line in series.items():
            points = [
                (_RIGHT + math.log(n) * across, top + _HEIGHT * (1 - value / largest))
                for n, value in line.items()
            ]
            colour, path = (
                _LINES[names.index(name) % len(_LINES)],
                " ".join(f"{x:.1f},{y:.1f}" for x, y in points),
            )
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    bottom = 60 + len(panels) * (_HEIGHT + 50)
    for index, name in enumerate(names):
        x, y = 10 + index % 4 * 180, bottom + index // 4 * 20
        parts.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="{_LINES[index % len(_LINES)]}"/>')
        parts.append(_text(x + 17, y + 11, name))
    _write(file, parts, bottom + 20 * math.ceil(len(names) / 4) + 10)


def _write(file: Path, parts: list[str], height: int) -> None:
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    back = f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>'
    file.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{back}{"".join(parts)}</svg>\n')


def _text(x: float, y: float, text: str, *, size: int = 13) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-family="sans-serif" font-size="{size}">{escape(text)}</text>'
