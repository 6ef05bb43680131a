"""Write boxes as the toolkits do, so that their scripts score them, and `ResultsFolder` reads them back."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datasets.atomic import appearing
from datasets.boxes import Boxes, as_boxes
from datasets.errors import DataError
from datasets.results.folder import result_base
from datasets.rows import read_rows

Layout = Literal["got10k", "otb", "pysot", "pytracking"]
"""got10k: one folder per video, three decimals. otb: flat, three decimals. pysot: flat, every digit.
pytracking: flat, tabs, whole pixels (it cuts the fraction off, and so does this)."""


def write_results(
    root: Path,
    tracker: str,
    video: str,
    boxes: ArrayLike,
    layout: Layout = "got10k",
    *,
    seconds: ArrayLike | None = None,
    repetition: int = 1,
    kind: str | None = None,
    base: int | None = None,
) -> Path:
    """Write one video's boxes; the files appear complete or not at all.

    Args:
        root: The results folder.
        tracker: The tracker's folder below it; pysot and pytracking use two levels: `OTB100/model`,
            `dimp/dimp50`.
        video: The video's name.
        boxes: (T, 4), 0-based, with row 0 the initial box.
        layout: Whose layout to write.
        seconds: Seconds per frame (T,), for <video>_time.txt (got10k and pytracking); None for no such file.
        repetition: Which run, from 1 (got10k only).
        kind: The dataset's kind; decides with `base` what the first pixel is called, by the rule of
            `datasets.results.folder`.
        base: 0 or 1, to overrule that.

    Returns:
        The file of boxes.

    Raises:
        ValueError: If the boxes are not (T, 4), the times not (T,), or a name leaves the folder.
    """
    rows = as_boxes(boxes)
    if rows.ndim != 2 or not len(rows):
        raise ValueError(f"{tracker} on {video}: boxes have shape (T, 4) with T > 0, not {rows.shape}")
    for name in (video, *PurePosixPath(tracker).parts):
        if not name or name in {".", ".."} or any(c in name for c in "/\\\0"):
            raise ValueError(f"{name!r} cannot name a folder of results: it leads elsewhere")
    if repetition < 1 or (repetition > 1 and layout != "got10k"):
        raise ValueError(f"layout {layout} has no repetition {repetition}")
    shift = result_base("per video" if layout == "got10k" else "flat", kind, base)
    folder = root / tracker / video if layout == "got10k" else root / tracker
    file = folder / (f"{video}_{repetition:03d}.txt" if layout == "got10k" else f"{video}.txt")
    if seconds is not None and layout in {"got10k", "pytracking"}:
        _write_seconds(folder / f"{video}_time.txt", np.asarray(seconds, np.float64), len(rows), repetition)
    with appearing(file) as temporary:
        temporary.write_text(_text(rows, shift, layout), encoding="ascii", newline="\n")
    return file


def _text(rows: Boxes, shift: int, layout: Layout) -> str:
    shifted = rows.astype(np.float64) + np.array([shift, shift, 0, 0])
    if layout == "pysot":
        return "".join(",".join(map(repr, row)) + "\n" for row in shifted.tolist())
    if layout == "pytracking":
        whole = np.trunc(shifted)
        return "".join("\t".join("nan" if np.isnan(v) else str(int(v)) for v in row) + "\n" for row in whole)
    return "".join("{:.3f},{:.3f},{:.3f},{:.3f}\n".format(*row) for row in shifted.tolist())


def _write_seconds(file: Path, seconds: NDArray[np.float64], length: int, repetition: int) -> None:
    """Write seconds per frame, one column per repetition: the columns before are kept."""
    if seconds.shape != (length,):
        raise ValueError(f"{file}: seconds have shape {seconds.shape} for {length} boxes")
    columns = seconds[:, None]
    if repetition > 1:
        before = read_rows(file, repetition - 1)
        if len(before) != length:
            raise DataError(file, f"{len(before)} rows for {length} boxes", "Write all repetitions again")
        # Again from the text: what `read_rows` gives is float32, and eight decimals are more than that holds.
        lines = filter(None, map(str.strip, file.read_text(encoding="utf-8-sig").splitlines()))
        former = [[float(value) for value in re.split(r"[\s,;]+", line)] for line in lines]
        columns = np.concatenate([np.array(former), columns], axis=1)
    with appearing(file) as temporary:
        np.savetxt(temporary, columns, fmt="%.8f", delimiter=",")
