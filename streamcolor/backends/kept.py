"""Keeps on disk what is dear to make, such as engines and compiled networks: made once, then found again.

The files lie in `$STREAMCOLOR_CACHE/KIND`, else `$XDG_CACHE_HOME/streamcolor/KIND`, else `~/.cache/streamcolor/KIND`,
and can be deleted at any time; of each kind the ones used last stay. A file is the SHA-256 of its content, then the
content, so that a damaged one never reaches a runtime.
"""

import contextlib
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from streamcolor.errors import BackendError

log = logging.getLogger(__name__)

DIGEST: Final = hashlib.sha256().digest_size
MOST: Final = 32  # files of a kind; who moves a slider of the page makes many

Made = TypeVar("Made")


def cache_folder(kind: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Return where things of a kind are kept."""
    if own := environment.get("STREAMCOLOR_CACHE"):
        return Path(own) / kind
    if base := environment.get("XDG_CACHE_HOME"):
        return Path(base) / "streamcolor" / kind
    try:
        return Path.home() / ".cache" / "streamcolor" / kind
    except RuntimeError:  # a user without a home: nothing can be kept, which is said when it is tried
        return Path(os.devnull) / kind


def key_of(facts: Mapping[str, Any]) -> str:
    """Return what is the same only while all of `facts` (as JSON) stay as they are."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]


def kept(path: Path, make: Callable[[], tuple[bytes, Made]], load: Callable[[bytes], Made]) -> Made:
    """Return what `load` makes of the file's content, or what `make` makes, whose bytes are kept.

    A file that is damaged, or that `load` refuses with BackendError, is made again, once, and replaced.
    """
    if (content := _read(path)) is not None:
        try:
            return load(content)
        except BackendError as error:
            log.warning("%s: %s: it is made again", path, error)
    content, made = make()
    try:
        _write(path, content)
    except OSError as error:
        log.warning("cannot keep %s, it is made again next time: %s", path, error.strerror)
    return made


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        log.warning("cannot read %s: %s: it is made again", path, error.strerror)
        return None
    if hashlib.sha256(content[DIGEST:]).digest() == content[:DIGEST]:
        with contextlib.suppress(OSError):  # somebody else's cache
            os.utime(path)
        return content[DIGEST:]
    log.warning("%s is damaged: it is made again", path)
    return None


def _write(path: Path, content: bytes) -> None:
    """Write so that nobody ever finds half a file, whatever is made or killed meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        part = Path(file.name)
        try:
            file.write(hashlib.sha256(content).digest() + content)
            file.flush()
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
    with contextlib.suppress(FileNotFoundError):  # another process is at it too
        ours = (each for each in path.parent.iterdir() if each.suffix in (path.suffix, ".part") and each.is_file())
        for unused in sorted(ours, key=lambda path: path.stat().st_mtime)[:-MOST]:
            unused.unlink()
