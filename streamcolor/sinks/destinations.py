"""Where a live stream may go: files, a folder for HLS, an RTSP server, standard output."""

import errno
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from streamcolor.errors import SinkError
from streamcolor.sinks.containers import MUXERS, holds_codec, muxer_of, suffix_of
from streamcolor.sinks.partial import Pipe, check_free, explained
from streamcolor.urls import shown

Target: TypeAlias = str | Pipe  # what FFmpeg opens, or writes to

PATIENCE = 2.0  # seconds that a server may take to answer the first time
_HURRY = 1.0  # seconds that it may take from then on
_EVERY_PACKET = {"flush_packets": "1", "max_interleave_delta": "1"}  # out at once: FFmpeg would wait for silent sound
# What makes a file playable after a kill: pieces of a second.
_FRAGMENTS = {"movflags": "empty_moov+default_base_moof", "frag_duration": "1000000"}
# The same, which become one ordinary file at the end; its index is kept in memory, so not for files without an end.
_ORDINARY = {"movflags": "hybrid_fragmented", "frag_duration": "1000000"}
_CLUSTERS = {"cluster_time_limit": "1000"}
_HLS = {
    "hls_time": "1",
    "hls_list_size": "10",
    # No end is written: after a restart the list goes on, and players that are watching go on with it.
    "hls_flags": "delete_segments+append_list+temp_file+omit_endlist+independent_segments+program_date_time",
}
_RTSP = {"rtsp_transport": "tcp", "timeout": str(round(_HURRY * 1e6))}


@dataclass(frozen=True)
class Destination:
    """One output: how to open it, once and again."""

    name: str  # as it may be shown: without its password
    muxer: str  # FFmpeg's name
    target: Callable[[], Target]  # gives the next one
    options: Mapping[str, str] = field(default_factory=dict)
    address: str = ""  # with its password: what messages must not contain
    rebased: bool = False  # each begins at time 0
    segment: float | None = None  # seconds after which the next one is begun
    once: bool = False  # cannot be opened a second time


def destination(output: str, *, codec: str, segment: float | None = None, overwrite: bool = False) -> Destination:
    """Understand an output: `rtsp://…`, `hls:FOLDER`, `-`, or a file. Raises SinkError for what cannot be written."""
    if output == "-":
        options = _EVERY_PACKET | {"mpegts_flags": "initial_discontinuity"}
        return Destination("-", "mpegts", Pipe, options, once=True)
    if output.startswith("hls:"):
        playlist = partial(_playlist, Path(output.removeprefix("hls:")))
        return Destination(output, "hls", playlist, _EVERY_PACKET | _HLS)
    if output.startswith(("rtsp://", "rtsps://")):
        server = _RtspServer(output)
        return Destination(shown(output), "rtsp", server, _EVERY_PACKET | _RTSP, output)
    if "://" in output:
        raise SinkError(f"cannot write {shown(output)}: choose rtsp://…, hls:FOLDER, a file, or - for standard output")
    return _file(Path(output), codec, segment, overwrite=overwrite)


def _file(path: Path, codec: str, segment: float | None, *, overwrite: bool) -> Destination:
    muxer = muxer_of(str(path))
    if not holds_codec(muxer, codec):
        able = ", ".join(suffix for suffix, name in MUXERS.items() if name != muxer and holds_codec(name, codec))
        raise SinkError(f"cannot write {path}: {suffix_of(muxer)} cannot hold {codec}; choose {able}")
    check_free(path, overwrite=True)  # for what cannot be overwritten: folders, devices
    with explained(path):
        if not path.parent.is_dir():
            raise FileNotFoundError
    names = _Names(path, numbered=segment is not None, overwrite=overwrite)
    fragments = _ORDINARY if segment else _FRAGMENTS
    pieces = {"mp4": fragments, "mov": fragments, "matroska": _CLUSTERS}.get(muxer, {})
    options = {"flush_packets": "1"} | pieces
    return Destination(str(path), muxer, names, options, rebased=True, segment=segment)


def _playlist(folder: Path) -> Target:
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return str(folder / "stream.m3u8")


class _RtspServer:
    """Gives the address of a server when it answers.

    PyAV keeps Python's global lock while FFmpeg connects, so all cameras would wait for a server that does not answer.
    Hence FFmpeg is sent only to one that just did.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            self._secure = parts.scheme == "rtsps"
            self._place = (parts.hostname or "", parts.port or (322 if self._secure else 554))
        except ValueError:  # whose message would quote what may be a part of the password
            raise SinkError(
                f"cannot write {shown(url)}: its host or port is none; does the password hold / [ ]? %2F %5B %5D"
            ) from None
        self._url, self._bare = url, parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()

    def __call__(self) -> Target:
        with socket.create_connection(self._place, PATIENCE) as connection:
            connection.sendall(b"" if self._secure else f"OPTIONS {self._bare} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
            if not self._secure and not connection.recv(1):
                raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        return self._url


class _Names:
    """Gives file names that are not taken: the given one (with strftime's codes), with a number where there must be.

    So a recorder that is started again goes on recording, and overwrites nothing. Numbers only rise, also when somebody
    deletes the oldest files.
    """

    def __init__(self, path: Path, *, numbered: bool, overwrite: bool) -> None:
        self._path, self._overwrite = path, overwrite
        self._numbered = numbered and "%" not in path.name
        self._last = 0
        self._given: Path | None = None

    def __call__(self) -> Target:
        given = self._given
        if given and given.is_file() and not given.stat().st_size:  # nothing could be written: the disk is full
            return f"file:{given}"
        self._given = self._next()
        return f"file:{self._given}"

    def _next(self) -> Path:
        path = self._path
        if "%" in path.name:
            path = path.with_name(datetime.now().astimezone().strftime(path.name))
        overwrite, self._overwrite = self._overwrite, False  # the first only: what comes then is of this run
        if not self._numbered and (overwrite or not path.exists()):
            return path
        pattern = re.compile(rf"{re.escape(path.stem)}-(\d{{4,}}){re.escape(path.suffix)}")
        there = (pattern.fullmatch(each.name) for each in path.parent.iterdir())
        self._last = 1 + max([self._last, *(int(match[1]) for match in there if match)])
        return path.with_stem(f"{path.stem}-{self._last:04}")
