"""Outputs that appear under their name only when they are complete."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from streamcolor.errors import SinkError


class PartialFile:
    """A file written beside `path` under a temporary name, to be kept or discarded."""

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        check_free(path, overwrite=overwrite)
        self._path, self._overwrite = path, overwrite
        # Hidden, nobody else's, never too long for a file system.
        self._temporary = path.with_name(f".{path.stem[:40]}.partial-{secrets.token_hex(4)}{path.suffix}")
        with explained(path):
            # Buffered, because Python then completes the short writes of a disk that is nearly full.
            self._stream: BinaryIO = self._temporary.open("xb")
        self.ffmpeg = FFmpegFile(self._stream)

    def write(self, data: bytes) -> None:
        """Add bytes, for whoever is not FFmpeg."""
        with explained(self._path):
            self._stream.write(data)

    def keep(self) -> None:
        """Close the file and give it its name."""
        check_free(self._path, overwrite=self._overwrite)  # somebody may have been faster
        with explained(self._path):
            self._stream.close()
            self._temporary.replace(self._path)

    def discard(self) -> None:
        """Close and remove the file; does nothing after keep()."""
        with contextlib.suppress(OSError):  # a full disk refuses the last bytes of a file that nobody will read
            self._stream.close()
        self._temporary.unlink(missing_ok=True)


class PartialFolder:
    """Files gathered in a hidden folder in `folder`, or beside it if it is not there yet; keep() moves them into it.

    `path` is what the user named: the folder, or the only picture in it.
    """

    def __init__(self, path: Path, folder: Path, *, overwrite: bool) -> None:
        self._folder, self._overwrite = folder, overwrite
        with explained(path):
            if folder.exists() and not folder.is_dir():
                raise SinkError(f"cannot write pictures into {folder}: it is a file; name a folder")
            place = folder if folder.is_dir() else path.parent  # if it is a mount point, nothing can be moved into it
            self._temporary = place / f".pictures.partial-{secrets.token_hex(4)}"
            self._temporary.mkdir()

    def write(self, name: str, data: bytes) -> None:
        """Add one file; if it may not take its place later, say so now."""
        check_free(self._folder / name, overwrite=self._overwrite)
        with explained(self._folder / name):
            (self._temporary / name).write_bytes(data)

    def keep(self) -> None:
        """Move every file to its place, unless one would overwrite another without permission."""
        files = sorted(self._temporary.iterdir())
        for file in files:
            check_free(self._folder / file.name, overwrite=self._overwrite)
        with explained(self._folder):
            self._folder.mkdir(exist_ok=True)
            for file in files:
                file.replace(self._folder / file.name)
            self._temporary.rmdir()

    def discard(self) -> None:
        """Remove what was not kept."""
        shutil.rmtree(self._temporary, ignore_errors=True)


class Pipe:
    """Standard output: it can neither be sought in nor taken back."""

    def __init__(self) -> None:
        with explained(Path("-")):
            self._stream = os.fdopen(os.dup(1), "wb")  # our own descriptor: sys.stdout stays as it is
        self.ffmpeg = FFmpegPipe(self._stream)

    def keep(self) -> None:
        """Close our end; the reader sees the end of the file."""
        self._stream.close()

    def discard(self) -> None:
        """Close our end, whether or not somebody still reads."""
        with contextlib.suppress(OSError):  # if the reader has left, that was reported when it happened
            self._stream.close()


class FFmpegPipe:
    """What FFmpeg writes to. It reports an error by its number, as a C function would.

    An exception would have to cross FFmpeg, which calls again before it gives up; PyAV prints all but the last.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        """Return the number of bytes written, or a negative error number."""
        try:
            self._stream.write(data)
            self._stream.flush()  # for whoever watches at the other end of a pipe
        except OSError as error:
            return -(error.errno or errno.EIO)
        return len(data)


class FFmpegFile(FFmpegPipe):
    """The same for a file, in which FFmpeg can go back."""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Return the new position, or a negative error number."""
        try:
            return self._stream.seek(offset, whence)
        except OSError as error:
            return -(error.errno or errno.EIO)

    def tell(self) -> int:
        """Return the position."""
        return self._stream.tell()


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise SinkError if there is a folder of that name, or something would be overwritten without permission."""
    with explained(path):
        taken, folder, special = path.exists(), path.is_dir(), not path.is_file()
    if folder:
        raise SinkError(f"cannot write {path}: it is a folder; name a file in it")
    if taken and special:
        raise SinkError(f"cannot write {path}: it is a pipe or a device; name a file, or - for standard output")
    if taken and not overwrite:
        raise SinkError(f"cannot write {path}: it exists; overwrite it with -y (overwrite=True) or choose another name")


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an operating system's error into a SinkError of one line."""
    try:
        yield
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError) and not path.parent.is_dir()
        why = f"{path.parent} is not a folder; create it first" if missing else error.strerror or error
        raise SinkError(f"cannot write {path}: {why}") from error
