"""Is there an NVIDIA GPU that can be used? The driver itself is asked, so a machine without one pays nothing."""

import ctypes
from functools import cache
from importlib.util import find_spec

from streamcolor.errors import ConfigError


@cache
def why_no_gpu() -> str:
    """Return why no NVIDIA GPU can be used here; empty: one can. Imports nothing."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "there is no NVIDIA driver (libcuda.so.1)"
    if error := driver.cuInit(0):
        return f"the NVIDIA driver finds no GPU (cuInit gives error {error})"
    return ""


@cache
def why_no_cuda() -> str:
    """Return why torch cannot use a GPU; empty: it can. Imports torch only where there is a GPU."""
    if reason := why_no_gpu():
        return reason
    if find_spec("torch") is None:
        return "a GPU needs torch: pip install torch"
    try:
        import torch  # noqa: PLC0415  # heavy, and useless without a GPU
    except (ImportError, OSError) as error:  # a library that it needs is missing
        return f"torch cannot be loaded: {error}"
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} cannot use the GPU: install one that is built for CUDA"
    return ""


def gpu() -> tuple[str, str]:
    """Return the name of the GPU and its compute capability, such as "8.9". Raises ConfigError."""
    if reason := why_no_cuda():
        raise ConfigError(f"no GPU can be used: {reason}")
    import torch  # noqa: PLC0415  # see above

    major, minor = torch.cuda.get_device_capability()
    return torch.cuda.get_device_name(), f"{major}.{minor}"
