"""Grey video in, color video out."""

__version__ = "0.1.0"
