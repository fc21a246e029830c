"""The page that shows an evaluation: tables of figures and, below each, the contact sheet."""

import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1600px;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ccc}"
    "td:first-child,th:first-child{text-align:left}img{max-width:100%}"
)

Rows = Mapping[str, Mapping[str, float | None]]  # version → figure → value


def write_page(
    path: Path, *, title: str, sets: Mapping[str, Rows], notes: Sequence[str] = (), sheets: Mapping[str, Path]
) -> None:
    """Write `sets` (data set → rows) to an HTML file; `sheets` are pictures by data set, linked relative to it."""
    parts = [f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{STYLE}</style>"]
    parts.append(f"<h1>{html.escape(title)}</h1>")
    parts += [f"<p>{html.escape(note)}</p>" for note in notes]
    for name, rows in sets.items():
        parts += [f"<h2>{html.escape(name)}</h2>", table(rows)]
        if name in sheets:
            link = Path(os.path.relpath(sheets[name], path.parent)).as_posix()
            parts.append(f'<p>gray | ours | truth<br><img src="{html.escape(link)}" alt="{html.escape(name)}"></p>')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")


def table(rows: Rows) -> str:
    """Return a table with a line for each version; figures that no version has are left out."""
    figures = [key for key in next(iter(rows.values())) if any(row.get(key) is not None for row in rows.values())]
    lines = ["".join(f"<th>{html.escape(text)}</th>" for text in ("", *figures))]
    for name, row in rows.items():
        cells = "".join(f"<td>{_shown(row.get(key))}</td>" for key in figures)
        lines.append(f"<td>{html.escape(name)}</td>{cells}")
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _shown(value: float | None) -> str:
    if value is None:
        return "–"  # noqa: RUF001 - what a table shows for nothing
    return f"{value:.4g}" if abs(value) < 1 else f"{value:.2f}".removesuffix(".00")
