"""The clip that is measured with: a gray H.264 file, made up or taken from any video.

H,W the picture's size.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import chain, count, islice
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from streamcolor.chroma import shrink
from streamcolor.color import neutral
from streamcolor.errors import ConfigError
from streamcolor.frames import ColorSpace, Frame, Matrix, Plane, StreamInfo
from streamcolor.sinks.mux import MuxSink
from streamcolor.sources.av_source import AvSource

SIZES: Final = {
    "360p": (640, 360),
    "480p": (854, 480),
    "720p": (1280, 720),
    "1080p": (1920, 1080),
    "1440p": (2560, 1440),
    "4k": (3840, 2160),
}
RATE: Final = Fraction(25)  # of a clip that is made up


def size_named(text: str) -> tuple[int, int]:
    """Return (width, height), both even, of "720p" or "1280x720"; raises ConfigError."""
    if text.lower() in SIZES:
        return SIZES[text.lower()]
    match = re.fullmatch(r"(\d{2,5})x(\d{2,5})", text)
    width, height = (int(side) // 2 * 2 for side in match.groups()) if match else (0, 0)
    if not (64 <= width <= 8192 and 64 <= height <= 8192):
        raise ConfigError(f"size {text!r}: choose {', '.join(SIZES)} or WIDTHxHEIGHT, each from 64 to 8192")
    return width, height


def make_up(out: Path, *, seconds: float, size: tuple[int, int], halted: Callable[[], bool] = lambda: False) -> int:
    """Write a clip like those of a camera, see `scene`; return the number of frames."""
    width, height = size
    space = ColorSpace(Matrix.BT709 if height >= 720 else Matrix.BT601)
    return _write(out, scene(width, height, max(2, round(seconds * RATE))), space, RATE, halted)


def take(
    source: str,
    out: Path,
    *,
    seconds: float | None,
    size: tuple[int, int] | None = None,
    halted: Callable[[], bool] = lambda: False,
) -> int:
    """Write the first seconds of a video without its color, from its start again if it is shorter; None: all, once.

    At `size` (width, height), None: its own, without an odd last row or column. Return the number of frames. Raises
    SourceError.
    """
    first = AvSource("bench", source)
    info = first.info
    first.close()
    wanted = size or (info.width // 2 * 2, info.height // 2 * 2)
    if seconds is None:
        return _write(out, _lumas(source, wanted), info.space, info.rate, halted)
    again = chain.from_iterable(_lumas(source, wanted) for _ in count())
    return _write(out, islice(again, max(2, round(seconds * info.rate))), info.space, info.rate, halted)


def scene(width: int, height: int, count: int) -> Iterator[Plane]:
    """Yield the luma (H,W) of pictures: texture of all scales, two things that move, a sensor's noise.

    The camera stands still for the first half and pans for the second, as fast as eyes can follow: a quarter of the
    frames differ too much from those before to share their colors. The same on every machine.
    """
    random = np.random.default_rng(0)
    pan = max(2, width // 200)  # pixels a frame
    background = _texture(random, width + pan * count, height)
    thing = _texture(random, width // 6, height // 4)
    noises = [random.normal(0, 1.4, (height, width)).astype(np.float32) for _ in range(4)]
    for number in range(count):
        left = pan * max(0, number - count // 2)
        picture = background[:, left : left + width].copy()
        for speed, row in ((3, height // 5), (-5, height * 3 // 5)):
            column = speed * pan * number // 3 % (width - thing.shape[1])
            picture[row : row + thing.shape[0], column : column + thing.shape[1]] = thing[:, :: speed // abs(speed)]
        noise = np.roll(noises[number % 4], int(random.integers(height)), axis=0)
        yield np.clip(picture + noise, 16, 235).astype(np.uint8)


def _texture(random: np.random.Generator, width: int, height: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return a picture whose detail weakens towards small scales, as it does in nature."""
    total = np.full((height, width), 125, np.float32)
    for cells, strength in ((4, 34), (12, 18), (40, 10), (130, 6), (360, 4)):
        shape = min(cells, height), max(2, min(cells, height) * width // height)
        total += cv2.resize(random.normal(0, strength, shape).astype(np.float32), (width, height))
    return total


def _lumas(source: str, size: tuple[int, int]) -> Iterator[Plane]:
    reader = AvSource("bench", source)
    for item in reader:
        if isinstance(item, Frame):
            yield shrink(item.luma, *size)
    reader.close()


def _write(out: Path, lumas: Iterable[Plane], space: ColorSpace, rate: Fraction, halted: Callable[[], bool]) -> int:
    sink = MuxSink(out, codec="libx264", options={"x264-params": "bframes=0"}, overwrite=True)
    frames = 0
    try:
        for luma in lumas:
            if halted():
                break
            height, width = luma.shape
            if not frames:
                sink.open(StreamInfo("bench", width, height, rate=rate, time_base=1 / rate, space=space))
                chroma = np.full((height // 2, width // 2), neutral(space), space.dtype)
            sink.write(Frame("bench", frames, luma[:height, :width], (chroma, chroma), space, captured=0.0))
            frames += 1
        if frames:
            sink.finish()
    finally:
        sink.close()
    return frames
