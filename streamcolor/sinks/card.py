"""The card that is shown while a camera gives no picture: dark, so that nobody takes it for one."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from streamcolor.frames import ColorSpace, Frame, StreamInfo

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_DARK, _BRIGHT = 24, 200  # luma of ground and letters

# OpenCV unpacks a font of 6 MB for every thread that draws letters, so one thread draws for all cameras.
_ARTIST = ThreadPoolExecutor(1, "card")


def card(info: StreamInfo, lines: Sequence[str]) -> Frame:
    """Draw lines of text on a dark ground, as a picture of the stream's size, 8-bit 4:2:0."""
    return _ARTIST.submit(_draw, info, lines).result()


def _draw(info: StreamInfo, lines: Sequence[str]) -> Frame:
    height, width = info.height, info.width
    luma = np.full((height, width), _DARK, np.uint8)
    step = height // (2 * len(lines) + 1)
    for number, line in enumerate(lines):
        (wide, tall), _ = cv2.getTextSize(line, _FONT, 1.0, 2)
        scale = min(0.9 * width / wide, 1.2 * step / tall)
        place = (round((width - scale * wide) / 2), (2 * number + 2) * step)
        cv2.putText(luma, line, place, _FONT, scale, _BRIGHT, max(1, round(2 * scale)), cv2.LINE_AA)
    middle = np.full((-(-height // 2), -(-width // 2)), 128, np.uint8)
    space = ColorSpace(info.space.matrix, full_range=info.space.full_range)
    return Frame(info.name, 0, luma, (middle, middle), space, 0.0)
