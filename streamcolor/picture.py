"""Single pictures as arrays, for people who use us from Python: `load_model("tiny").colorize(picture)`.

H,W the picture's size.
"""

from pathlib import Path
from typing import Any, Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcolor.backends import Backend, open_backend
from streamcolor.chroma import network_size, shrink
from streamcolor.color import Floats, light_from_luma, neutral
from streamcolor.colorizer import Colorizer, Lightness
from streamcolor.frames import ColorSpace, Frame, Matrix

JPEG: Final = ColorSpace(Matrix.BT601, full_range=True)
"""How pictures are coded (JFIF), and the only conversion that OpenCV has a fast routine for."""

Picture = NDArray[np.uint8]


class Model:
    """A loaded network. One thread at a time may use it; `with` closes it."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def colorize(
        self,
        picture: Picture,
        *,
        saturation: float = 1.0,
        vividness: float | None = None,
        lightness: Lightness = "luma",
    ) -> Picture:
        """Return sRGB uint8 (H, W, 3) of a gray (H, W) or sRGB (H, W, 3) uint8 picture; colors it had are replaced.

        See Colorizer for the settings. Raises ValueError for another kind of array, ConfigError for a setting that
        makes no sense, BackendError if the network fails.
        """
        luma = _luma(picture)
        nothing = np.full(luma.shape, neutral(JPEG), np.uint8)
        frame = Frame("picture", 0, luma, (nothing, nothing), JPEG, captured=0.0)
        colorizer = Colorizer(
            self.backend,
            saturation=saturation,
            vividness=vividness,
            when_colored="replace",
            lightness=lightness,
        )
        (colored,) = colorizer([frame])
        cb, cr = colored.chroma
        return np.asarray(cv2.cvtColor(cv2.merge((colored.luma, cr, cb)), cv2.COLOR_YCrCb2RGB), np.uint8)

    def predict(self, picture: Picture, *, vividness: float | None = None) -> tuple[Floats, Floats]:
        """Return a, b (2, H, W) in CIE units and how sure the network is of them, (H, W) in 0..1, both float32.

        Enlarged from the network's own, smaller size. Raises as `colorize` does.
        """
        luma = _luma(picture)
        height, width = luma.shape
        network = self.backend.network
        size = network_size(width, height, pixels=network.pixels, stride=network.stride)
        light_11hw = light_from_luma(shrink(luma, *size), JPEG)[None, None]
        strength = network.vividness if vividness is None else vividness
        prediction = self.backend.predict(light_11hw, vividness=strength)
        planes = [*prediction.ab_N2hw[0], prediction.confidence_N1hw[0, 0]]
        a, b, confidence = (cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in planes)
        return np.stack([a, b]).astype(np.float32), np.asarray(confidence, np.float32)

    def close(self) -> None:
        """Release the network."""
        self.backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def load_model(model: str | Path = "tiny", *, backend: str = "auto", threads: int | None = None) -> Model:
    """Load a network to color pictures with; see `open_backend` for the arguments and errors."""
    return Model(open_backend(backend, model, threads=threads))


def _luma(picture: NDArray[Any]) -> Picture:
    shaped = picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3)
    if picture.dtype != np.uint8 or picture.size == 0 or not shaped:
        raise ValueError(f"a picture is uint8 (H, W) or (H, W, 3), not {picture.dtype} {picture.shape}")
    if picture.ndim == 2:
        return np.ascontiguousarray(picture)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY), np.uint8)
