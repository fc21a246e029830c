"""Contact sheets: rows of pictures side by side, for people to look at."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from .stills import Rgb

CELL = 176  # pixels: the side of the square that each picture is fitted into


def write_sheet(path: Path, rows: Sequence[Sequence[Rgb]], *, columns: int = 3) -> None:
    """Write `rows` of pictures (H,W,3) to `path`, in `columns` columns of rows."""
    if not rows:
        return
    strips = [np.hstack([fitted(picture) for picture in row]) for row in rows]
    strips += [np.zeros_like(strips[0])] * (-len(strips) % columns)
    sheet = np.hstack([np.vstack(strips[column::columns]) for column in range(columns)])
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def fitted(picture: Rgb) -> Rgb:
    """Return the picture within a square cell, its shape kept, on black."""
    height, width = picture.shape[:2]
    factor = CELL / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    cell = np.zeros((CELL, CELL, 3), np.uint8)
    cell[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return cell
