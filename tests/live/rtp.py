"""What an RTSP camera sends: a clip's pictures as RTP packets, announced in SDP (RFC 6184, 7798, 8866)."""

import base64
import re
import secrets
import struct
import time

import av

CLOCK = 90_000  # ticks a second, of all video in RTP
SOUND_CLOCK = 8_000  # of PCMU, one byte a tick
SOUND_STEP = 0.02  # seconds of sound in a packet
_LARGEST = 1400  # bytes of payload: with all headers a packet fits into an Ethernet frame
_NTP = 2_208_988_800  # seconds from 1900, where NTP begins, to 1970


class Clip:
    """The pictures of a file, each a list of NAL units, with parameter sets before every key frame."""

    def __init__(self, path):
        with av.open(str(path)) as source:
            video = source.streams.video[0]
            self.codec = {"h264": "H264", "hevc": "H265"}[video.codec_context.name]
            self.rate = float(video.average_rate)
            annex_b = av.BitStreamFilterContext(f"{video.codec_context.name}_mp4toannexb", video)
            units = [
                (packet.is_keyframe, nal_units(b"".join(map(bytes, annex_b.filter(packet)))))
                for packet in source.demux(video)
                if packet.size
            ]
        wanted = (7, 8) if self.codec == "H264" else (32, 33, 34)
        self._sets = [unit for unit in units[0][1] if self._kind(unit) in wanted]
        self.pictures = [
            self._sets + found if key and all(self._kind(unit) not in wanted for unit in found) else found
            for key, found in units
        ]
        self.keys = [key for key, _ in units]

    def sdp(self, *, sound):
        """The answer to DESCRIBE."""
        encoded = [base64.b64encode(unit).decode() for unit in self._sets]
        if self.codec == "H264":
            level = self._sets[0][1:4].hex().upper()
            format_line = f"packetization-mode=1;profile-level-id={level};sprop-parameter-sets={','.join(encoded)}"
        else:
            names = ("vps", "sps", "pps")
            format_line = ";".join(f"sprop-{name}={unit}" for name, unit in zip(names, encoded, strict=True))
        lines = [
            *("v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=camera", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*"),
            *("m=video 0 RTP/AVP 96", f"a=rtpmap:96 {self.codec}/{CLOCK}", f"a=fmtp:96 {format_line}"),
            "a=control:track0",
            *(("m=audio 0 RTP/AVP 0", f"a=rtpmap:0 PCMU/{SOUND_CLOCK}", "a=control:track1") if sound else ()),
        ]
        return "\r\n".join([*lines, ""])

    def _kind(self, unit):
        return unit[0] & 31 if self.codec == "H264" else unit[0] >> 1 & 63


def nal_units(data):
    """Take an Annex B access unit apart."""
    return [unit for unit in re.split(b"\0\0\0\1|\0\0\1", data) if unit]


class Track:
    """Numbers the packets of one stream; its time begins at a random place, as RFC 3550 wants it."""

    def __init__(self, payload_type, clock):
        self._type, self._clock = payload_type, clock
        self._number, self._began = secrets.randbelow(1 << 16), time.monotonic()
        self._first, self._source = secrets.randbelow(1 << 31), secrets.randbits(32)
        self._packets = self._bytes = 0

    def picture(self, codec, units):
        """RTP packets of one picture, taken now."""
        at = self._now()
        parts = [part for unit in units for part in _fragments(codec, unit)]
        return [self._packet(part, at, last=part is parts[-1]) for part in parts]

    def sound(self, samples):
        """The RTP packet of a piece of sound that ends now."""
        return self._packet(samples, self._now(), last=False)

    def report(self):
        """An RTCP sender report: what this stream's time is in the world's time."""
        now = time.time() + _NTP
        seconds, part = int(now), int(now % 1 * (1 << 32))
        fields = (0x80, 200, 6, self._source, seconds, part, self._now(), self._packets, self._bytes)
        return struct.pack(">BBHIIIIII", *fields)

    def _now(self):
        return (self._first + int((time.monotonic() - self._began) * self._clock)) & 0xFFFFFFFF

    def _packet(self, payload, at, *, last):
        self._number = (self._number + 1) & 0xFFFF
        self._packets, self._bytes = self._packets + 1, self._bytes + len(payload)
        return struct.pack(">BBHII", 0x80, self._type | last << 7, self._number, at, self._source) + payload


def _fragments(codec, unit):
    """A NAL unit as it is, or as fragmentation units (FU-A, FU) where it is too large for a packet."""
    if len(unit) <= _LARGEST:
        return [unit]
    head = 1 if codec == "H264" else 2
    body, step = unit[head:], _LARGEST - 3
    starts = range(0, len(body), step)
    return [_fragment(codec, unit, body[at : at + step], at == 0, at + step >= len(body)) for at in starts]


def _fragment(codec, unit, body, first, last):
    flags = first << 7 | last << 6
    if codec == "H264":
        return bytes([unit[0] & 0xE0 | 28, flags | unit[0] & 31]) + body
    return bytes([unit[0] & 0x81 | 49 << 1, unit[1], flags | unit[0] >> 1 & 63]) + body
