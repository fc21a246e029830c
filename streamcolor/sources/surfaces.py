"""Decoded pictures that stay on the GPU: which of them can."""

import logging
from collections.abc import Callable

from av import VideoFormat, VideoFrame

from streamcolor.frames import Device

log = logging.getLogger(__name__)


def pixels_of(picture: VideoFrame) -> VideoFormat:
    """Return the format of a picture's samples, wherever they lie."""
    return picture.sw_format or picture.format


def marks_of(picture: VideoFrame) -> tuple[str, int, int, int, int]:
    """Give what two pictures must share to be read alike: format, width, height, color matrix and range."""
    return picture.format.name, picture.width, picture.height, picture.colorspace, picture.color_range


class Staying:
    """Tells which pictures of a stream stay on the device: those like the first, if that one can."""

    def __init__(
        self, name: str, device: Device, first: VideoFrame, deinterlaced: Callable[[VideoFrame], bool]
    ) -> None:
        self._first = marks_of(first), pixels_of(first).name
        self._deinterlaced = deinterlaced
        reason = self._why_not(device, first)
        self.any = not reason
        log.info("%s: pictures %s", name, f"come back to memory: {reason}" if reason else "stay on the GPU")

    def __call__(self, picture: VideoFrame) -> bool:
        """Return whether this one does; all others are brought to memory, as they are without a device."""
        alike = self.any and (marks_of(picture), pixels_of(picture).name) == self._first
        return alike and not self._deinterlaced(picture)

    def _why_not(self, device: Device, first: VideoFrame) -> str:
        """Return why none does: what reads them wants 8 bits, and DLPack has no chroma for an odd row or column."""
        pixels = pixels_of(first).name
        if first.format.name != device.surface:
            return "the processor decodes them"
        if pixels != "nv12":
            return f"they are {pixels}, not nv12"
        if first.width % 2 or first.height % 2:
            return f"{first.width}x{first.height} is odd"
        return "they are interlaced" if self._deinterlaced(first) else ""
