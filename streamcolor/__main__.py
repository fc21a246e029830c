"""`python -m streamcolor`: the command line."""

from streamcolor.cli import app


def main() -> None:
    """Run the command line; exits the process."""
    app(prog_name="streamcolor")


if __name__ == "__main__":
    main()
