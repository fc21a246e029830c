"""Gray video in, color video out.

Importing this costs nothing: what needs more than the errors loads it when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamcolor.errors import (
    BackendError,
    ConfigError,
    SinkError,
    SourceDenied,
    SourceError,
    SourceLost,
    StreamcolorError,
)

__version__ = "0.1.0"

if TYPE_CHECKING:
    from streamcolor.engine import Engine, Feed
    from streamcolor.frames import Frame
    from streamcolor.picture import load_model
    from streamcolor.report import Report
    from streamcolor.wiring import colorize

_HOMES = {  # of the names that need more than this file
    "Engine": "engine",
    "Feed": "engine",
    "Frame": "frames",
    "Report": "report",
    "colorize": "wiring",
    "load_model": "picture",
}

__all__ = [
    "BackendError",
    "ConfigError",
    "Engine",
    "Feed",
    "Frame",
    "Report",
    "SinkError",
    "SourceDenied",
    "SourceError",
    "SourceLost",
    "StreamcolorError",
    "__version__",
    "colorize",
    "load_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
