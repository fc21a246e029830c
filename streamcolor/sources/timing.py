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
    """Joins recordings that follow one another in one file: where times go back, they and all later ones move on.

    The first begins at zero: a broadcaster's clock may stand at 26 hours, which would be a film's blank beginning.
    """

    _BACK = Fraction(1, 2)  # seconds; damage moves packets by less

    def __init__(self, *, possible: bool, start: Fraction = Fraction(0)) -> None:
        """Watch a file of a format in which that is `possible`: people put MPEG files behind one another.

        `start` is the file's earliest time, in seconds.
        """
        self._possible = possible
        self._moves = [-start]  # seconds, of each recording
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


class Missing:
    """Counts pictures whose packets came and which the decoder never gave: it drops some behind a lost one."""

    _KNOWN = ("h264", "hevc")  # a packet, a picture; others have packets that nobody is to see

    def __init__(self, codec: str) -> None:
        self._possible = codec in self._KNOWN
        self._first: int | None = None
        self._due: set[int] = set()

    def packet(self, packet: "Packet[Stream]") -> None:
        """Expect the picture of a packet that the decoder took."""
        if self._possible and packet.pts is not None and not packet.is_discard:
            self._due.add(packet.pts)

    def picture(self, picture: VideoFrame) -> None:
        """Note a picture that the decoder gave. Where fields have packets of their own, nothing can be told."""
        self._possible &= picture.pts is not None and not picture.interlaced_frame
        if picture.pts is not None:
            self._first = picture.pts if self._first is None else self._first
            self._due.discard(picture.pts)

    @property
    def count(self) -> int:
        """How many there are, at the end. What comes before the first picture is not a part of the film."""
        first = self._first
        return sum(pts > first for pts in self._due) if self._possible and first is not None else 0


class Axis:
    """Puts the times of a live stream on the monotonic clock, where those of all its sessions follow one another.

    A camera counts from a new zero at every connection, so an output that goes on needs another clock than its own.
    Arrival alone would do, but it jitters. So pictures keep the camera's spacing behind the earliest arrival that was
    seen, which may creep later, since no two clocks run alike; where the camera's clock leaps, it starts anew.
    """

    time_base = Fraction(1, 90_000)
    _CREEP = 0.001  # seconds a second; a bad clock is off by a tenth of that
    _LEAP = 0.5  # seconds behind the earliest arrival that are no jitter
    _APART = 2.0  # seconds between sound and picture, from where on they have no clock in common

    def __init__(self, *, trusted: bool) -> None:
        """`trusted`: the stream has times of its own; others are made up by FFmpeg."""
        self._trusted = trusted
        self._offset: float | None = None  # from the camera's clock to ours, in seconds
        self._seen = 0.0  # when it was last looked at
        self._own: dict[int, float] = {}  # the offset of sound that shares no clock with the pictures
        self._last: dict[int, int] = {}  # the latest time of each stream, in its ticks

    def picture(self, picture: VideoFrame, now: float) -> int:
        """Return the place of a picture that arrived `now`, in ticks of `time_base`; always later than the last."""
        moment = now
        if self._trusted and picture.pts is not None and picture.time_base is not None:
            at = _seconds(picture.pts, picture.time_base)
            moment = at + self._anchor(now - at, now)
        return self._rising(-1, round(moment / self.time_base))

    def carry(self, packet: "Packet[Stream]", now: float) -> None:
        """Move a packet of another stream that arrived `now` along with the pictures."""
        base = packet.time_base
        given = packet.pts if packet.dts is None else packet.dts
        at = now if given is None or not self._trusted else _seconds(given, base) + self._offset_of(packet, given, now)
        dts = self._rising(packet.stream_index, round(at / base))
        packet.pts = dts if packet.pts is None or given is None else dts + packet.pts - given
        packet.dts = dts

    def _anchor(self, offset: float, now: float) -> float:
        if self._offset is None or offset - self._offset > self._LEAP:
            self._offset = offset
        else:
            self._offset = min(offset, self._offset + self._CREEP * (now - self._seen))
        self._seen = now
        return self._offset

    def _offset_of(self, packet: "Packet[Stream]", given: int, now: float) -> float:
        stream, offset = packet.stream_index, now - _seconds(given, packet.time_base)
        if self._offset is not None and abs(offset - self._offset) < self._APART:
            return self._offset
        if abs(offset - self._own.get(stream, float("inf"))) > self._LEAP:
            self._own[stream] = offset
        return self._own[stream]

    def _rising(self, stream: int, ticks: int) -> int:
        self._last[stream] = max(ticks, self._last.get(stream, ticks - 1) + 1)
        return self._last[stream]


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
