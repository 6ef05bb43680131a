"""The paper's Table 1: GOT-10k's 9,335 training videos, and the trackers that were its teachers."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_name("paper_table1.csv")

ROWS = {"kcf": "K", "mdnet": "M", "eco": "E", "siamrpn": "S", "pool": "P"}
"""The paper's row for a teacher of this name, in any spelling of capitals; other teachers have none."""

RULE = "KCF, MDNet, ECO, SiamRPN (matched by name) and their pool on GOT-10k's 9,335 training videos"

NETWORKS = "the published ones; here, without `weights`, mdnet and siamrpn are slim ones"
"""Whose networks stand behind the rows: names alone would suggest that they are the same."""


@dataclass(frozen=True)
class Printed:
    """One cell of the paper's table: positive trajectories, average overlap, windows (the paper's |D|)."""

    trajectories: int
    ao: float
    windows: int


def paper_cells() -> dict[tuple[str, float], Printed]:
    """The paper's numbers by (pool, β): pool is `kcf`, `mdnet`, `eco`, `siamrpn` or `pool`."""
    names = {row: name for name, row in ROWS.items()}
    with TABLE.open(encoding="utf-8", newline="") as file:
        return {
            (names[line["teachers"]], float(line["beta"])): Printed(
                int(line["trajectories"]), float(line["ao"]), int(line["windows"])
            )
            for line in csv.DictReader(file)
        }
