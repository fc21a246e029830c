"""TensorRT's engines, built once for everything that would make one invalid."""

import hashlib
import logging
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from streamcolor.backends.engines import Profile, Watch, build, load_tensorrt
from streamcolor.backends.kept import cache_folder, kept, key_of

log = logging.getLogger(__name__)

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
        return key_of(
            {
                "onnx": hashlib.sha256(self.onnx).hexdigest(),
                "tensorrt": [trt.__name__, trt.__version__],
                "system": [platform.system(), platform.machine()],
                "gpu": [self.gpu, self.capability],
                "precision": self.precision,
                "profiles": {name: asdict(shapes) for name, shapes in self.profiles.items()},
                "targets": self.targets,
            }
        )

    def build(self, watch: Watch | None = None) -> bytes:
        """Build the plan, and say that it takes its time. Raises BackendError."""
        log.info("building a TensorRT engine for %s on %s; it is kept, so this happens once", self.name, self.gpu)
        began = time.monotonic()
        plan = build(self.onnx, self.profiles, targets=self.targets, flavor=self.flavor, watch=watch)
        log.info("built the engine for %s in %.1f s", self.name, time.monotonic() - began)
        return plan


def cached(
    recipe: Recipe, load: Callable[[bytes], Engine], *, folder: Path | None = None, watch: Watch | None = None
) -> Engine:
    """Return what `load` makes of the recipe's plan: the kept one, or a new one, which is kept."""

    def make() -> tuple[bytes, Engine]:
        plan = recipe.build(watch)
        return plan, load(plan)

    folder = cache_folder("engines") if folder is None else folder
    return kept(folder / f"{recipe.name}-{recipe.key()}.engine", make, load)
