"""Grey video in, color video out.

Importing this costs nothing: each name below loads what it needs when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from streamcolor.engine import Engine, Feed
    from streamcolor.errors import (
        BackendError,
        ConfigError,
        SinkError,
        SourceError,
        SourceLost,
        StreamcolorError,
    )
    from streamcolor.frames import Frame
    from streamcolor.picture import load_model
    from streamcolor.report import Report
    from streamcolor.wiring import colorize

_HOMES = {
    "BackendError": "errors",
    "ConfigError": "errors",
    "Engine": "engine",
    "Feed": "engine",
    "Frame": "frames",
    "Report": "report",
    "SinkError": "errors",
    "SourceError": "errors",
    "SourceLost": "errors",
    "StreamcolorError": "errors",
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
