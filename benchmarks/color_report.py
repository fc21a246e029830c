"""Tables of color, made from committed JSON of training/results by report.py."""

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from growth_report import Found, table

GRAY, MEAN, VIVID, TRUTH = "gray", "ours, vividness 0", "ours, vividness 0.5", "truth"
ELSEWHERE = ("kodak24", "cbsd68", "urban100", "nips17-300")  # the sets that goals are set for


def quality_table(found: Found) -> str:
    """Return PSNR, CIEDE2000 and colorfulness for every data set, beside gray and the truth."""
    rows = []
    for name, versions in found["sets"].items():
        gray, mean, vivid, truth = (versions[version] for version in (GRAY, MEAN, VIVID, TRUTH))
        rows.append(
            (
                f"{name} ({gray['pictures']})",
                f"{gray['psnr']:.2f}",
                f"{mean['psnr']:.2f} ({mean['psnr'] - gray['psnr']:+.2f})",
                f"{vivid['psnr']:.2f}",
                f"{gray['ciede2000']:.2f}",
                f"{mean['ciede2000']:.2f} ({mean['ciede2000'] / gray['ciede2000'] - 1:+.0%})",
                f"{vivid['ciede2000']:.2f}",
                f"{mean['colorfulness'] / truth['colorfulness']:.2f}",
                f"{vivid['colorfulness'] / truth['colorfulness']:.2f}",
            )
        )
    head = (
        *("pictures", "PSNR gray", "careful", "default"),
        *("CIEDE2000 gray", "careful", "default", "colorfulness careful", "default"),
    )
    return table(head, rows)


def networks_table(networks: Mapping[str, tuple[Found, str]]) -> str:
    """Return a row for each network, given as (its figures, which version), over the sets that goals are set for."""
    rows = []
    for name, (found, version) in networks.items():
        above = gains(found, version)
        sets = [found["sets"][each] for each in ELSEWHERE]
        error = fmean(each[version]["ciede2000"] / each[GRAY]["ciede2000"] for each in sets)
        color = fmean(each[version]["colorfulness"] / each[TRUTH]["colorfulness"] for each in sets)
        rows.append((name, *(f"{gain:+.2f}" for gain in (*above, fmean(above))), f"{error - 1:+.1%}", f"{color:.2f}"))
    return table(("PSNR over gray, dB", *ELSEWHERE, "mean", "CIEDE2000 to gray's", "colorfulness"), rows)


def gains(found: Found, version: str = MEAN) -> list[float]:
    """Return PSNR over gray, dB, on each set that goals are set for."""
    sets = found["sets"]
    return [sets[name][version]["psnr"] - sets[name][GRAY]["psnr"] for name in ELSEWHERE]


def quantization_table(found: Found) -> str:
    """Return how far int8 is from single precision."""
    return table(
        ("int8 against single precision", "mean", "p99"),
        [("CIEDE2000", f"{found['mean']:.2f}", f"{found['p99']:.2f}")],
    )


def ablation_table(found: Found) -> str:
    """Return a row for each short training: PSNR over gray on the sets, their mean, and what it lost by the change."""
    means = {name: _mean(run, "gain") for name, run in found["runs"].items()}
    rows = []
    for name, run in found["runs"].items():
        rows.append(
            (
                name,
                *(f"{run['sets'][each]['gain']:+.2f}" for each in ELSEWHERE),
                f"{means[name]:+.2f}",
                f"{means[name] - means['the recipe']:+.2f}" if run["changed"] else "",
                f"{_mean(run, 'ciede2000') - 1:+.1%}",
                f"{_mean(run, 'colorfulness'):.2f}",
            )
        )
    head = ("PSNR over gray, dB", *ELSEWHERE, "mean", "to the recipe", "CIEDE2000 to gray's", "colorfulness")
    steps, batch = (found["recipe"][name] for name in ("steps", "batch"))
    return f"Each: {steps:,} steps of {batch} samples, but where it says otherwise.\n\n{table(head, rows)}"


def _mean(run: Any, figure: str) -> float:
    return fmean(run["sets"][name][figure] for name in ELSEWHERE)
