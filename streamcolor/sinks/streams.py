"""Everything of an output that is not our video: copied streams, cover pictures, attachments, chapters, metadata."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from av.stream import Disposition

from streamcolor.frames import StreamInfo
from streamcolor.sinks.containers import MUXERS, holds_stream, suffix_of

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer
    from av.container.core import Chapter
    from av.stream import Stream

# Facts about the old file that the muxer states anew for the new one.
_STALE = frozenset({"encoder", "duration", "major_brand", "minor_version", "compatible_brands", "vendor_id"})
_COUNTED = ("bps", "number_of_", "_statistics_")  # facts about packets: still true of a copied stream, not of ours


class Copies:
    """The untouched streams of an output, found again by the index that they have in the source."""

    def __init__(self, output: "OutputContainer", info: StreamInfo, muxer: str) -> None:
        self._output, self._muxer = output, muxer
        self._streams: dict[int, Stream] = {}
        self._covers: set[int] = set()  # Matroska keeps them as attachments, known when their packet arrives
        self.warnings: list[str] = []
        for stream in (*info.copied, *info.attachments):
            if not _is_made_anew(stream, muxer):
                self._add(stream)
        if info.chapters and muxer == "mpegts":
            self.warnings.append("chapters left out: .ts cannot hold them; .mkv and .mp4 can")
        elif info.chapters:
            output.set_chapters([cast("Chapter", dict(chapter)) for chapter in info.chapters])

    def find(self, packet: "av.Packet[Any]") -> "Stream | None":
        """Where a packet goes; None if its stream was left out or the packet has been written as a cover."""
        if packet.stream.index in self._covers:
            self._attach_cover(packet)
            return None
        return self._streams.get(packet.stream.index)

    def _add(self, stream: "Stream") -> None:
        cover = bool(stream.disposition & Disposition.attached_pic)
        if cover and self._muxer == "matroska":
            self._covers.add(stream.index)
        elif holds_stream(self._muxer, stream):
            copy = self._output.add_stream_from_template(stream, opaque=True)
            copy.metadata.update(stream_metadata(stream))
            copy.disposition = stream.disposition
            self._streams[stream.index] = copy
        else:
            self.warnings.append(_left_out(stream, self._muxer))

    def _attach_cover(self, packet: "av.Packet[Any]") -> None:
        codec = _codec_name(packet.stream)
        kind, suffix = ("jpeg", "jpg") if codec == "mjpeg" else (codec, codec)
        name = packet.stream.metadata.get("filename", f"cover.{suffix}")
        self._output.add_attachment(name, packet.stream.metadata.get("mimetype", f"image/{kind}"), bytes(packet))


class Waiting:
    """Packets that must not overtake the video, which leaves the decoder, the network and the encoder late.

    A muxer that is handed audio far ahead of the video either keeps all of it or writes a file that players
    have to search. Bounded: beyond `most` bytes (a film whose picture ends early) the oldest packets go ahead.
    """

    def __init__(self, most: int = 32 << 20) -> None:
        self._most = most
        self._packets: deque[tuple[float, av.Packet[Any]]] = deque()
        self._size = 0

    def add(self, packet: "av.Packet[Any]") -> None:
        """Take the next packet in demux order."""
        self._packets.append((_seconds(packet), packet))
        self._size += packet.size

    def until(self, seconds: float) -> Iterator["av.Packet[Any]"]:
        """Give out every packet that is due by then, and those that exceed the bound."""
        while self._packets and (self._packets[0][0] <= seconds or self._size > self._most):
            _, packet = self._packets.popleft()
            self._size -= packet.size
            yield packet


def stream_metadata(stream: "Stream") -> dict[str, str]:
    """Return the metadata of a copied stream: MP4 calls a track's title its name."""
    kept = file_metadata(stream.metadata)
    if "name" in kept:
        kept.setdefault("title", kept["name"])
    return kept


def video_metadata(stream: "Stream | None") -> dict[str, str]:
    """Return the metadata of the video, without what re-encoding changes."""
    kept = {} if stream is None else stream_metadata(stream)
    return {key: text for key, text in kept.items() if not key.lower().startswith(_COUNTED)}


def file_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata of the whole file, without what another container states differently."""
    return {key: text for key, text in metadata.items() if key.lower() not in _STALE}


def _left_out(stream: "Stream", muxer: str) -> str:
    details = ", ".join(filter(None, (_codec_name(stream), stream.language)))
    others = [name for name in MUXERS.values() if name != muxer and holds_stream(name, stream)]
    can = " and ".join(dict.fromkeys(suffix_of(name) for name in others))
    text = f"{stream.type} stream {stream.index} ({details}) left out: {suffix_of(muxer)} cannot hold it"
    return text + (f"; {can} can" if can else "")


def _codec_name(stream: "Stream") -> str:
    context = stream.codec_context
    return (stream.name or "unknown") if context is None else context.codec.canonical_name


def _is_made_anew(stream: "Stream", muxer: str) -> bool:
    """Whether this is the track in which QuickTime repeats the picture's time code, which every muxer has as a tag."""
    return stream.type == "data" and "timecode" in stream.metadata and muxer != "mpegts"


def _seconds(packet: "av.Packet[Any]") -> float:
    moment = packet.pts if packet.dts is None else packet.dts
    return float("-inf") if moment is None else moment * float(packet.time_base)
