"""Still pictures out of videos, by seeded random access: no clip is decoded from end to end."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

SUFFIXES = {".mp4", ".m4v", ".mkv", ".avi", ".mov", ".webm", ".ts", ".mpg", ".mpeg", ".wmv", ".flv", ".y4m"}
APART = 1.0  # seconds: stills closer than this show the same thing
MOST = 60  # stills of one clip among others, so that one long film does not rule

Rgb: TypeAlias = NDArray[np.uint8]  # (H, W, 3)


def moments(path: Path, *, apart: float = APART, most: int = MOST) -> list[float]:
    """Return where to take the stills of a clip, as parts 0..1 of its length; one a stretch, its place chosen by name.

    A clip that cannot be opened has one moment, at which reading then fails: so it is counted and named like a picture.
    """
    try:
        with _opened(path) as container:
            count = min(max(round(_length(container) / apart), 1), most)
    except (OSError, ValueError):
        count = 1
    seed = int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:8], "big")
    return [float(part) for part in (np.arange(count) + np.random.default_rng(seed).random(count)) / count]


def read_still(path: Path, moment: float) -> Rgb | None:
    """Return the frame at `moment` (0..1) of a clip as sRGB (H,W,3), upright; None if it cannot be decoded.

    Decodes from the last key frame before it, so it costs at most one group of pictures.
    """
    try:
        with _opened(path) as container:
            frame = _frame_at(container, moment)
    except (OSError, ValueError):
        return None
    if frame is None:
        return None
    rgb = frame.reformat(format="rgb24", threads=1).to_ndarray()
    return np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90)), np.uint8)


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    """Open a clip; FFmpeg's errors are kinds of OSError and ValueError. ValueError: it has no video."""
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise ValueError(f"{path}: no video stream")
        container.streams.video[0].codec_context.thread_count = 1  # the cores belong to the training
        yield container


def _frame_at(container: InputContainer, moment: float) -> av.VideoFrame | None:
    video = container.streams.video[0]
    begin = float((video.start_time or 0) * (video.time_base or 0))
    wanted = begin + moment * _length(container)
    if wanted > begin:
        container.seek(int(wanted * av.time_base))
    frame = None
    for frame in container.decode(video):
        if frame.time is None or frame.time >= wanted:
            break
    return frame


def _length(container: InputContainer) -> float:
    """Return the seconds that a clip lasts by its header, 0 if that does not say."""
    video = container.streams.video[0]
    if video.duration is not None and video.time_base is not None:
        return float(video.duration * video.time_base)
    return (container.duration or 0) / av.time_base
