"""The options of the trackers of checkouts, as a user writes them in params.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import DirectoryPath, FilePath

Start = Literal["centre", "pysot-init"]
"""Where pysot's tracker takes the target's centre to be: see `teachers.siamrpn.variants.Start`."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Those of pytracking's trackers, and what all have in common.

    Attributes:
        checkout: The checkout's folder.
        weights: The network's file, or the folder of networks that pytracking's settings call network_path.
        device: "cpu", "cuda", "cuda:1" ...
        threads: Of the tracker's process on the CPU; boxes are equal only for equal numbers.
        python: The interpreter of an environment in which the checkout works; None is this one.
        patience: Seconds without an answer (importing, the first frame, a frame) that mean that it hangs.
        trust_weights: Whether the file of weights may run code while it is loaded.
    """

    checkout: DirectoryPath
    weights: Path
    device: str = "cpu"
    threads: int = 1
    python: FilePath | None = None
    patience: float = 600.0
    trust_weights: bool = False


@dataclass(frozen=True, kw_only=True)
class PySotOptions(Options):
    """Those of pysot's experiments.

    Attributes:
        weights: The experiment's checkpoint.
        start: Where the target's centre is at the start: see `Start`.
    """

    weights: FilePath
    start: Start = "centre"
