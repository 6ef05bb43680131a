"""`python -m datasets audit`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Column, Table

from datasets.audit import KINDS, Defect, DefectKind, audit
from datasets.command_line import counted, progress
from datasets.folder_dataset import FolderDataset
from datasets.names import noting_faults
from datasets.processes import cores
from datasets.spec import open_dataset


@dataclass(frozen=True)
class Audit:
    """Report every defect of a source dataset; exit with 1 if there is one.

    Every image is decoded, every annotation parsed; nothing is changed.

    Example:
        python -m datasets audit got10k:/data/GOT-10k:train --ignore absent-frames box-beyond-border
    """

    dataset: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="KIND:ROOT[:SPLIT]")]
    """The dataset, such as got10k:/data/GOT-10k:train or otb:/data/OTB100."""
    ignore: tuple[DefectKind, ...] = ()
    """Kinds of defects to pass over."""
    exclude: Path | None = None
    """A text file of videos to leave out, one name per line."""
    workers: int = field(default_factory=cores)
    """Processes that decode images."""
    json: bool = False
    """Print one JSON object: dataset, videos, counts by kind, and the list of defects."""

    def run(self) -> int:
        """Audit and print; 0 if the dataset is clean, else 1."""
        if self.workers < 1:
            raise ValueError(f"--workers is {self.workers}, but has to be at least 1")
        with noting_faults() as faults:
            dataset = open_dataset(self.dataset, self.exclude)
        with progress("videos") as bar:
            task = bar.add_task("Auditing", total=len(dataset))
            found = audit(dataset, min(self.workers, len(dataset)), lambda: bar.advance(task))
            listed = [Defect("", "list", str(fault), fault.path, row=fault.row) for fault in faults]
            defects = [defect for defect in (*listed, *found) if defect.kind not in self.ignore]
        if isinstance(dataset, FolderDataset) and (left := dataset.unlisted()):
            shown = ", ".join(left[:3]) + (", ..." if len(left) > 3 else "")
            print(
                f"note: the list of videos leaves out {counted(len(left), 'folder')}: {shown}",
                file=sys.stderr,
            )
        counts = Counter(defect.kind for defect in defects)
        if self.json:
            report = {
                "dataset": dataset.spec,
                "videos": len(dataset),
                "counts": {kind: counts[kind] for kind in KINDS if counts[kind]},
                "defects": [_plain(defect) for defect in defects],
            }
            print(json.dumps(report, indent=1))
        else:
            _print_table(defects, counts, dataset.spec, len(dataset))
        return 1 if defects else 0


def _plain(defect: Defect) -> dict[str, object]:
    return {**asdict(defect), "path": None if defect.path is None else str(defect.path)}


def _print_table(defects: list[Defect], counts: Counter[DefectKind], spec: str, videos: int) -> None:
    # A name may hold what rich takes for markup, and "got10k:ROOT:train: ..." would end in a picture of a train.
    console = Console(markup=False, emoji=False)
    if not defects:
        console.print(f"{spec}: {counted(videos, 'video')}, no defect", highlight=False)
        return
    table = Table("video", "kind", Column("what was found", overflow="fold"))
    for defect in defects:
        table.add_row(defect.video, defect.kind, defect.detail)
    console.print(table)
    for kind, meaning in KINDS.items():
        if counts[kind]:
            console.print(f"{counts[kind]:6}  {kind}: {meaning}", highlight=False)
    faulty = len({defect.video for defect in defects if defect.video})
    total, of = counted(len(defects), "defect"), counted(videos, "video")
    console.print(f"{spec}: {total} in {faulty:,} of {of}", highlight=False)
