"""What the stage `stats` leaves for DVC and git: Table 1, metrics, and the tables of the plots."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from datasets.atomic import appearing
from pipeline.curves import over_betas, overlaps, survival
from pipeline.formats import as_csv, as_records
from pipeline.trajectories import Status, Trajectories

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pipeline.index import Index
    from pipeline.select import Selection
    from pipeline.table1 import Cell


def write_tables(
    folder: Path,
    index: Index,
    trajectories: Mapping[str, Trajectories],
    selection: Selection,
    cells: Sequence[Cell],
) -> list[Path]:
    """Write all tables of the stage `stats`, each atomically.

    Args:
        folder: Where they go: table1.csv, metrics.json, survival.csv, overlaps.csv, betas.csv.
        index: The videos.
        trajectories: The teachers'.
        selection: Which are positive.
        cells: Table 1 of these.

    Returns:
        The files.
    """
    curves: dict[str, list[dict[str, Any]]] = {
        "survival.csv": [row._asdict() for row in survival(index, trajectories, selection)],
        "overlaps.csv": [row._asdict() for row in overlaps(index, trajectories)],
        "betas.csv": as_records(over_betas(index, trajectories, selection)),
    }
    texts = {
        "table1.csv": as_csv(cells),
        "metrics.json": json.dumps(
            metrics(index, trajectories, selection, cells), indent=1, ensure_ascii=False
        )
        + "\n",
    }
    texts |= {name: _csv(rows) for name, rows in curves.items()}
    written = []
    for name, text in texts.items():
        path = folder / name
        with appearing(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")
        written.append(path)
    return written


def metrics(
    index: Index, trajectories: Mapping[str, Trajectories], selection: Selection, cells: Sequence[Cell]
) -> dict[str, Any]:
    """What `dvc metrics show` shows: pool, β, number; and under "all videos", no teacher's name, the rest."""
    document: dict[str, Any] = {}
    for record in as_records(cells):
        numbers = {key: record[key] for key in ("trajectories", "ao", "windows")}
        document.setdefault(record["pool"], {})[f"{record['beta']:g}"] = numbers
    changed = zip(selection.betas, selection.changed_by_absent.tolist(), strict=True)
    document["all videos"] = {
        "videos": len(index),
        "frames": int(index.offset[-1]),
        "changed_by_absent": {f"{beta:g}": number for beta, number in changed},
        "failed": {name: int((t.status == Status.FAILED).sum()) for name, t in trajectories.items()},
    }
    return document


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {k: round(value, 6) if isinstance(value, float) else value for k, value in row.items()}
        )
    return out.getvalue()
