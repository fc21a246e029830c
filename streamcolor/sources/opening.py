"""Opening an input, finding the film in it, and saying in one line why it cannot be opened."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from streamcolor.errors import SourceDenied, SourceError
from streamcolor.urls import hidden, shown

_PICTURE = Disposition.attached_pic | Disposition.timed_thumbnails
_SILENT = "no data came within the time limit"
_DENIED = (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)  # RTSP has the numbers of HTTP


def open_input(
    name: str,
    url: str,
    *,
    options: Mapping[str, str] | None = None,
    timeout: float | tuple[float, float] | None = None,
    kind: str | None = None,
    hwaccel: HWAccel | None = None,
) -> InputContainer:
    """Open a file, URL or device with FFmpeg.

    `timeout` is the longest wait for data, in seconds: one for opening and one for reading, or the same for both.
    `kind` is FFmpeg's name of a device's or stream's format; else it finds out. Raises SourceError, SourceDenied.
    """
    local = "://" not in url and os.path.lexists(url)
    if local and Path(url).is_dir():
        raise SourceError(f"{name}: {url} is a folder, not a video")
    # "file:" keeps FFmpeg from taking a name such as "12:30 gate.mkv" for a protocol.
    address = f"file:{url}" if local and kind is None else url
    patience = timeout[0] if isinstance(timeout, tuple) else timeout
    began = time.monotonic()
    try:
        return av.open(
            address,
            "r",
            format=kind,
            options=dict(options or {}),
            timeout=timeout,
            metadata_errors="replace",
            hwaccel=hwaccel,
        )
    except RuntimeError:  # how PyAV says it, if the processor must not take over
        raise SourceError(f"{name}: the GPU cannot decode {shown(url)}: use hwaccel auto") from None
    except av.FFmpegError as error:
        late = patience is not None and time.monotonic() - began >= patience  # FFmpeg may give another reason then
        why = _SILENT if late else _why(Path(url) if local else None, error)
        # Not "from error": a traceback would show FFmpeg's message, which quotes the whole URL.
        refusal = SourceDenied if isinstance(error, _DENIED) else SourceError
        raise refusal(f"{name}: cannot open {shown(url)}: {hidden(why, url)}") from None


@dataclass(frozen=True, slots=True)
class Streams:
    """What an input holds."""

    film: VideoStream
    copied: tuple[Stream, ...]  # sound, subtitles, data
    covers: tuple[Stream, ...]  # pictures that belong to the film
    left_out: tuple[Stream, ...]  # other videos


def choose_streams(name: str, url: str, container: InputContainer) -> Streams:
    """Tell the film from cover pictures and from streams whose packets are copied. Raises SourceError."""
    streams = [stream for stream in container.streams if stream.discard != Discard.all]  # chapters' own track
    videos = [stream for stream in container.streams.video if stream in streams]
    covers = tuple(stream for stream in videos if stream.disposition & _PICTURE)
    films = [stream for stream in videos if stream not in covers]
    if not films:
        kinds = ", ".join(sorted({stream.type for stream in streams if stream not in covers})) or "nothing"
        raise SourceError(f"{name}: {shown(url)} has no video stream (it holds: {kinds})")
    film = next((stream for stream in films if stream.disposition & Disposition.default), films[0])
    if film.codec_context is None:
        raise SourceError(f"{name}: this FFmpeg has no decoder for the video of {shown(url)}")
    copied = tuple(stream for stream in streams if stream.type in ("audio", "subtitle", "data"))
    return Streams(film, copied, covers, tuple(other for other in films if other is not film))


def reason(error: av.FFmpegError) -> str:
    """Say what went wrong without FFmpeg's own quotation of the address."""
    if isinstance(error, av.error.ExitError):  # how FFmpeg calls being interrupted
        return _SILENT
    return error.strerror or type(error).__name__


def _why(path: Path | None, error: av.FFmpegError) -> str:
    """Explain a failure to open; `path` is that of a local file that is there."""
    if isinstance(error, av.error.FileNotFoundError):
        return "no such file"
    if not isinstance(error, av.error.InvalidDataError):
        return reason(error)
    if path is None or not path.is_file():
        return "it hung up, or answered what FFmpeg cannot read"
    with path.open("rb") as file:
        head = file.read(8)
    if not head:
        return "the file is empty"
    if head[4:] == b"ftyp":
        return "its index (moov) is missing or damaged, as after a recording or copy that was cut short; copy it again"
    return "it is not a video that FFmpeg can read"
