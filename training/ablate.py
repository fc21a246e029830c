"""Say what each part of the recipe gives: `python -m training.ablate PLAN.yaml --eval DIR -o FILE.json`.

Trains the same short run again and again, from nothing, one part of the recipe changed at a time, and measures each on
data sets from elsewhere. A run that is in FILE.json is not done again, so a stopped ablation goes on, and calls with
other runs to do (--only) may share the file.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .config import BadSettingsError, Settings, checked, written
from .export import load_network
from .figures import ciede2000, colorfulness, psnr
from .networks import Network
from .pictures import UnusableDataError, find_pictures, usable
from .processes import joined
from .train import train
from .validate import colorize


@dataclass(frozen=True, slots=True)
class Run:
    """One training of the ablation."""

    name: str
    changed: Mapping[str, Any]
    settings: Settings


def runs_of(path: Path, *, data: Path | None, out: Path, steps: int | None) -> tuple[dict[str, Any], list[Run]]:
    """Return the recipe and its runs: the recipe itself first, then each of the changes to it."""
    plan = written(path)
    if set(plan) != {"recipe", "changes"}:
        raise BadSettingsError(f"{path}: `recipe` and `changes` are what it must hold, and nothing else")
    recipe = plan["recipe"] | ({"steps": steps} if steps else {})
    runs = []
    for name, changed in ({"the recipe": {}} | plan["changes"]).items():
        # A folder is named by what is trained in it: a checkpoint of another recipe must not be gone on with.
        told = json.dumps(recipe | changed, sort_keys=True)
        folder = out / hashlib.sha256(told.encode()).hexdigest()[:12]
        runs.append(Run(name, changed, checked(recipe | changed, f"{path}, {name}", data=data, out=folder)))
    return recipe, runs


def measure(network: Network, sets: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield (data set, figures of the mean color) for every folder in `sets` that holds colored pictures.

    gain: PSNR over gray, dB; ciede2000 and colorfulness: as parts of gray's and of the truth's.
    """
    network.eval()
    for folder in sorted(path for path in sets.iterdir() if path.is_dir()):
        found = []
        pictures = find_pictures(folder)
        for _, rgb in usable(pictures, len(pictures)):
            truth, gray, ours = colorize(network, rgb)
            found.append(
                (
                    psnr(truth, ours) - psnr(truth, gray),
                    ciede2000(truth, gray).mean(),
                    ciede2000(truth, ours).mean(),
                    colorfulness(ours),
                    colorfulness(truth),
                )
            )
        if found:
            gain, before, after, color, true_color = np.mean(found, axis=0).tolist()
            yield folder.name, {"gain": gain, "ciede2000": after / before, "colorfulness": color / true_color}


def known(path: Path, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rows of an earlier call, none if they are of another recipe."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text())
    rows: dict[str, Any] = found["runs"] if found["recipe"] == recipe else {}
    return rows


def ablate(
    plan: Path,
    sets: Path,
    result: Path,
    *,
    data: Path | None,
    out: Path,
    steps: int | None = None,
    only: Sequence[str] | None = None,
) -> None:
    """Do the runs of `plan`, or `only` some, that `result` does not hold yet, and write it anew after each."""
    recipe, runs = runs_of(plan, data=data, out=out, steps=steps)
    if strange := set(only or ()) - {run.name for run in runs}:
        raise BadSettingsError(f"{plan} has no runs called {', '.join(sorted(strange))}")
    rows = known(result, recipe)
    wanted = [run for run in runs if not only or run.name in only]
    left = [run for run in wanted if rows.get(run.name, {}).get("changed") != run.changed]
    with joined() as process:
        for run in left:
            checkpoint = train(run.settings, process)
            if process.first:
                figures = dict(measure(load_network(checkpoint), sets))
                rows = known(result, recipe) | {run.name: {"changed": run.changed, "sets": figures}}
                order = {each.name: rows[each.name] for each in runs if each.name in rows}
                result.write_text(json.dumps({"recipe": recipe, "runs": order}, indent=1) + "\n")
                print(f"{run.name}: " + ", ".join(f"{name} {row['gain']:+.2f} dB" for name, row in figures.items()))


def main() -> None:
    """Read the command line and do the runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path, help="`recipe` and `changes` to it, see configs/ablation.yaml")
    parser.add_argument("--eval", dest="sets", type=Path, required=True, help="folder with one folder a data set")
    parser.add_argument("-o", "--result", type=Path, required=True, help="JSON file to write, or to go on with")
    parser.add_argument("--data", type=Path, help="folder of pictures, instead of the one in the recipe")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"), help="folder for the runs")
    parser.add_argument("--steps", type=int, help="optimizer steps of a run, instead of those in the recipe")
    parser.add_argument("--only", nargs="*", help="only these runs, by their names")
    given = parser.parse_args()
    more = {"data": given.data, "out": given.out, "steps": given.steps, "only": given.only}
    try:
        ablate(given.plan, given.sets, given.result, **more)
    except (BadSettingsError, UnusableDataError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
