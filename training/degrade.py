"""What old film and night cameras do to a picture, done to the network's input only.

All functions take and give lightness as seen by the network: float32 (h, w), 0..100 (L*).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcolor.color import light_from_gray
from streamcolor.frames import Matrix

Light = NDArray[np.float32]  # (h, w), L* in 0..100
Rng = np.random.Generator


def luma_weights(matrix: Matrix) -> NDArray[np.float64]:
    """Return what red, green and blue weigh in Y'."""
    red, blue = matrix.value
    return np.array([red, 1 - red - blue, blue])


BT601, BT709 = luma_weights(Matrix.BT601), luma_weights(Matrix.BT709)


def luma(rgb: NDArray[np.uint8], rng: Rng | None = None) -> Light:
    """Return L* of a picture's Y', as the pipeline computes it; with `rng`, by a random film's or camera's sensitivity.

    Blue-sensitive (orthochromatic) film, red filters and infra-red sensors weigh colors as no Y'CbCr matrix does.
    """
    weights = BT601
    if rng is not None:
        weights = BT709 if rng.random() < 0.5 else BT601
        if rng.random() < 0.25:
            weights = 0.5 * weights + 0.5 * rng.dirichlet((1.0, 1.5, 1.0))
    gray = np.round(rgb @ weights.astype(np.float32)).clip(0, 255)
    return light_from_gray(gray.astype(np.uint8))


def degrade(light: Light, rng: Rng) -> Light:
    """Damage most pictures a little and some of them a lot; a third stays as it is."""
    if rng.random() < 0.33:
        return light
    for damage, chance in DAMAGES:
        if rng.random() < chance:
            light = damage(light, rng)
    return np.clip(light, 0, 100).astype(np.float32)


def tone(light: Light, rng: Rng) -> Light:
    """Expose and print it another way."""
    unit = (light / 100) ** rng.uniform(0.65, 1.5)
    contrast = rng.uniform(0.7, 1.3)
    return np.asarray(100 * (0.5 + (unit - 0.5) * contrast + rng.uniform(-0.08, 0.08)), np.float32).clip(0, 100)


def blur(light: Light, rng: Rng) -> Light:
    """Blur like a soft lens, or a copy of a copy."""
    return np.asarray(cv2.GaussianBlur(light, (0, 0), rng.uniform(0.3, 1.6)), np.float32)


def noise(light: Light, rng: Rng) -> Light:
    """Add sensor noise (fine) or film grain (coarse)."""
    height, width = light.shape
    coarse = rng.uniform(1, 2.5)
    small = rng.standard_normal((max(1, round(height / coarse)), max(1, round(width / coarse))), np.float32)
    grain = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(light + rng.exponential(3.0) * grain, np.float32)


def vignette(light: Light, rng: Rng) -> Light:
    """Darken the corners."""
    height, width = light.shape
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return np.asarray(light * (1 - rng.uniform(0.1, 0.5) * (x**2 + y**2) / 2), np.float32)


def scratches(light: Light, rng: Rng) -> Light:
    """Draw the vertical lines of film transport, and dust."""
    damaged = light.copy()
    height, width = light.shape
    for _ in range(rng.integers(1, 4)):
        column = rng.integers(0, width)
        damaged[:, column] += rng.uniform(-40, 40)
    for _ in range(rng.integers(0, 12)):
        damaged[rng.integers(0, height), rng.integers(0, width)] = rng.choice((0.0, 100.0))
    return damaged


def blocking(light: Light, rng: Rng) -> Light:
    """Leave the blocks of a low-bit-rate codec."""
    quality = int(rng.integers(8, 50))
    _, data = cv2.imencode(".jpg", (light * 2.55).clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.float32) / np.float32(2.55)


DAMAGES = (
    (tone, 0.7),
    (blur, 0.3),
    (vignette, 0.15),
    (scratches, 0.05),
    (noise, 0.4),
    (blocking, 0.2),
)
