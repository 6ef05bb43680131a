"""What each benchmark counts and how it averages.

Sources: the experiments of the GOT-10k toolkit (MIT), which the paper's authors used, for GOT-10k, OTB, UAV123 and
LaSOT. With these the authors' own raw boxes give the paper's Table 5 to three digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Column = Literal["ao", "sr50", "sr75", "success_score", "precision_score", "normalised_precision_score"]

TITLES: dict[str, str] = {
    "ao": "AO",
    "sr50": "SR.50",
    "sr75": "SR.75",
    "success_score": "SS",
    "precision_score": "PS",
    "normalised_precision_score": "NPS",
    "eao": "EAO",
    "accuracy": "A",
    "robustness": "R",
}
"""How the paper's tables call a measure."""


@dataclass(frozen=True)
class Protocol:
    """How one benchmark turns boxes into scores.

    Attributes:
        benchmark: The benchmark's name, as tables show it.
        thresholds: Points of the success plot, evenly from 0 to 1.
        average: A score is the mean over all frames, or the mean over videos of each video's mean over its frames.
        first_frame: Whether frame 0 counts (as hit: the tracker was given its box), or is left out.
        bounded: Whether boxes are moved and cut into the image before they are compared.
        covered: Whether frames with a fully covered target (cover.label 0) count.
        columns: What the paper's tables show of this benchmark.
    """

    benchmark: str
    thresholds: int
    average: Literal["frames", "videos"]
    first_frame: bool
    bounded: bool
    covered: bool
    columns: tuple[Column, ...]


def _one_pass(benchmark: str, *columns: Column) -> Protocol:
    return Protocol(benchmark, 21, "videos", True, False, True, columns)


_SCORES: tuple[Column, ...] = ("success_score", "precision_score")
_GOT10K = Protocol("GOT-10k", 101, "frames", False, True, False, ("ao", "sr50", "sr75"))

PROTOCOLS: dict[str, Protocol] = {
    "got10k": _GOT10K,
    "synthetic": Protocol("synthetic", 101, "frames", False, True, False, ("ao", "sr50", "sr75")),
    "otb": _one_pass("OTB-100", *_SCORES),
    "uav123": _one_pass("UAV123", *_SCORES),
    "uav123_10fps": _one_pass("UAV123@10fps", *_SCORES),
    "lasot": _one_pass("LaSOT", *_SCORES, "normalised_precision_score"),
    "annotations": _one_pass("annotations", *_SCORES),
    "vot": _one_pass("VOT", *_SCORES),
}
"""The protocol of every kind of dataset (`datasets.spec.KINDS`); for vot, that of the unsupervised experiment."""
