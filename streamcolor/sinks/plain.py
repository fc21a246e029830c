"""FFmpeg with nothing of ours in between: what coloring is compared with."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av

from streamcolor.errors import SinkError

if TYPE_CHECKING:
    from av.video.stream import VideoStream


def decode(path: Path, halted: Callable[[], bool] = lambda: False) -> int:
    """Decode a video and throw its pictures away; return how many there are."""
    with av.open(str(path)) as given:
        given.streams.video[0].thread_type = "AUTO"
        return sum(1 for _ in takewhile(lambda _: not halted(), given.decode(video=0)))


def transcode(
    path: Path,
    out: Path,
    *,
    codec: str = "libx264",
    options: Mapping[str, str] | None = None,  # the encoder's
    halted: Callable[[], bool] = lambda: False,
) -> int:
    """Decode and encode, written as one would with PyAV; return the number of pictures. Raises SinkError."""
    frames = 0
    try:
        with av.open(str(path)) as given, av.open(str(out), "w") as made:
            video = given.streams.video[0]
            video.thread_type = "AUTO"
            stream = cast("VideoStream", made.add_stream(codec, rate=video.average_rate, options=dict(options or {})))
            stream.width, stream.height, stream.pix_fmt = video.width, video.height, video.pix_fmt
            stream.codec_context.time_base = video.time_base or Fraction(1, 25)
            for frame in takewhile(lambda _: not halted(), given.decode(video)):
                frame.pict_type = 0  # the encoder decides anew
                made.mux(stream.encode(frame))
                frames += 1
            made.mux(stream.encode(None))
    except (av.FFmpegError, ValueError) as error:
        raise SinkError(f"{codec} cannot transcode {path.name}: {error}") from error
    return frames
