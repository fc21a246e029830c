"""What the names of an input and an output mean."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamcolor.errors import ConfigError, SourceError
from streamcolor.sinks.images import PICTURE_SUFFIXES
from streamcolor.sources.images import SUFFIXES
from streamcolor.urls import shown

_LIVE = re.compile(
    r"-$|/dev/video\d+$|(?:rtsps?|rtmp[est]*|udp|rtp|srt)://"
    # What cameras call their motion JPEG: videostream.cgi, /mjpg/video.mjpg, ?action=stream, …
    r"|https?://[^?#]*(?:mjpe?g|/video(?:feed|_feed|stream)?(?:\.cgi)?/?(?:[?#]|$))|https?://.*[?&]action=stream",
    re.IGNORECASE,
)
PROTOCOL = re.compile(r"[a-z][a-z0-9+.]+:", re.IGNORECASE)  # one letter is a drive, not a protocol


def check_paths(source: str, target: str) -> None:
    """Raise, before anything is touched, if the two are one file, or if they do not go together.

    Links of both kinds are seen through.
    """
    with _looking():
        _check_paths(source, target)


def check_report(report: str, source: str, target: str) -> None:
    """Raise if a report cannot be written there, or would replace the input or the output."""
    path = Path(report)
    with _looking():
        if _same(report, source) or _same(report, target):
            raise ConfigError(f"report {report} is the input or the output: name another file")
        if not path.absolute().parent.is_dir():
            raise ConfigError(f"cannot write the report {report}: its folder does not exist")
        if path.is_dir():
            raise ConfigError(f"cannot write the report {report}: it is a folder")


@contextmanager
def _looking() -> Iterator[None]:
    try:
        yield
    except OSError as error:  # a name that is too long, a folder that we may not look into
        raise ConfigError(f"cannot look at {error.filename}: {error.strerror}") from error


def is_live(name: str) -> bool:
    """Whether an input is a camera's: it has no end, and its newest picture is worth more than all older ones."""
    return _LIVE.match(name) is not None


def reads_pictures(name: str) -> bool:
    """Whether an input is a picture or a folder, which can only be one of pictures."""
    path = local_path(name)
    return path is not None and (path.is_dir() or path.suffix.lower() in SUFFIXES)


def writes_picture(name: str) -> bool:
    """Whether an output is one picture."""
    path = local_path(name)
    return path is not None and path.suffix.lower() in PICTURE_SUFFIXES and not path.is_dir()


def writes_folder(name: str) -> bool:
    """Whether an output is a folder, which need not exist if its name ends with a slash."""
    path = local_path(name)
    return path is not None and (path.is_dir() or name.endswith(("/", "\\")))


def local_path(name: str) -> Path | None:
    """Return the path of a local file or folder; None for a URL, a pipe or a device's address."""
    if name == "-":
        return None
    path = Path(plain(name))
    if PROTOCOL.match(str(path)) and ("://" in name or not path.exists()):
        return None
    return path


def plain(name: str) -> str:
    """Return a name without FFmpeg's prefix for files, unless there is a file that is called so."""
    if not name.startswith("file:") or Path(name).exists():
        return name
    return name.removeprefix("file:").removeprefix("//")


def _check_paths(source: str, target: str) -> None:
    path = local_path(source)
    if path is not None and not path.exists():
        raise SourceError(f"cannot open {source}: no such file or folder")
    if target != "-" and local_path(target) is None:
        raise ConfigError(f"output {shown(target)} is an address: name a file, a folder/ or - for standard output")
    if _same(source, target):
        raise ConfigError(f"output {target} is the input {source}: name another output")
    if writes_picture(target) and not (reads_pictures(source) and path is not None and path.is_file()):
        kind = "a video" if path is None or path.is_file() else "a folder"
        raise ConfigError(
            f"output {target} is one picture, but {shown(source)} is {kind}: name a folder, such as colored/"
        )


def _same(one: str, other: str) -> bool:
    first, second = local_path(one), local_path(other)
    if first is None or second is None:
        return False
    if first.exists() and second.exists():
        return first.samefile(second)
    return first.resolve() == second.resolve()
