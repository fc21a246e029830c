"""Everything streamcolor raises on purpose.

StreamcolorError
    ConfigError        the user's settings cannot be used
    SourceError        the input cannot be read
        SourceLost     it could be read, then stopped: worth a reconnect
        SourceDenied   it wants another user or password: not worth a quick one
    BackendError       the network cannot be loaded or run
    SinkError          the output cannot be written
"""


class StreamcolorError(Exception):
    """Base class: catch this to catch all of ours. The message is one line, fit to be shown to a person."""


class ConfigError(StreamcolorError):
    """The user's settings cannot be used."""


class SourceError(StreamcolorError):
    """The input cannot be read."""


class SourceLost(SourceError):  # noqa: N818  # it says what happened; the base class says that it is an error
    """The input was readable and then stopped; a reconnect may help."""


class SourceDenied(SourceError):  # noqa: N818  # as above
    """The input refuses this user or password. Cameras lock accounts after a few attempts: ask seldom."""


class BackendError(StreamcolorError):
    """The network cannot be loaded or run."""


class SinkError(StreamcolorError):
    """The output cannot be written."""
