"""How many samples MDNet draws and how long it trains: the authors' numbers, and the few that the slim variant takes.

The convolutions of the slim network cost so little that cutting the patches is what takes most of its time; only fewer
samples make it fast. Everything else of the algorithm is the same.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Numbers of samples and of iterations; the defaults are those of the authors' code.

    Attributes:
        candidates: Samples per frame that the target is looked for among.
        positives, negatives: Of a frame in which the target is found.
        first_positives, first_negatives: Of frame 0, for the first training.
        regression: Samples of frame 0 that the bounding-box regressor learns from.
        iterations, first_iterations: Steps of SGD of an update, and of the first training.
    """

    candidates: int = 256
    positives: int = 50
    negatives: int = 200
    first_positives: int = 500
    first_negatives: int = 5000
    regression: int = 1000
    iterations: int = 15
    first_iterations: int = 50


PUBLISHED = Budget()

SLIM = Budget(
    candidates=128,
    positives=32,
    negatives=64,
    first_positives=200,
    first_negatives=1000,
    regression=300,
)
"""Of the variant for two cores and a few minutes."""

BUDGETS = {"published": PUBLISHED, "slim": SLIM}
