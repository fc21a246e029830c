"""Outputs that appear under their name only when they are complete."""

import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import BinaryIO

from streamcolor.errors import SinkError


class PartialFile:
    """A file written beside `path` under a temporary name, to be kept or discarded."""

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self._path, self._overwrite = path, overwrite
        self._temporary = partial_name(path)
        check_free(path, overwrite=overwrite)
        if path.is_dir():
            raise SinkError(f"cannot write {path}: it is a folder; name a file in it")
        self.stream: BinaryIO = self._create()
        self.ffmpeg = FFmpegFile(self.stream)

    def _create(self) -> BinaryIO:
        try:
            # Python's own buffer, because it completes the short writes of a disk that is nearly full.
            return self._temporary.open("wb", buffering=1 << 18)
        except OSError as error:
            raise SinkError(cannot_write(self._path, error)) from error

    def keep(self) -> None:
        """Close the file and give it its name."""
        try:
            self.stream.close()
            check_free(self._path, overwrite=self._overwrite)  # somebody may have been faster
            self._temporary.replace(self._path)
        except OSError as error:
            raise SinkError(cannot_write(self._path, error)) from error

    def discard(self) -> None:
        """Close and remove the file; does nothing after keep()."""
        try:
            self.stream.close()
        except OSError:
            pass  # a full disk refuses the last bytes of a file that nobody will read
        finally:
            self._temporary.unlink(missing_ok=True)


class FFmpegFile:
    """What FFmpeg writes to. It reports an error by its number, as a C function would.

    An exception would have to cross FFmpeg, which calls again before it gives up; PyAV prints all but the last.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        """Return the number of bytes written, or a negative error number."""
        try:
            return self._stream.write(data)
        except OSError as error:
            return -(error.errno or errno.EIO)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Return the new position, or a negative error number."""
        try:
            return self._stream.seek(offset, whence)
        except OSError as error:
            return -(error.errno or errno.EIO)

    def tell(self) -> int:
        """Return the position."""
        return self._stream.tell()


class FFmpegPipe:
    """The same without seek(), flushed at once for whoever watches at the other end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        """Return the number of bytes written, or a negative error number."""
        try:
            self._stream.write(data)
            self._stream.flush()
        except OSError as error:
            return -(error.errno or errno.EIO)
        return len(data)


class PartialFolder:
    """A folder filled under a temporary name beside `path`; keep() moves its files into place."""

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self._path, self._overwrite = path, overwrite
        self._temporary = partial_name(path)
        if path.exists() and not path.is_dir():
            raise SinkError(f"cannot write pictures into {path}: it is a file; name a folder")
        try:
            self._temporary.mkdir()
        except OSError as error:
            raise SinkError(cannot_write(path, error)) from error

    def write(self, name: str, data: bytes) -> None:
        """Add one file."""
        check_free(self._path / name, overwrite=self._overwrite)
        try:
            (self._temporary / name).write_bytes(data)
        except OSError as error:
            raise SinkError(cannot_write(self._path / name, error)) from error

    def keep(self) -> None:
        """Move every file to its place."""
        try:
            self._path.mkdir(exist_ok=True)
            for file in sorted(self._temporary.iterdir()):
                check_free(self._path / file.name, overwrite=self._overwrite)
                file.replace(self._path / file.name)
            self._temporary.rmdir()
        except OSError as error:
            raise SinkError(cannot_write(self._path, error)) from error

    def discard(self) -> None:
        """Remove what was not kept."""
        shutil.rmtree(self._temporary, ignore_errors=True)


class Pipe:
    """Standard output: it can neither be sought in nor taken back."""

    def __init__(self) -> None:
        self._stream = os.fdopen(os.dup(1), "wb")  # our own descriptor: sys.stdout stays as it is
        self.ffmpeg = FFmpegPipe(self._stream)

    def keep(self) -> None:
        """Close our end; the reader sees the end of the file."""
        self._stream.close()

    def discard(self) -> None:
        """Close our end, whether or not somebody still reads."""
        with contextlib.suppress(OSError):  # if the reader has left, that was reported when it happened
            self._stream.close()


def partial_name(path: Path) -> Path:
    """Make a name beside `path`: hidden, of this process, with the same suffix, never too long for a file system."""
    return path.with_name(f".{path.stem[:40]}.partial-{os.getpid()}{path.suffix}")


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise SinkError if a file would be overwritten without permission."""
    if path.is_file() and not overwrite:
        raise SinkError(f"cannot write {path}: it exists; allow overwriting or choose another name")


def cannot_write(path: Path, error: OSError) -> str:
    """One line for an operating system's error."""
    folder = path.parent
    if not folder.is_dir():
        return f"cannot write {path}: {folder} is not a folder; create it first"
    return f"cannot write {path}: {error.strerror or error}"
