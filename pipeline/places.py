"""Where each stage puts what it makes, relative to the folder of `dvc.yaml`.

Everything under `data/` is large and kept by DVC; `report/` is small and meant for git.
"""

from __future__ import annotations

from pathlib import Path

PARAMS = Path("params.yaml")

INDEX = Path("data/index.h5")
TRAJECTORIES = Path("data/trajectories")
SELECTION = Path("data/selection.h5")
TRANSFER = Path("data/transfer")
FRAMES = TRANSFER / "frames.h5"

JOURNAL = Path("data/journal")
"""What a killed run resumes from; not an output of any stage, so DVC leaves it alone."""

REPORT = Path("report")


def made_by(command: str) -> str:
    """What to do about a file that a command makes and that is missing, or cannot be read."""
    if not PARAMS.is_file():
        return f"Run from the folder that holds params.yaml, where `{command}` makes it"
    # DVC takes a file that it knows for up to date, though another version of this program may have made it.
    return f"Run `{command}` to make it (with --force if DVC finds nothing to do)"


def trajectories(teacher: str) -> Path:
    """The trajectories of one teacher over all videos."""
    return TRAJECTORIES / f"{teacher}.h5"


def transfer_set(pool: str, beta: float) -> Path:
    """The transfer set of one pool and one β: `kcf-0.5.h5`, and `P-0.5.h5` for the pool of all teachers."""
    return TRANSFER / f"{pool}-{beta:g}.h5"
