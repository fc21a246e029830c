"""Ways to feed a sink: frames drawn here, or a clip read with nothing but PyAV, whose decoder cannot be wrong twice."""

from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
from clips import picture_planes, planes_of

from streamcolor.frames import ColorSpace, ColorTags, Frame, Matrix, Passthrough, StreamInfo

TAG = "synthetic color: a, b predicted by streamcolor 0.0, network test"


def info_of(size=(64, 48), *, depth=8, shift=(1, 1), rate=25, time_base=None, full_range=False, **more):
    """A stream of drawn frames."""
    space = ColorSpace(Matrix.BT709, full_range=full_range, depth=depth)
    return StreamInfo(
        "test", *size, Fraction(rate), time_base or 1 / Fraction(rate), space, shift, ColorTags(1, 1, 1), **more
    )


def drawn(info, index, pts=None):
    """Frame `index` of a drawn stream."""
    size = (info.width, info.height)
    luma, *chroma = picture_planes(index, size, depth=info.space.depth, chroma_shift=info.chroma_shift, gray=False)
    return Frame("test", index if pts is None else pts, luma, tuple(chroma), info.space, 0.0)


def write_drawn(sink, info, frames=5, pts=None):
    """Write a whole drawn stream; returns its frames."""
    items = [drawn(info, index, None if pts is None else pts[index]) for index in range(len(pts) if pts else frames)]
    return write_all(sink, info, items)


def write_all(sink, info, items):
    """A good run of a sink, as the engine does it."""
    items = list(items)
    try:
        sink.open(info)
        for item in items:
            sink.write(item)
        sink.finish()
    finally:
        sink.close()
    return items


@contextmanager
def opened(path):
    """StreamInfo and items of a clip."""
    with av.open(str(path)) as source:
        video = next(stream for stream in source.streams.video if not stream.disposition & 1024)
        first = next(av.open(str(path)).decode(video=video.index))
        yield _info(source, video, first), _items(source, video)


def convert(path, sink):
    """Pass a whole clip through a sink; returns its StreamInfo's copy without streams, for comparisons."""
    with opened(path) as (info, items):
        write_all(sink, info, items)
        return replace(info, video=None, copied=(), attachments=())


def _info(source, video, first):
    others = [stream for stream in source.streams if stream is not video and stream.type != "attachment"]
    others = [stream for stream in others if stream.discard != av.stream.Discard.all]  # MP4 repeats its chapters so
    covers = [stream for stream in others if stream.disposition & 1024]
    pixels = video.codec_context.format
    matrix = first.side_data.get("DISPLAYMATRIX")
    return StreamInfo(
        "test",
        video.width,
        video.height,
        video.average_rate,
        video.time_base,
        _space(first),
        (int(pixels.chroma_width(16) < 16), int(pixels.chroma_height(16) < 16)),
        ColorTags(first.color_primaries, first.color_trc, first.colorspace),
        video.sample_aspect_ratio or Fraction(1),
        video=video,
        copied=tuple(stream for stream in others if stream not in covers),
        attachments=(*(stream for stream in source.streams if stream.type == "attachment"), *covers),
        chapters=tuple(source.chapters()),
        metadata=source.metadata,
        display_matrix=() if matrix is None else tuple(np.frombuffer(memoryview(matrix), np.int32).tolist()),
    )


def _space(frame):
    matrix = {9: Matrix.BT2020, 1: Matrix.BT709}.get(frame.colorspace, Matrix.BT601)
    return ColorSpace(matrix, full_range=frame.color_range == 2, depth=frame.format.components[0].bits)


def _items(source, video):
    space = None
    for packet in source.demux():
        if packet.stream is video:
            for frame in video.decode(packet):
                space = space or _space(frame)
                luma, *chroma = planes_of(frame)
                yield Frame("test", frame.pts, luma, tuple(chroma), space, 0.0)
        elif packet.size and packet.stream.discard != av.stream.Discard.all:
            yield Passthrough("test", packet)
