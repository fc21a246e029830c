"""`streamcolor models` and `streamcolor doctor`: what there is, and what works here."""

import typer

from streamcolor import __version__
from streamcolor.cli.outcomes import FAILED, one_line_errors


def models() -> None:
    """List the networks that ship with streamcolor, with the figures of their cards."""
    from streamcolor.backends import known_models  # noqa: PLC0415
    from streamcolor.doctor import figures  # noqa: PLC0415

    with one_line_errors():
        for name in known_models():
            typer.echo(name)
            for what, how_much in figures(name):
                typer.echo(f"  {what:<12} {how_much}")


def examine() -> None:
    """Show versions, what works here and why the rest does not: backends, decoding on a GPU, encoders."""
    from streamcolor import doctor  # noqa: PLC0415
    from streamcolor.backends import known_models  # noqa: PLC0415
    from streamcolor.sinks.encoders import known_encoders  # noqa: PLC0415

    typer.echo(f"streamcolor {__version__} on {doctor.machine()}")
    typer.echo("packages   " + ", ".join(f"{name} {number}" for name, number in doctor.packages().items()))
    typer.echo("encoders   " + ", ".join(known_encoders()))
    typer.echo("models     " + (", ".join(known_models()) or "none"))
    backends = doctor.backends()
    for name, outcome in backends.items():
        typer.echo(f"backend    {name}: {outcome}")
    for name, outcome in doctor.hardware().items():
        typer.echo(f"hwaccel    {name}: {outcome}")
    if not any(outcome.startswith("works") for outcome in backends.values()):
        raise typer.Exit(FAILED)
