"""Opening an input, and saying in one line why it cannot be opened."""

import os
from collections.abc import Mapping
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer

from streamcolor.errors import SourceError
from streamcolor.urls import hidden, shown


def open_input(
    name: str,
    url: str,
    *,
    options: Mapping[str, str] | None = None,
    timeout: float | None = None,
    hwaccel: HWAccel | None = None,
) -> InputContainer:
    """Open a file, URL or device with FFmpeg; `timeout` is the longest wait for data, in seconds.

    Raises SourceError.
    """
    local = "://" not in url and os.path.lexists(url)
    if local and Path(url).is_dir():
        raise SourceError(f"{name}: {url} is a folder, not a video")
    # "file:" keeps FFmpeg from taking a name such as "12:30 gate.mkv" for a protocol.
    address = f"file:{url}" if local else url
    try:
        return av.open(
            address, "r", options=dict(options or {}), timeout=timeout, metadata_errors="replace", hwaccel=hwaccel
        )
    except RuntimeError:  # how PyAV says it, if the processor must not take over
        raise SourceError(f"{name}: the GPU cannot decode {shown(url)}: use hwaccel auto") from None
    except av.FFmpegError as error:
        why = _why(Path(url) if local else None, error)
        # Not "from error": a traceback would show FFmpeg's message, which quotes the whole URL.
        raise SourceError(f"{name}: cannot open {shown(url)}: {hidden(why, url)}") from None


def reason(error: av.FFmpegError) -> str:
    """Say what went wrong without FFmpeg's own quotation of the address."""
    if isinstance(error, av.error.ExitError):  # how FFmpeg calls being interrupted
        return "no data came within the time limit"
    return error.strerror or type(error).__name__


def _why(path: Path | None, error: av.FFmpegError) -> str:
    """Explain a failure to open; `path` is that of a local file that is there."""
    if isinstance(error, av.error.FileNotFoundError):
        return "no such file"
    if not isinstance(error, av.error.InvalidDataError) or path is None or not path.is_file():
        return reason(error)
    with path.open("rb") as file:
        head = file.read(8)
    if not head:
        return "the file is empty"
    if head[4:] == b"ftyp":
        return "its index (moov) is missing or damaged, as after a recording or copy that was cut short; copy it again"
    return "it is not a video that FFmpeg can read"
