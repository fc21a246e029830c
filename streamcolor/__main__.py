"""`python -m streamcolor`: the command line."""

import sys

from streamcolor.cli import app


def main() -> None:
    """Run the command line; exits the process."""
    # Importing OpenVINO imports its converter too, where it can, and with that a client for telemetry: a tenth of a
    # second that nobody asked for. Here, not in the backend: a program that uses us as a library may want to convert.
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]  # None: it cannot be imported
    app(prog_name="streamcolor")


if __name__ == "__main__":
    main()
