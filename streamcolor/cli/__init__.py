"""The command line: reads arguments, calls wiring, turns outcomes into exit codes. A module for each command."""

from typing import Annotated

import typer

from streamcolor import __version__
from streamcolor.cli.about import examine, models
from streamcolor.cli.bench import bench
from streamcolor.cli.export import export
from streamcolor.cli.outcomes import EXIT_CODES
from streamcolor.cli.run import run
from streamcolor.cli.serve import serve

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # a traceback is for us: plain, complete, fit to be pasted
    help="Turn gray video into color video, at real-time speed on two processor cores.",
    epilog=EXIT_CODES,
)


def _show_version(value: bool) -> None:  # noqa: FBT001  # Typer calls it so
    if value:
        typer.echo(f"streamcolor {__version__}")
        raise typer.Exit


@app.callback()
def main(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Turn gray video into color video, at real-time speed on two processor cores."""


app.command(epilog=EXIT_CODES)(run)
app.command()(serve)
app.command(epilog=EXIT_CODES)(export)
app.command(epilog=EXIT_CODES)(bench)
app.command()(models)
app.command(name="doctor")(examine)
