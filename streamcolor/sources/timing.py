"""Time stamps of pictures: put in order where a file has none, and watched for a file that ends early."""

from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from av import Packet, VideoFrame

if TYPE_CHECKING:
    from av.stream import Stream


class Timeline:
    """Gives every picture a pts later than the one before; the decoder's own wherever it has a usable one."""

    def __init__(self, step: int, reorder_depth: Callable[[], int], *, in_order: bool) -> None:
        """Count in the stream's ticks, `step` from picture to picture.

        `in_order` distrusts the decoder's pts: AVI stores none, and FFmpeg's guess is wrong where a codec reorders.
        """
        self._step = step
        self._reorder_depth = reorder_depth
        self._in_order = in_order
        self._last: int | None = None
        self._last_duration = 0
        self.made_up = 0

    def __call__(self, picture: VideoFrame) -> int:
        """Return the picture's pts in the stream's ticks."""
        pts = self._by_dts(picture) if self._in_order or picture.pts is None else picture.pts
        if pts is None or (self._last is not None and pts <= self._last):
            self.made_up += not (self._in_order and picture.dts is None)  # AVI's last ones, given out without a packet
            pts = 0 if self._last is None else self._last + (self._last_duration or self._step)
        self._last, self._last_duration = pts, picture.duration
        return pts

    def _by_dts(self, picture: VideoFrame) -> int | None:
        """Allow for reordering: it gives a picture out `reorder_depth` packets after the picture's place."""
        return None if picture.dts is None else picture.dts - self._reorder_depth() * self._step


class Splices:
    """Joins recordings that follow one another in one file: where times go back, they and all later ones move on."""

    _BACK = Fraction(1, 2)  # seconds; damage moves packets by less

    def __init__(self, *, possible: bool) -> None:
        """Watch a file of a format in which that is `possible`: people put MPEG files behind one another."""
        self._possible = possible
        self._moves = [Fraction(0)]  # seconds, of each recording
        self._recordings: dict[int, int] = {}  # the one in which each stream is: they do not change at the same packet
        self._ends: dict[int, Fraction] = {}

    @property
    def count(self) -> int:
        """How many times a new recording began."""
        return len(self._moves) - 1

    def join(self, packet: "Packet[Stream]") -> None:
        """Move a packet to its place behind the recordings before its own."""
        moment, base = packet.pts if packet.dts is None else packet.dts, packet.time_base
        if moment is None or not self._possible:
            return
        stream, sparse = packet.stream_index, packet.stream.type not in ("audio", "video")
        now = self.count if sparse else self._recordings.setdefault(stream, self.count)
        end = self._ends.get(stream)
        if not sparse and end is not None and moment * base + self._moves[now] < end - self._BACK:
            now += 1
            if now > self.count:
                self._moves.append(max(self._ends.values()) - moment * base)
        if not sparse:
            self._recordings[stream] = now
            self._ends[stream] = (moment + (packet.duration or 0)) * base + self._moves[now]
        shift = round(self._moves[now] / base)
        packet.pts = None if packet.pts is None else packet.pts + shift
        packet.dts = None if packet.dts is None else packet.dts + shift


class Coverage:
    """Knows how far the packets of a file reached, and how far they should have."""

    # Formats that state their duration up front; in others FFmpeg measures what is there, so that a cut file is full.
    _STATING = ("matroska", "mov", "avi", "flv", "asf")
    _HOLE = 0.05  # seconds; sound is continuous, so that where all of it pauses something was lost
    _SLACK = 0.1  # seconds; good files end up to one audio frame before or after their stated end

    def __init__(self, format_name: str, *, start: float, duration: float | None) -> None:
        """Expect `duration` seconds from `start` (Matroska counts its duration from zero)."""
        stated = duration is not None and format_name.startswith(self._STATING)
        offset = 0.0 if format_name.startswith("matroska") else start
        self.expected = offset + duration if stated and duration is not None else None
        self.end = 0.0  # seconds, of every stream's packets
        self.missing = 0.0  # seconds in the middle of which neither picture nor sound is there
        self._resyncs = format_name.startswith("matroska")
        self._sound_ends: dict[int, float] = {}  # by stream
        self._recent: deque[float] = deque(maxlen=64)  # when the latest packets of the video were to be decoded
        self._video_at: float | None = None  # the latest packet of the video
        self._longest = 0.0  # seconds between two of its packets
        self._picture_at: float | None = None  # the latest picture

    def packet(self, packet: "Packet[Stream]", *, video: bool) -> None:
        """Note a packet that was read."""
        moment = packet.dts if packet.pts is None else packet.pts
        spanning = packet.stream.type == "data" or (packet.stream.type == "video" and not video)  # time code, cover
        if moment is None or packet.is_discard or spanning:
            return
        at = _seconds(moment, packet.time_base)
        end = at + _seconds(packet.duration or 0, packet.time_base)
        self.end = max(self.end, end)
        if packet.stream.type == "audio":
            self._sound(packet.stream_index, at, end)
        if video:
            # pts leaps where B-frames follow, dts does not
            self._recent.append(at if packet.dts is None else _seconds(packet.dts, packet.time_base))
            last = at if self._video_at is None else self._video_at
            self._longest = max(self._longest, at - last)
            self._video_at = max(at, last)

    def _sound(self, stream: int, at: float, end: float) -> None:
        """Look for a hole: FFmpeg's Matroska reader skips damage without a word."""
        before = self._sound_ends.get(stream, at)
        self._sound_ends[stream] = end
        silent = at - before > self._HOLE
        if self._resyncs and silent and not any(before + 0.01 < seen < at - 0.01 for seen in self._recent):
            self.missing += at - before

    def picture(self, pts: int, time_base: Fraction) -> None:
        """Note a picture that was decoded."""
        self._picture_at = _seconds(pts, time_base)

    def ended_early(self) -> bool:
        """Tell, at the end, whether the file or its pictures stopped before the stated end."""
        slack = max(self._SLACK, 2.5 * self._longest)
        cut = self.expected is not None and self.end < self.expected - slack
        last_picture, last_packet = self._picture_at, self._video_at
        # The decoder's threads may drop the last pictures of a damaged file without an error.
        swallowed = last_picture is not None and last_packet is not None and last_picture < last_packet - slack
        return cut or swallowed


def _seconds(ticks: int, time_base: Fraction) -> float:
    return ticks * time_base.numerator / time_base.denominator
