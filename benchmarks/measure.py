"""What the benchmarks share: programs in turn, with their costs printed, and a file of figures at the end."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from streamcolor.bench import measure
from streamcolor.bench.measure import Cost, as_json

RESULTS = Path(__file__).parent / "results"


def interleaved(programs: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, list[Cost]]:
    """Run all programs once a round, so that what else the machine does falls on all of them."""

    def watch(number: int, name: str, cost: Cost) -> None:
        print(f"round {number}/{rounds} {name}: {cost}", file=sys.stderr, flush=True)

    return measure.interleaved(programs, rounds, watch)


def write(name: str, result: Mapping[str, Any]) -> None:
    """Write `results/NAME.json`, and print it."""
    text = as_json(result)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(text)
    print(text)
