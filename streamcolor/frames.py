"""The values that flow from a source to a sink."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import av
    from av.stream import Stream

Plane: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]


class Matrix(Enum):
    """Luma weights of red and blue (K_R, K_B) of a Y'CbCr matrix (ITU-T H.273, table 4)."""

    BT601 = (0.299, 0.114)
    BT709 = (0.2126, 0.0722)
    BT2020 = (0.2627, 0.0593)

    def number(self, tag: int = 2) -> int:
        """Return FFmpeg's number of this matrix: `tag` itself if that means it, else the usual one."""
        numbers = {Matrix.BT601: (6, 5), Matrix.BT709: (1,), Matrix.BT2020: (9,)}[self]
        return tag if tag in numbers else numbers[0]


@dataclass(frozen=True, slots=True)
class ColorSpace:
    """How the codes of a picture are to be read: matrix, range, bits."""

    matrix: Matrix = Matrix.BT709
    full_range: bool = False
    depth: int = 8  # bits per sample: 8, 10 or 12; deeper than 8 is held in the low bits of uint16

    def __post_init__(self) -> None:
        if self.depth not in (8, 10, 12):
            raise ValueError(f"depth must be 8, 10 or 12, not {self.depth}")

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """The type of a sample."""
        return np.uint8 if self.depth == 8 else np.uint16


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture in Y'CbCr: brightness from the camera, color from us.

    Planes may be views into a decoder's memory with any row stride: read them, never write them.
    """

    stream: str  # one session of one feed: "gate/3"
    pts: int  # in the stream's time base, never recomputed
    luma: Plane  # (H, W), never altered
    chroma: tuple[Plane, Plane]  # Cb, Cr, each (H or ceil(H/2), W or ceil(W/2))
    space: ColorSpace
    captured: float  # monotonic seconds when it left the decoder, for latency only

    def __post_init__(self) -> None:
        height, width = self.luma.shape
        cb, cr = self.chroma
        fits = cb.shape[0] in (height, -(-height // 2)) and cb.shape[1] in (width, -(-width // 2))
        if cb.shape != cr.shape or not fits:
            raise ValueError(f"chroma {cb.shape}, {cr.shape} does not fit luma {self.luma.shape}")
        if not self.luma.dtype == cb.dtype == cr.dtype == self.space.dtype:
            raise ValueError(f"{self.space.depth}-bit planes of {self.luma.dtype}, {cb.dtype}, {cr.dtype}")


@dataclass(frozen=True, slots=True)
class DeviceFrame(Frame):
    """A Frame of 8 bits in 4:2:0 whose planes are torch's tensors on a GPU, complete whatever stream reads them.

    Only who is given a device gets one: `streamcolor.device` colors it, MuxSink writes it.
    """

    luma: Any  # uint8 (H, W), both even
    chroma: Any  # uint8 (H/2, W/2, 2): Cb and Cr in turn, as in NV12

    def __post_init__(self) -> None:
        height, width = self.luma.shape
        if tuple(self.chroma.shape) != (height / 2, width / 2, 2):
            raise ValueError(f"chroma {tuple(self.chroma.shape)} does not fit luma {tuple(self.luma.shape)}")

    def downloaded(self) -> Frame:
        """Return the same picture in memory."""
        luma, chroma = self.luma.cpu().numpy(), self.chroma.cpu().numpy()
        return Frame(self.stream, self.pts, luma, (chroma[..., 0], chroma[..., 1]), self.space, self.captured)


class Device(Protocol):
    """What source and sink know of the GPU on which pictures stay: `streamcolor.device.Gpu`."""

    surface: str  # FFmpeg's pixel format of pictures that lie there

    def options(self) -> dict[str, str]:
        """Return FFmpeg's options for a device that shares its memory with us, and prepare this thread for it."""
        ...

    def copied(self, planes: Sequence[Any]) -> list[Any]:
        """Return planes of a decoder's surface as tensors of our own, complete; the decoder may reuse the surface."""
        ...

    def joined(self, frame: DeviceFrame) -> tuple[Any, Any]:
        """Return copies of luma and chroma, complete, in one piece of memory."""
        ...


@dataclass(frozen=True, slots=True)
class Passthrough:
    """A compressed packet of a stream that we do not touch: audio, subtitles, data."""

    stream: str
    packet: "av.Packet[Any]"  # quoted: generic in the stubs only


Item: TypeAlias = Frame | Passthrough


@dataclass(frozen=True, slots=True)
class ColorTags:
    """FFmpeg's numbers for the color description of a stream (ITU-T H.273); 2 means unspecified."""

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a sink must know before the first item arrives."""

    name: str
    width: int
    height: int
    rate: Fraction  # average frames per second: a hint to the encoder, never a source of time stamps
    time_base: Fraction
    space: ColorSpace
    chroma_shift: tuple[int, int] = (1, 1)  # log2 of subsampling across, down: 4:2:0 (1,1), 4:2:2 (1,0), 4:4:4 (0,0)
    tags: ColorTags = ColorTags()
    sample_aspect_ratio: Fraction = Fraction(1)
    frames: int | None = None  # how many to expect, for progress only
    duration: float | None = None  # seconds, for progress only
    video: "Stream | None" = None  # the source's own stream: its side data, disposition and metadata
    copied: tuple["Stream", ...] = ()  # streams whose packets arrive as Passthrough
    attachments: tuple["Stream", ...] = ()  # fonts; cover pictures, whose one packet arrives as Passthrough
    chapters: tuple[Mapping[str, Any], ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    pictures: tuple[str, ...] = ()  # of a folder of pictures: the file name of the frame with pts i is pictures[i]
    on_device: bool = False  # pictures are DeviceFrames, if nothing speaks against one of them
    display_matrix: tuple[int, ...] = ()  # FFmpeg's nine numbers that turn or mirror the picture; empty: none
