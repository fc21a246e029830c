"""What the containers are called, and what FFmpeg says that they can hold."""

import contextlib
import io
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from av.stream import Disposition

from streamcolor.errors import SinkError
from streamcolor.urls import shown

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.stream import Stream

MUXERS: Mapping[str, str] = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".ts": "mpegts",
}
TICKS: Mapping[str, Fraction] = {  # time bases that a muxer forces; the others take the source's
    "matroska": Fraction(1, 1000),
    "webm": Fraction(1, 1000),
    "mpegts": Fraction(1, 90_000),
}
# Packets arrive in order (see streams.Waiting), so FFmpeg need not keep more than a second for a stream that is silent:
# its own ten seconds of lossless video would be gigabytes.
_PATIENCE = {"max_interleave_delta": "1000000"}
_ANY_PAYLOAD = bytes.fromhex("0000000109f0") + bytes(64)  # starts like H.264 and H.265 must in MPEG-TS


def muxer_of(path: str) -> str:
    """FFmpeg's muxer for an output; raises SinkError for an address or an unknown suffix."""
    if path == "-":
        return "matroska"  # holds every codec and needs no seeking
    if "://" in path:
        raise SinkError(f"cannot write {shown(path)}: it is an address; name a file, or - for standard output")
    suffix = Path(path).suffix.lower()
    if suffix not in MUXERS:
        known = ", ".join(MUXERS)
        raise SinkError(f"cannot write {path}: unknown suffix {suffix or '(none)'}; known: {known}, pictures and -")
    return MUXERS[suffix]


def suffix_of(muxer: str) -> str:
    """Return the suffix that people know a muxer by."""
    return next(suffix for suffix, name in MUXERS.items() if name == muxer)


def default_codec(suffix: str, depth: int = 8) -> str:
    """Choose an encoder where the user named none: one that the container holds and the depth survives."""
    if suffix.lower() != ".webm":
        return "libx264"
    return "libvpx-vp9" if depth == 8 else "libsvtav1"


def open_muxer(file: Any, muxer: str) -> "OutputContainer":
    """Make a muxer that writes to a file object, which need not have seek()."""
    return av.open(file, "w", format=muxer, container_options=_PATIENCE, buffer_size=1 << 16)


def holds_codec(muxer: str, codec: str) -> bool:
    """Whether FFmpeg can write this encoder's streams into the container, and find them there again."""
    file = io.BytesIO()
    output = open_muxer(file, muxer)
    if muxer != "mpegts":
        return codec in output.supported_codecs
    stream = output.add_mux_stream(codec, rate=25, width=64, height=64)
    return _comes_back(file, output, stream)


def holds_stream(muxer: str, stream: "Stream") -> bool:
    """Whether FFmpeg can copy a stream into the container: a dry run in memory."""
    if stream.disposition & Disposition.attached_pic:  # the other muxers drop a cover without a word
        return muxer in ("mp4", "matroska")
    file = io.BytesIO()
    output = open_muxer(file, muxer)
    try:
        copy = output.add_stream_from_template(stream, opaque=True)
        output.start_encoding()
    except (ValueError, av.FFmpegError):
        return False
    if muxer == "mpegts":
        return _comes_back(file, output, copy)
    output.close()
    return muxer != "webm" or stream.type != "attachment"  # WebM's muxer drops attachments without a word


def _comes_back(file: io.BytesIO, output: "OutputContainer", stream: "Stream") -> bool:
    """Whether MPEG-TS, whose muxer takes anything as private data, gives a stream back as what it was."""
    packet: av.Packet[Any] = av.Packet(_ANY_PAYLOAD)
    packet.stream, packet.pts, packet.dts, packet.time_base = stream, 0, 0, Fraction(1, 1000)
    # The table of streams is written before the packet, whose senseless content the muxer may refuse.
    with contextlib.suppress(ValueError, av.FFmpegError):
        output.mux(packet)
    output.close()
    file.seek(0)
    try:
        with av.open(file, "r", format="mpegts") as found:
            return any(back.type == stream.type and back.name != "bin_data" for back in found.streams)
    except av.FFmpegError:
        return False
