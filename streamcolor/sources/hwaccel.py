"""Decoding on an NVIDIA GPU by FFmpeg's hwaccel cuda; pictures come back to memory as NV12 or P010."""

import logging
from typing import Literal, TypeAlias

import av
from av.codec.hwaccel import HWAccel

from streamcolor.backends.gpu import why_no_cuda, why_no_gpu
from streamcolor.errors import ConfigError

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


def decoder(mode: Hwaccel) -> HWAccel | None:
    """Return what is to decode on the GPU, or None: the processor. Raises ConfigError if it must and cannot."""
    if mode == "off" or (mode == "auto" and why_no_cuda()):
        return None
    if not (reason := why_no_decoding()):
        return HWAccel("cuda", allow_software_fallback=mode == "auto")
    if mode == "cuda":
        raise ConfigError(f"hwaccel cuda cannot be used: {reason}")
    log.warning("the processor decodes: %s", reason)
    return None
