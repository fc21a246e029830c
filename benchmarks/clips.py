"""Make a gray clip of a wanted size and length out of any video."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def gray_clip(source: Path, out: Path, *, seconds: float, size: tuple[int, int] | None = None) -> int:
    """Write `source` without its color, `size` (width, height), looped to `seconds`; return the number of frames."""
    unit = out.with_suffix(".unit.mp4")
    _encode(source, unit, size)
    frames = _loop(unit, out, seconds)
    unit.unlink()
    return frames


def _encode(source: Path, out: Path, size: tuple[int, int] | None) -> None:
    with av.open(str(source)) as given, av.open(str(out), "w") as made:
        video = given.streams.video[0]
        video.thread_type = "AUTO"
        options = {
            "crf": "18",
            "preset": "veryfast",
            "x264-params": "bframes=0",
        }  # no reordering: packets can be looped
        stream = made.add_stream("libx264", rate=video.average_rate, options=options)
        stream.pix_fmt = "yuv420p"
        stream.width, stream.height = size or (video.width, video.height)
        for number, frame in enumerate(given.decode(video)):
            picture = frame.reformat(stream.width, stream.height, "yuv420p")
            for plane in picture.planes[1:]:
                plane.update(np.full(plane.buffer_size, 128, np.uint8))
            picture.pts, picture.time_base = number, 1 / Fraction(video.average_rate)
            picture.pict_type = 0
            made.mux(stream.encode(picture))
        made.mux(stream.encode(None))


def _loop(unit: Path, out: Path, seconds: float) -> int:
    frames = 0
    with av.open(str(out), "w") as made:
        stream, shift = None, 0
        while stream is None or shift * stream.time_base < seconds:
            with av.open(str(unit)) as given:
                if stream is None:
                    stream = made.add_stream_from_template(given.streams.video[0])
                end = 0
                for packet in given.demux(video=0):
                    if packet.size:
                        end = max(end, packet.pts + packet.duration)
                        packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                        made.mux(packet)
                        frames += 1
                shift += end
    return frames
