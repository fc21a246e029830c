"""From a Frame's planes to the memory that an encoder reads."""

from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av
import cv2
import numpy as np
from av.codec.hwaccel import HWAccel
from av.video.frame import CudaContext

from streamcolor.frames import ColorSpace, Device, DeviceFrame, Frame, Plane
from streamcolor.sinks.encoders import Layout

if TYPE_CHECKING:
    from av.video.plane import VideoPlane


def to_picture(frame: Frame, layout: Layout, *, time_base: Fraction, pts: int, duration: int) -> av.VideoFrame:
    """Make a new picture for an encoder; luma is bit-exact if `layout` has the frame's depth.

    New memory each time: encoders with threads or B-frames keep references, and the allocator hands the same pages
    out again, so that one costs no more than copying into a buffer of ours (0.07 ms at 1080p, the speed of memory).
    """
    if isinstance(frame, DeviceFrame):
        frame = frame.downloaded()
    height, width = frame.luma.shape
    picture = av.VideoFrame(width, height, layout.name)
    luma, *chroma = picture.planes
    _fill(luma, to_depth(frame.luma, frame.space, layout.depth))
    for plane, samples in zip(chroma, frame.chroma, strict=True):
        _fill(plane, to_depth(_resized(samples, plane.width, plane.height), frame.space, layout.depth, chroma=True))
    picture.pts, picture.time_base, picture.duration = pts, time_base, duration
    return picture


class Surfaces:
    """Pictures that an encoder reads where they lie: on a GPU, if it encodes there."""

    def __init__(self, device: Device) -> None:
        """To be made in the thread that encodes."""
        self._device = device
        options: dict[str, object] = dict(device.options())
        on_gpu = device.surface == "cuda"
        self.hwaccel = HWAccel("cuda", options=options, is_hw_owned=True) if on_gpu else None
        self._context = CudaContext(primary_ctx=False, current_ctx=True)  # the one of the options

    def __call__(self, frame: DeviceFrame, *, time_base: Fraction, pts: int, duration: int) -> av.VideoFrame:
        """Make a new picture for the encoder, in NV12."""
        context = None if self.hwaccel is None else self._context
        picture = av.VideoFrame.from_dlpack(self._device.joined(frame), format="nv12", cuda_context=context)
        picture.pts, picture.time_base, picture.duration = pts, time_base, duration
        return picture


def to_depth(samples: Plane, space: ColorSpace, depth: int, *, chroma: bool = False) -> Plane:
    """Give samples another number of bits, rounded (ITU-R BT.2100: limited range scales by powers of two)."""
    if depth == space.depth:
        return samples
    most = (1 << depth) - 1
    wide = samples.astype(np.float32)
    if space.full_range:
        middle = 1 << (space.depth - 1)
        scale = most / ((1 << space.depth) - 1)
        wide = (wide - middle) * scale + (1 << (depth - 1)) if chroma else wide * scale
    else:
        wide *= 2.0 ** (depth - space.depth)
    rounded = np.clip(np.rint(wide), 0, most)
    return rounded.astype(np.uint8) if depth == 8 else rounded.astype(np.uint16)


def _resized(samples: Plane, width: int, height: int) -> Plane:
    """Chroma for another subsampling: averaged when it shrinks, bilinear when it grows."""
    if samples.shape == (height, width):
        return samples
    shrinks = samples.shape[0] > height or samples.shape[1] > width
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cast("Plane", cv2.resize(samples, (width, height), interpolation=kind))


def _fill(plane: "VideoPlane", samples: Plane) -> None:
    """Copy samples into a plane whose rows are padded."""
    rows = np.frombuffer(memoryview(plane), samples.dtype).reshape(-1, plane.line_size // samples.itemsize)
    rows[: plane.height, : plane.width] = samples
