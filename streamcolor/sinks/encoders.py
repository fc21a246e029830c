"""Which encoder, which pixel format and which options a stream gets."""

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
from av.codec.codec import UnknownCodecError

from streamcolor.errors import SinkError
from streamcolor.frames import StreamInfo
from streamcolor.worker import usable_cores

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

# The encoders that people use, in the order in which they are recommended.
USEFUL = (
    "libx264",
    "libx265",
    "libvpx-vp9",
    "libsvtav1",
    "ffv1",
    "prores_ks",
    "mpeg4",
    "h264_nvenc",
    "hevc_nvenc",
    "av1_nvenc",
)
# What an encoder needs in order to be usable beside a network on the same cores, and silent on standard error.
_DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "libx265": {"x265-params": "log-level=none"},
    "libvpx-vp9": {"deadline": "good", "cpu-used": "5", "row-mt": "1"},
}
_MOST_THREADS = 16  # more cost memory and quality and bring no speed


@dataclass(frozen=True, slots=True)
class Layout:
    """A planar Y'CbCr pixel format."""

    name: str  # FFmpeg's
    depth: int  # bits per sample
    shift: tuple[int, int]  # log2 of chroma subsampling across, down

    @property
    def words(self) -> str:
        """What a person reads, such as "10-bit 4:2:0"."""
        kind = {(1, 1): "4:2:0", (1, 0): "4:2:2", (0, 1): "4:4:0", (0, 0): "4:4:4"}[self.shift]
        return f"{self.depth}-bit {kind}"


def known_encoders() -> tuple[str, ...]:
    """List the useful video encoders of the installed FFmpeg."""
    return tuple(name for name in USEFUL if name in av.codecs_available)


def find_encoder(name: str) -> av.Codec:
    """Find a video encoder by name; raises SinkError that lists the known ones."""
    try:
        codec = av.Codec(name, "w")
    except UnknownCodecError as error:
        close = difflib.get_close_matches(name, USEFUL, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise SinkError(f"unknown video codec {name}{hint}; known: {', '.join(known_encoders())}") from error
    if codec.type != "video":
        raise SinkError(f"{name} is no video codec but one for {codec.type}; known: {', '.join(known_encoders())}")
    return codec


def why_not(name: str, options: Mapping[str, str] | None = None) -> str:
    """Return why a known encoder does not work here, with options; empty: it does. A small one is opened to see."""
    try:
        encoder: Any = av.CodecContext.create(name, "w")
        encoder.width = encoder.height = 256
        encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
        encoder.options = dict(options or {})
        encoder.open()
    except (av.FFmpegError, UnknownCodecError, ValueError) as error:
        return f"FFmpeg cannot open it: {error}"
    return ""


def choose_layout(codec: av.Codec, info: StreamInfo, options: Mapping[str, str]) -> tuple[Layout, tuple[str, ...]]:
    """Choose the pixel format to encode, and warn if it is not the source's. Raises SinkError if nothing fits."""
    wanted = Layout("", info.space.depth, info.chroma_shift)
    held = sorted(layouts(codec), key=lambda layout: _loss(wanted, layout))
    if not held:
        formats = ", ".join(pixels.name for pixels in codec.video_formats or ())
        raise SinkError(f"{codec.name} cannot hold planar Y'CbCr, only {formats or 'nothing that FFmpeg names'}")
    layout = held[0]
    if _is_odd(info, layout):  # some encoders refuse to halve an odd length, and only opening one tells which
        layout = next((each for each in held if _opens(codec, info, each, options)), layout)
    return layout, _warnings(codec, info, wanted, layout)


def takes(codec: av.Codec, pixels: str) -> bool:
    """Return whether an encoder takes a pixel format, such as "cuda": pictures in a GPU's memory."""
    return any(known.name == pixels for known in codec.video_formats or ())


def layouts(codec: av.Codec) -> Iterator[Layout]:
    """List the planar Y'CbCr formats of 8, 10 and 12 bits that an encoder takes."""
    for pixels in codec.video_formats or ():
        parts = pixels.components
        if [part.plane for part in parts] != [0, 1, 2] or pixels.is_rgb or pixels.is_big_endian:
            continue
        across, down = pixels.chroma_width(64), pixels.chroma_height(64)
        halved = {64: 0, 32: 1}
        usual = across in halved and down in halved and parts[0].bits in (8, 10, 12)
        if usual and not pixels.name.startswith("yuvj"):
            yield Layout(pixels.name, parts[0].bits, (halved[across], halved[down]))


def configure(
    context: "VideoCodecContext", info: StreamInfo, layout: Layout, *, threads: int | None, options: Mapping[str, str]
) -> None:
    """Prepare an encoder for a stream: size, time base, truthful color tags, threads, options."""
    context.width, context.height, context.pix_fmt = info.width, info.height, layout.name
    context.time_base = info.time_base
    context.framerate = info.rate if info.rate > 0 else Fraction(25)
    context.sample_aspect_ratio = info.sample_aspect_ratio
    context.color_range = 2 if info.space.full_range else 1
    context.color_primaries, context.color_trc = info.tags.primaries, info.tags.transfer
    context.colorspace = info.space.matrix.number(info.tags.matrix)
    context.flags |= av.codec.context.Flags.frame_duration  # so that the last frame lasts as long as we say
    context.thread_count = threads or min(usable_cores(), _MOST_THREADS)
    # PyAV's default, slices only, costs x264 compression and speed; AUTO lets every encoder take its best kind.
    context.thread_type = "AUTO"
    context.options = dict(options)


def encoder_options(
    codec: av.Codec, *, crf: float | None, preset: str | None, options: Mapping[str, str]
) -> dict[str, str]:
    """Collect the options for an encoder: ours, quality and preset where it has them, then the user's."""
    os.environ.setdefault("SVT_LOG", "1")  # errors only: libsvtav1 has no option for it
    supported = {option.name: option for option in codec.create("video").supported_options.private}
    chosen = dict(_DEFAULTS.get(codec.name, {}))
    if crf is not None and "crf" in supported:
        chosen["crf"] = f"{crf:g}"
    elif crf is not None and "cq" in supported:  # NVENC's word for nearly the same
        chosen["cq"] = f"{crf:g}"
    if preset is not None and "preset" in supported and _takes(supported["preset"], preset):
        chosen["preset"] = preset
    return chosen | dict(options)


def _takes(option: Any, value: str) -> bool:
    """Whether a preset is one of this encoder's: a name among its choices, any name, or a number."""
    if option.choices:
        return any(choice.name == value for choice in option.choices)
    return option.type == av.codec.context.OptionType.STRING or value.lstrip("-").isdecimal()


def _loss(wanted: Layout, layout: Layout) -> tuple[int, int, int, int]:
    """How much a format loses, then how much it wastes: smaller is better."""
    chroma = [held - source for held, source in zip(layout.shift, wanted.shift, strict=True)]
    deeper = layout.depth - wanted.depth
    return max(0, -deeper), sum(max(0, lost) for lost in chroma), max(0, deeper), -sum(min(0, lost) for lost in chroma)


def _is_odd(info: StreamInfo, layout: Layout) -> bool:
    return bool(info.width % (1 << layout.shift[0]) or info.height % (1 << layout.shift[1]))


def _opens(codec: av.Codec, info: StreamInfo, layout: Layout, options: Mapping[str, str]) -> bool:
    context = codec.create("video")
    configure(context, info, layout, threads=1, options=options)
    try:
        context.open()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _warnings(codec: av.Codec, info: StreamInfo, wanted: Layout, layout: Layout) -> tuple[str, ...]:
    if _loss(wanted, layout) == (0, 0, 0, 0):
        return ()
    lost = max(_loss(wanted, layout)[:2]) > 0
    if not lost and _is_odd(info, wanted) and layout.depth == wanted.depth:
        size = f"{info.width}x{info.height}"
        text = f"{codec.name} cannot halve the color of an odd size ({size}): written as {layout.words}"
        return (text + ", which not every player shows; ffv1, libvpx-vp9 and mpeg4 can",)
    text = f"{codec.name} cannot hold {wanted.words}: written as {layout.words}"
    keeping = [name for name in known_encoders() if name != codec.name and _keeps(name, wanted)]
    return (text + (f"; {', '.join(keeping)} would keep it" if lost and keeping else ""),)


def _keeps(name: str, wanted: Layout) -> bool:
    return any((layout.depth, layout.shift) == (wanted.depth, wanted.shift) for layout in layouts(av.Codec(name, "w")))


def repair_order(context: "VideoCodecContext", packets: "Sequence[av.Packet[Any]]") -> None:
    """Give the packets of a whole film decoding times, where the encoder has left them undefined.

    libx265 does so with fewer pictures than it reorders: what stands there is whatever was in its memory.
    """
    times = sorted(packet.pts or 0 for packet in packets)
    if context.name != "libx265" or not times:
        return
    late = max(time - (packet.pts or 0) for time, packet in zip(times, packets, strict=True))
    for time, packet in zip(times, packets, strict=True):
        packet.dts = time - late
