"""What a frame needs: has the scene changed, is it in color already, does it differ from the one last predicted.

All thresholds are in codes of 8 bits and were chosen by measuring real clips; deeper samples are scaled to them.
h,w the network's input size; t the tiny size, an eighth of it, at which scenes are compared.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from streamcolor.chroma import shrink
from streamcolor.color import Floats, code_range
from streamcolor.frames import ColorSpace, Frame, Plane

TINY: Final = 8  # the network's input is so many times as wide as the picture in which scenes are compared

# Colors of the last prediction are used again while blocks of 8x8 change by no more, on average over all of them and in
# all but a part. At first much may differ: colors that are three frames late are followed by no eye. In the end little
# may, or somebody small who walks into a street at rest would stay gray. What it costs, and how many frames are left to
# predict: benchmarks/every.py.
# (average, all but the part, the part) one, two, three, ... frames later; the last from then on
HELD: Final = ((16, 128, 0.02), (12, 96, 0.02), (10, 80, 0.02), (8, 64, 0.02), *3 * ((6, 48, 0.02),), (4, 24, 0.004))

# Spread of chroma that brightness does not explain (see `spread_and_tint`). Color clips: 2.9 and more. Gray ones: 0 to
# 0.5; noisy, tinted or sepia ones after strong compression: 0.5 to 2.3.
COLORED: Final = 2.5  # at the start of a scene
SURELY_COLORED: Final = 2.7  # later: a scene thought gray turns out to be in color...
SURELY_GRAY: Final = 1.8  # ...or the other way round; in between, the judgment stands
TINTED: Final = 6.0  # the middle of a scene's chroma is so far from neutral: blue sky, if the scenes before had color
DARK: Final = 12.0  # mean luma above black: too dark to judge
BRIGHT: Final = 60.0  # below it, colors are expected to be weaker in proportion
SETTLED, LOOKS = 12, 4  # frames after which a judgment that nothing contradicts is checked on every fourth only
TO_COLOR, TO_GRAY, TO_GRAY_IF_TINTED = 3, 12, 250  # frames in a row that must contradict a judgment to change it


def barely_differs(small_hw: Plane, other_hw: Plane, depth: int, *, age: int) -> bool:
    """Return whether two luma planes, `age` frames apart, are so alike that the colors of one serve the other."""
    mean, block, part = HELD[min(age, len(HELD)) - 1]
    blocks = shrink(cv2.absdiff(small_hw, other_hw), *_tiny(small_hw))  # type: ignore[arg-type]
    scale = 1 << (depth - 8)
    if cv2.mean(blocks)[0] > mean * scale:
        return False
    return int(np.count_nonzero(blocks > block * scale)) <= part * blocks.size


def tiny_luma(small_hw: Plane, space: ColorSpace) -> Floats:
    """Return luma above black at the tiny size, float32 in codes of 8 bits."""
    return np.take(_above_black(space), shrink(small_hw, *_tiny(small_hw)), mode="clip")


def spread_and_tint(tiny_tt: Floats, frame: Frame) -> tuple[float, float]:
    """Return how far chroma strays from what brightness explains, and how far its middle is from neutral.

    Toning (sepia, a tinted print) gives every brightness its own chroma, so chroma is first compared with the mean of
    all places that are as bright; what remains is color, or noise. Root mean square, in codes of 8 bits.
    """
    height, width = tiny_tt.shape
    scale = 1 << (frame.space.depth - 8)
    level = np.clip(tiny_tt / 4, 0, 63).astype(np.intp).ravel()
    count = np.bincount(level, minlength=64)
    squares = tint = 0.0
    for plane in frame.chroma:
        chroma = shrink(plane, width, height).ravel() / scale - 128
        mean = np.bincount(level, chroma, minlength=64) / np.maximum(count, 1)
        squares += float(np.square(chroma - mean[level]).sum())
        tint += _median(chroma) ** 2
    freedom = max(level.size - int(np.count_nonzero(count)), 1)
    return math.sqrt(squares / freedom), math.sqrt(tint)


@dataclass(slots=True)
class Cuts:
    """Finds scene cuts: a change beyond the picture's own contrast, and beyond what is usual in this stream."""

    _previous: Floats | None = None
    _contrast: Any = None  # its standard deviation, a scalar of float32
    _usual: float | None = None  # mean change from frame to frame, the latest ones counting most

    def __call__(self, tiny_tt: Floats) -> bool:
        """Return whether a new scene begins with this frame; the first frame of a stream begins none."""
        previous, self._previous = self._previous, tiny_tt
        before, self._contrast = self._contrast, tiny_tt.std()
        if previous is None:
            return False
        change = float(np.abs(tiny_tt - previous).mean())
        usual = min(change, 5) if self._usual is None else self._usual
        self._usual = 0.8 * usual + 0.2 * change
        contrast = float(self._contrast + before) / 2
        return change > 4 + contrast / 4 and (change > 3 * usual or float(previous.max()) < DARK)


@dataclass(slots=True)
class ColorJudge:
    """Decides, scene by scene, whether a source is in color already.

    A scene is judged by its first frame that is bright enough. The judgment changes within the scene only if several
    frames in a row contradict it clearly, so it neither flickers at the threshold nor follows a damaged frame, and
    a scene that fades in from black is recognized when its colors come.
    """

    colored: bool = False
    _judged: bool = False
    _against: int = 0
    _age: int = 0  # frames since the scene was judged

    def __call__(self, tiny_tt: Floats, frame: Frame, *, cut: bool) -> bool:
        """Return whether this frame belongs to a scene in color."""
        self._judged &= not cut
        cb, cr = frame.chroma
        if cb is cr:  # one plane for both is how a source without chroma says so
            return False
        self._age += 1
        if self._judged and not self._against and self._age > SETTLED and self._age % LOOKS:
            return self.colored
        luma = float(tiny_tt.mean())
        if luma >= DARK:
            spread, tint = spread_and_tint(tiny_tt, frame)
            self._judge(spread, tinted=tint > TINTED, gray=SURELY_GRAY * min(1.0, luma / BRIGHT))
        return self.colored

    def _judge(self, spread: float, *, tinted: bool, gray: float) -> None:
        if not self._judged:
            self.colored = spread > (gray if self.colored else COLORED) or (self.colored and tinted)
            self._judged, self._against, self._age = True, 0, 0
            return
        against = spread < gray if self.colored else spread > SURELY_COLORED
        self._against = self._against + 1 if against else 0
        if self._against >= ((TO_GRAY_IF_TINTED if tinted else TO_GRAY) if self.colored else TO_COLOR):
            self.colored, self._against = not self.colored, 0


@cache
def _above_black(space: ColorSpace) -> Floats:
    """Return every luma code above black in codes of 8 bits: float32 (2 ** depth)."""
    black, *_ = code_range(space)
    return ((np.arange(1 << space.depth) - black) / (1 << (space.depth - 8))).astype(np.float32)


def _median(values: NDArray[Any]) -> float:
    """Return what numpy's does, in a third of its time: it looks for NaN, axes and masks first."""
    ordered = np.sort(values)
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _tiny(small_hw: Plane) -> tuple[int, int]:
    height, width = small_hw.shape
    return max(1, width // TINY), max(1, height // TINY)
