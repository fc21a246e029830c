"""Make a gray clip of a wanted size and length out of any video."""

from pathlib import Path

import av

from streamcolor.bench.clip import take


def gray_clip(source: Path, out: Path, *, seconds: float, size: tuple[int, int] | None = None) -> int:
    """Write `source` without its color, `size` (width, height), looped to `seconds`; return the number of frames."""
    unit = out.with_suffix(".unit.mp4")
    take(str(source), unit, seconds=None, size=size)
    frames = _loop(unit, out, seconds)
    unit.unlink()
    return frames


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
