"""Training data and results in pieces below a size limit, for a machine that takes no larger ones."""

import csv
import gzip
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from streamcolor.color import ab_from_rgb

from .pictures import Picture, UnusableDataError
from .stills import Rgb

SIDE = 160  # pixels of the short side of what is not packed already
QUALITY = 92  # of WebP
ENTRY = 300  # bytes that a zip file needs for a member besides its data, at most


def pack(pictures: Sequence[Picture], folder: Path, *, limit: int) -> list[Path]:
    """Write the pictures as zip files of at most `limit` bytes, and an index of them; return the files.

    Members of shards are copied as they are; other pictures are made small. Damaged ones are left out. The folder is
    training data as it stands. Pictures are mixed at random, so a part of the pieces is a fair sample.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[list[str]] = []
    piece: zipfile.ZipFile | None = None
    paths: list[Path] = []
    size = 0
    for place in np.random.default_rng(0).permutation(len(pictures)):
        picture = pictures[place]
        packed = _packed(picture)
        if packed is None:
            continue
        data, chroma = packed
        if len(data) + 2 * ENTRY > limit:
            raise UnusableDataError(f"{picture.name} alone is larger than a piece of {limit} bytes")
        if piece is None or size + len(data) + ENTRY > limit:
            if piece is not None:
                piece.close()
            paths.append(folder / f"piece-{len(paths):03}.zip")
            piece, size = zipfile.ZipFile(paths[-1], "w"), ENTRY
        name = f"{len(rows):07}{Path(picture.name).suffix if picture.shard else '.webp'}"
        piece.writestr(name, data)
        size += len(data) + ENTRY
        rows.append([name, paths[-1].name, picture.source, f"{chroma:.1f}"])
    if piece is None:
        raise UnusableDataError("there is no picture to pack")
    piece.close()
    index = folder / "index.csv.gz"
    with gzip.open(index, "wt", newline="") as file:
        csv.writer(file).writerows([["name", "shard", "source", "mean_chroma"], *rows])
    return [*paths, index]


def _packed(picture: Picture) -> tuple[bytes, float] | None:
    """Return a picture's bytes and its mean chroma, None if it is damaged."""
    rgb = picture.read()
    if rgb is None:
        return None
    a, b = ab_from_rgb(cv2.resize(rgb, (32, 32), interpolation=cv2.INTER_AREA))
    chroma = float(np.hypot(a, b).mean())
    if picture.shard is not None:
        return picture.stored().tobytes(), chroma
    return _encoded(rgb), chroma


def _encoded(rgb: Rgb) -> bytes:
    height, width = rgb.shape[:2]
    factor = min(1.0, SIDE / min(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".webp", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    return data.tobytes()


def absent(pictures: Sequence[Picture]) -> list[str]:
    """Name the shards that the index names and the folder lacks."""
    shards = {picture.folder / picture.shard for picture in pictures if picture.shard is not None}
    return sorted(path.name for path in shards if not path.is_file())


def cut(path: Path, *, limit: int) -> list[Path]:
    """Cut a file into parts of at most `limit` bytes beside it; return them. The file stays."""
    parts: list[Path] = []
    with path.open("rb") as file:
        while data := file.read(limit):
            parts.append(path.with_name(f"{path.name}.part-{len(parts):03}"))
            parts[-1].write_bytes(data)
    return parts


def join(parts: Sequence[Path]) -> Iterator[Path]:
    """Put files together from their parts, in the folder that the parts lie in; yield each file."""
    for path in sorted({part.with_name(part.name.rpartition(".part-")[0]) for part in parts}):
        mine = sorted(part for part in parts if part.name.startswith(f"{path.name}.part-"))
        missing = [number for number, part in enumerate(mine) if part.name != f"{path.name}.part-{number:03}"]
        if missing:
            raise UnusableDataError(f"{path.name}: part {missing[0]} is missing")
        path.write_bytes(b"".join(part.read_bytes() for part in mine))
        yield path
