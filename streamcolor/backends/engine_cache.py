"""Keeps TensorRT's engines on disk: built once, found again by everything that would make one invalid.

They lie in `$STREAMCOLOR_CACHE/engines`, else `$XDG_CACHE_HOME/streamcolor/engines`, else
`~/.cache/streamcolor/engines`, and can be deleted at any time. A file is the SHA-256 of a plan, then the plan, so that
a damaged one never reaches TensorRT.
"""

import hashlib
import json
import logging
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeVar

from streamcolor.backends.engines import Profile, Watch, build, load_tensorrt
from streamcolor.errors import BackendError

log = logging.getLogger(__name__)

DIGEST: Final = hashlib.sha256().digest_size

Engine = TypeVar("Engine")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an engine is built from and for."""

    name: str  # for people: the beginning of the file's name
    onnx: bytes
    profiles: Mapping[str, Profile]
    precision: str
    gpu: str  # the name of the GPU...
    capability: str  # ...and its compute capability, such as "8.9"
    flavor: str = "auto"
    targets: tuple[str, ...] = ()

    def key(self) -> str:
        """Return what is the same only while the engine stays valid."""
        trt = load_tensorrt(self.flavor)
        facts = {
            "onnx": hashlib.sha256(self.onnx).hexdigest(),
            "tensorrt": [trt.__name__, trt.__version__],
            "system": [platform.system(), platform.machine()],
            "gpu": [self.gpu, self.capability],
            "precision": self.precision,
            "profiles": {name: asdict(shapes) for name, shapes in self.profiles.items()},
            "targets": self.targets,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]

    def build(self, watch: Watch | None = None) -> bytes:
        """Build the plan, and say that it takes its time. Raises BackendError."""
        log.info("building a TensorRT engine for %s on %s; it is kept, so this happens once", self.name, self.gpu)
        began = time.monotonic()
        plan = build(self.onnx, self.profiles, targets=self.targets, flavor=self.flavor, watch=watch)
        log.info("built the engine for %s in %.1f s", self.name, time.monotonic() - began)
        return plan


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where engines are kept."""
    if own := environment.get("STREAMCOLOR_CACHE"):
        return Path(own) / "engines"
    base = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "streamcolor" / "engines"


def cached(
    recipe: Recipe, load: Callable[[bytes], Engine], *, folder: Path | None = None, watch: Watch | None = None
) -> Engine:
    """Return what `load` makes of the recipe's plan: that of the cache, or a new one, which is kept.

    A plan that is damaged, or that `load` refuses with BackendError, is deleted and built again, once.
    """
    path = (cache_folder() if folder is None else folder) / f"{recipe.name}-{recipe.key()}.engine"
    if (plan := _read(path)) is not None:
        try:
            return load(plan)
        except BackendError as error:
            log.warning("%s: %s: it is built again", path, error)
            path.unlink(missing_ok=True)
    plan = recipe.build(watch)
    try:
        _write(path, plan)
    except OSError as error:
        log.warning("cannot keep the engine, it will be built again next time: %s: %s", path, error.strerror)
    return load(plan)


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("cannot read the engine %s: %s: it is built again", path, error.strerror)
        return None
    if hashlib.sha256(content[DIGEST:]).digest() == content[:DIGEST]:
        return content[DIGEST:]
    log.warning("%s is damaged: it is built again", path)
    path.unlink(missing_ok=True)
    return None


def _write(path: Path, plan: bytes) -> None:
    """Write so that nobody ever finds half a file, whatever is built or killed meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        part = Path(file.name)
        try:
            file.write(hashlib.sha256(plan).digest() + plan)
            file.flush()
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
