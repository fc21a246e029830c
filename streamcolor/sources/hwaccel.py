"""Decoding on an NVIDIA GPU by FFmpeg's hwaccel cuda; pictures come back to memory as NV12 or P010, or stay."""

import logging
from typing import Literal, TypeAlias

import av
from av.codec.hwaccel import HWAccel

from streamcolor.backends.gpu import why_no_cuda, why_no_gpu
from streamcolor.errors import ConfigError
from streamcolor.frames import Device

log = logging.getLogger(__name__)

Hwaccel: TypeAlias = Literal["auto", "cuda", "off"]
"""On a GPU that torch can use too, and on the processor what the GPU cannot decode; on the GPU only; never there."""


def why_no_decoding() -> str:
    """Return why FFmpeg cannot decode on a GPU here; empty: it can."""
    if reason := why_no_gpu():
        return reason
    try:
        HWAccel("cuda").create(av.Codec("h264", "r"))
    except av.FFmpegError as error:
        return f"FFmpeg cannot open the GPU: {error.strerror}"
    return ""


def decoder(mode: Hwaccel, device: Device | None = None) -> HWAccel | None:
    """Return what is to decode on the GPU, or None: the processor. Raises ConfigError if it must and cannot.

    With a `device`, in whose memory pictures are left, to be called in the thread that opens the input.
    """
    if mode == "off" or (mode == "auto" and why_no_cuda()):
        return None
    if not (reason := why_no_decoding()):
        options: dict[str, object] = {} if device is None else dict(device.options())
        fallback = mode == "auto"
        return HWAccel("cuda", allow_software_fallback=fallback, options=options, is_hw_owned=device is not None)
    if mode == "cuda":
        raise ConfigError(f"hwaccel cuda cannot be used: {reason}")
    log.warning("the processor decodes: %s", reason)
    return None
