"""Tables of what was measured on live cameras."""

from typing import Any

from growth_report import table


def delay_table(found: dict[str, Any]) -> str:
    """Return the added delay by the number of cameras."""
    width, height = found["size"]
    rows = [
        (run["cameras"], *run["fps_each"], run["dropped"], run["busy_cores"], *run["delay_ms"].values())
        for run in found["runs"]
    ]
    head = (
        f"cameras, {width}x{height}",
        "fps, slowest",
        "fastest",
        "dropped",
        "cores busy",
        "delay p50 ms",
        "p95",
        "p99",
    )
    return table(head, rows)


def soak_table(found: dict[str, Any]) -> str:
    """Return what grew."""
    growth, last = found["growth"], found["last"]
    rows = [
        ("memory, MB", *growth["memory_mb"], f"{growth['memory_percent']:+} %"),
        ("memory, kB a reconnect", "", "", growth["kb_per_reconnect"]),
        *([("heap in use, MB", *growth["heap_mb"], "")] if "heap_mb" in growth else []),
        ("threads, least and most", *growth["threads"], ""),
        ("file descriptors, least and most", *growth["files"], ""),
    ]
    span = f"{found['cameras']} cameras, {found['minutes']:g} minutes, {last['reconnects']} reconnects"
    return table((span, "after settling", "at the end", "drift"), rows)
