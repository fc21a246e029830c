"""Bars, as SVG or PNG. A plotting library would be larger than the package; bars are rectangles and words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from streamcolor.errors import ConfigError, SinkError

SUFFIXES: Final = (".svg", ".png")
WIDTH, LEFT, RIGHT, ROW = 860, 250, 120, 26  # pixels: all; the names' column; the figures' column; a bar and its gap
COLORS: Final = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#9c6b4e")  # Observable 10


@dataclass(frozen=True)
class Bar:
    """A named value; bars of one kind have one color."""

    name: str  # ASCII: OpenCV draws nothing else
    value: float
    said: str  # the value as it is to be read, with its unit
    kind: int = 0


@dataclass(frozen=True)
class Chart:
    """Bars under a title, all on one scale."""

    title: str
    bars: Sequence[Bar]

    @property
    def height(self) -> int:
        """Pixels."""
        return ROW * (len(self.bars) + 2)

    def rows(self) -> Iterator[tuple[Bar, int, int]]:
        """Yield each bar with the pixel row of its top, and its length in pixels."""
        longest = max((bar.value for bar in self.bars), default=0) or 1
        for number, bar in enumerate(self.bars):
            yield bar, ROW * (number + 2) - ROW // 2, round((WIDTH - LEFT - RIGHT) * max(bar.value, 0) / longest)


def check_chart(path: str) -> None:
    """Raise ConfigError if a chart cannot be written there."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise ConfigError(f"cannot write the chart {path}: name a file {' or '.join(SUFFIXES)}")


def write_charts(charts: Sequence[Chart], path: Path) -> None:
    """Write charts below one another. Raises SinkError."""
    try:
        path.write_bytes(svg(charts).encode() if path.suffix.lower() == ".svg" else png(charts))
    except OSError as error:
        raise SinkError(f"cannot write the chart {path}: {error.strerror}") from error


def svg(charts: Sequence[Chart]) -> str:
    """Return an SVG, white behind, so that it can be read on a dark page too."""
    height = sum(chart.height for chart in charts)
    box = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    top = 0
    for chart in charts:
        lines.append(f'<text x="12" y="{top + ROW}" font-weight="bold">{escape(chart.title)}</text>')
        for bar, row, length in chart.rows():
            text = top + row + ROW // 2 + 4
            color = COLORS[bar.kind % len(COLORS)]
            lines += [
                f'<text x="{LEFT - 8}" y="{text}" text-anchor="end">{escape(bar.name)}</text>',
                f'<rect x="{LEFT}" y="{top + row + 3}" width="{length}" height="{ROW - 6}" fill="{color}"/>',
                f'<text x="{LEFT + length + 6}" y="{text}">{escape(bar.said)}</text>',
            ]
        top += chart.height
    return "\n".join([*lines, "</svg>", ""])


def png(charts: Sequence[Chart]) -> bytes:
    """Return a PNG, drawn with OpenCV's plain letters."""
    picture = np.full((sum(chart.height for chart in charts), WIDTH, 3), 255, np.uint8)
    top = 0
    for chart in charts:
        _write(picture, chart.title, 12, top + ROW, bold=2)
        for bar, row, length in chart.rows():
            code = COLORS[bar.kind % len(COLORS)]
            blue, green, red = (int(code[place : place + 2], 16) for place in (5, 3, 1))
            corner = (LEFT + length, top + row + ROW - 4)
            cv2.rectangle(picture, (LEFT, top + row + 3), corner, (blue, green, red), cv2.FILLED)
            (width, _), _ = cv2.getTextSize(bar.name, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
            _write(picture, bar.name, LEFT - 8 - width, top + row + ROW // 2 + 4)
            _write(picture, bar.said, LEFT + length + 6, top + row + ROW // 2 + 4)
        top += chart.height
    return cv2.imencode(".png", picture)[1].tobytes()


def _write(picture: np.ndarray, text: str, x: int, y: int, *, bold: int = 1) -> None:
    cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), bold, cv2.LINE_AA)
