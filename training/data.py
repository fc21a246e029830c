"""Survey a folder of training data: `python -m training.data DIR [--sample N]`.

Says what each source holds, and names every file that cannot be read. Gray counts pictures that hold no color to learn.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from .pictures import Picture, chosen, find_pictures, is_gray


@dataclass(slots=True)
class Tally:
    """What was found of one source."""

    read: int = 0  # pictures looked at, stills of videos among them
    gray: int = 0
    test: int = 0  # of those, never trained on
    damaged: list[str] = field(default_factory=list)  # names

    @property
    def usable(self) -> int:
        """Return how many teach colors, or test them."""
        return self.read - self.gray - len(self.damaged)


def survey(pictures: Iterable[Picture]) -> dict[str, Tally]:
    """Read each picture and return a tally for every source, by name."""
    found: dict[str, Tally] = {}
    for picture in pictures:
        tally = found.setdefault(picture.source, Tally())
        tally.read += 1
        tally.test += picture.test
        rgb = picture.read()
        if rgb is None:
            tally.damaged.append(picture.name)
        elif is_gray(rgb):
            tally.gray += 1
    return dict(sorted(found.items()))


def table(found: dict[str, Tally]) -> Table:
    """Return a row for each source and, if there are several, one for all."""
    shown = Table("source")
    for heading in ("pictures", "usable", "gray", "damaged", "test"):
        shown.add_column(heading, justify="right")
    rows = {name: [t.read, t.usable, t.gray, len(t.damaged), t.test] for name, t in found.items()}
    if len(rows) > 1:
        rows["all"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    for name, row in rows.items():
        shown.add_row(name, *map(str, row))
    return shown


def main() -> None:
    """Read the command line and survey; exit code 1 if nothing can be learned from the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of pictures and videos, in any layout, or of zip shards")
    parser.add_argument("--sample", type=int, help="look at this many only, chosen at random: for a large folder")
    given = parser.parse_args()
    pictures = find_pictures(given.data)
    sample = chosen(pictures, given.sample, seed=0)
    if len(sample) < len(pictures):
        print(f"{len(pictures)} pictures, of which {len(sample)} are looked at")
    found = survey(track(sample, description="read"))
    Console().print(table(found))
    for name in dict.fromkeys(name for tally in found.values() for name in tally.damaged):
        print(f"damaged: {name}")
    if not any(tally.usable for tally in found.values()):
        raise SystemExit(f"{given.data}: nothing that colors could be learned from")


if __name__ == "__main__":
    main()
