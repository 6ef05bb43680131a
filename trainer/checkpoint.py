"""Where a run stands: one file that appears whole or not at all, from which it continues to the bit.

`OUT/last.pt` holds plain containers and tensors alone, so that reading it runs no code: weights, optimiser, every
student's episode, memory and curriculum, the best validation, and the options. Random draws are functions of (seed,
step), so no generator's state is among them.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from datasets.atomic import appearing
from datasets.errors import DataError
from trainer.options import TrainOptions
from trainer.saved_options import as_json, from_json

NAME = "last.pt"
_VERSION = 2
_OTHER_VERSION = (
    "Resume with the version that began the run, or begin a new one: --init takes its best.safetensors"
)


@dataclass
class Standing:
    """How validation went so far.

    Attributes:
        best: The best average overlap, or None before the first validation.
        best_update: After how many updates.
        since: Validations since then.
    """

    best: float | None = None
    best_update: int = 0
    since: int = 0

    def judge(self, ao: float, update: int) -> bool:
        """Count a validation; tells whether it is the best so far."""
        if self.best is None or ao > self.best:
            self.best, self.best_update, self.since = ao, update, 0
            return True
        self.since += 1
        return False


@dataclass
class Checkpoint:
    """What is saved.

    Attributes:
        options: Of the run.
        sets: Fingerprints of its transfer sets, in order.
        learner: `Learner.state`.
        interactions: `Interactions.state`, of all processes' students.
        held_out: What it validates on, see `Validation.fingerprint`.
        standing: Of validation.
    """

    options: TrainOptions
    sets: list[str]
    learner: dict[str, Any]
    interactions: dict[str, Any]
    held_out: str = ""
    standing: Standing = field(default_factory=Standing)

    def save(self, out: Path) -> None:
        """Write it into a run's folder.

        Raises:
            DataError: If the disk is full or cannot be written.
        """
        content = {
            "version": _VERSION,
            "options": as_json(self.options),
            "sets": self.sets,
            "learner": self.learner,
            "interactions": self.interactions,
            "held_out": self.held_out,
            "standing": asdict(self.standing),
        }
        with appearing(out / NAME) as temporary, temporary.open("wb") as file:
            torch.save(content, file)


def load_checkpoint(out: Path) -> Checkpoint:
    """Read the checkpoint of a run's folder.

    Raises:
        DataError: If there is none, or it is damaged or of another version.
        OSError: If it cannot be read at all.
    """
    path = out / NAME
    if not path.is_file():
        raise DataError(
            path,
            "there is no checkpoint to resume",
            "Name the folder of a run, or begin one without --resume",
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make the reader raise almost anything
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise  # forbidden, or a disk's error: the system names it; EINVAL is a seek to before a cut file's start
        problem = f"the checkpoint cannot be read ({type(error).__name__})"
        raise DataError(
            path, problem, "Begin the run anew; its best.safetensors can be given as --init"
        ) from error
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        raise DataError(path, "this is no checkpoint of this version", _OTHER_VERSION)
    with fitting(path):
        return Checkpoint(
            from_json(content["options"], path),
            content["sets"],
            content["learner"],
            content["interactions"],
            content["held_out"],
            Standing(**content["standing"]),
        )


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Within it a checkpoint's content is taken apart, which another version may have put together otherwise.

    Raises:
        DataError: If something is not there, or is none of what it is taken for.
    """
    try:
        yield
    except (KeyError, TypeError, IndexError, RuntimeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(path, f"its content does not fit this version ({reason})", _OTHER_VERSION) from error
