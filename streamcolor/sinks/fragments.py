"""Fragmented MP4 for browsers (Media Source Extensions): one fragment a frame, sent as soon as it is encoded.

Written by hand (ISO/IEC 14496-12), because FFmpeg's muxer ends a fragment only when the next frame arrives.
"""

import struct
from collections.abc import Iterator
from io import BytesIO

import av

from streamcolor.sinks.keyed import KeyedQueue
from streamcolor.sinks.live_encoder import TICKS, Edition, Encoded, nal_units
from streamcolor.sinks.synthetic import tagged

_WAITING = 50  # fragments that a viewer may be behind: two seconds of most cameras
_PARAMETER_SETS = {"h264": (7, 8), "hevc": (32, 33, 34)}  # NAL units that belong into the init segment only
_SYNC, _NOT_SYNC = 0x02000000, 0x01010000  # sample flags: needs no other; needs others


class Fragments:
    """The video of one edition, for any number of viewers."""

    def __init__(self, edition: Edition) -> None:
        self._codec = edition.codec
        self._number = 0
        file = BytesIO()
        options = {"movflags": "empty_moov+default_base_moof+frag_custom", "video_track_timescale": str(TICKS)}
        with av.open(file, "w", format="mp4", container_options=options) as output:
            output.add_stream_from_template(edition.streams[0])
            output.metadata.update(tagged({}, edition.tag, "mp4"))
            output.start_encoding()
            self.init = file.getvalue()
        self.mime = f'video/mp4; codecs="{_codecs(self.init)}"'

    def make(self, packet: Encoded) -> bytes:
        """Make the fragment (moof and mdat) of a picture."""
        self._number += 1
        samples = b"".join(struct.pack(">I", len(unit)) + unit for unit in self._units(packet.data))
        flags = _SYNC if packet.is_key else _NOT_SYNC
        header = _box(b"mfhd", struct.pack(">II", 0, self._number))
        track = _box(b"tfhd", struct.pack(">II", 0x020000, 1))  # offsets count from the moof; track 1
        track += _box(b"tfdt", struct.pack(">IQ", 1 << 24, packet.dts))
        offset = 8 + len(header) + 8 + len(track) + 32 + 8  # to the first byte in the mdat; a trun of one has 32
        run = struct.pack(">IIIIII", 0x000701, 1, offset, packet.duration, len(samples), flags)
        moof = _box(b"moof", header + _box(b"traf", track + _box(b"trun", run)))
        return moof + _box(b"mdat", samples)

    def _units(self, data: bytes) -> Iterator[bytes]:
        for unit in nal_units(data):
            kind = unit[0] & 31 if self._codec == "h264" else unit[0] >> 1 & 63
            if kind not in _PARAMETER_SETS[self._codec]:
                yield unit


class Subscription:
    """What one viewer gets: the init segment, then fragments, the first of which is a key frame.

    Time stamps count from the feed's first picture. A viewer that is slow loses all up to the next key frame, so
    there is a gap in its time; it costs nobody else anything. It ends when the feed ends, and when the picture's size
    or codec changes: then subscribe anew.
    """

    def __init__(self) -> None:
        self.mime = ""  # for MediaSource.addSourceBuffer; known when the first item is there
        self._init = b""
        self._begun = False  # with a key frame; what came before was not lost but not yet wanted
        self._fragments: KeyedQueue[bytes] = KeyedQueue(_WAITING)

    @property
    def dropped(self) -> int:
        """Fragments that this viewer was too slow for."""
        return self._fragments.dropped

    @property
    def closed(self) -> bool:
        """Whether nothing more will come."""
        return self._fragments.closed

    def offer(self, fragments: Fragments, data: bytes, *, is_key: bool) -> None:
        """Take one more fragment; called by the broadcast."""
        if not self._init:
            self._init, self.mime = fragments.init, fragments.mime
        self._fragments.put(data, is_key=is_key, counts=self._begun)
        self._begun = self._begun or is_key

    def close(self) -> None:
        """End the iteration; from any thread."""
        self._fragments.close()

    def __iter__(self) -> Iterator[bytes]:
        for number, fragment in enumerate(self._fragments):
            if number == 0:
                yield self._init
            yield fragment


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def _codecs(init: bytes) -> str:
    """Name the codec as RFC 6381 does (ISO/IEC 14496-15, annex E, for HEVC), from the init segment."""
    if b"hvcC" not in init:
        at = init.index(b"avcC") + 5
        return f"avc1.{init[at : at + 3].hex().upper()}"
    at = init.index(b"hvcC") + 5
    space = ("", "A", "B", "C")[init[at] >> 6]
    tier = "LH"[init[at] >> 5 & 1]
    compatible = int(f"{int.from_bytes(init[at + 1 : at + 5]):032b}"[::-1], 2)
    constraints = ".".join(f"{byte:X}" for byte in init[at + 5 : at + 11].rstrip(b"\x00"))
    name = "hev1" if b"hev1" in init else "hvc1"
    return f"{name}.{space}{init[at] & 31}.{compatible:X}.{tier}{init[at + 11]}" + (constraints and f".{constraints}")
