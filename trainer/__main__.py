"""`python -m trainer`: learn a student from transfer sets."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from datasets.command_line import run_only_command
from trainer.options import TrainOptions
from trainer.pages import keep_pages
from trainer.train import train


@dataclass(frozen=True)
class Train:
    r"""Learn a student from transfer sets.

    Writes OUT/best.safetensors (the weights that tracked held-out videos best), OUT/last.safetensors, OUT/last.pt
    (what --resume continues from, to the bit), OUT/options.json (what was asked for) and OUT/history.jsonl.
    Ctrl-C ends the run with a checkpoint. The defaults are the paper's; docs/deviations.md explains every choice that
    it leaves open.

    Example:
        python -m trainer --data data/transfer/P-0.5.h5 --out runs/first

    Without ImageNet weights, on a CPU:
        python -m trainer --data data/transfer/P-0.5.h5 --out runs/small --student.backbone small \
        --optimiser.learning-rate 3e-4 --optimiser.scaling none --optimiser.minutes 8

    Several GPUs:
        torchrun --nproc-per-node 4 -m trainer --data data/transfer/P-0.5.h5 --out runs/four
    """

    data: tuple[Path, ...]
    """Transfer sets, learnt from as one."""
    out: Path
    """Folder of the run."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Continue the run in OUT with its options; those of machine and log, minutes, patience and the place of the
    validation videos may change, and the number of updates where the rate does not decay."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print how the run ended as JSON on stdout."""
    options: Annotated[TrainOptions, tyro.conf.arg(name="")] = field(default_factory=TrainOptions)

    def run(self) -> int:
        """Train; 0, or 130 where Ctrl-C ended the run before its last update."""
        keep_pages()
        # The command line itself, because its values do not tell a default that was asked for from one that was not.
        outcome = train(self.data, self.out, self.options, self.resume, _named(sys.argv[1:]))
        if self.json and os.environ.get("RANK", "0") == "0":  # torchrun's other processes say the same
            print(json.dumps(dataclasses.asdict(outcome)))
        return 130 if outcome.ending == "interrupted" else 0


def _named(words: Sequence[str]) -> set[str]:
    """The options that a command line names, as `optimiser.updates`; of --log.no-dvclive, log.dvclive."""
    names = (word.removeprefix("--").split("=")[0].replace("-", "_") for word in words if word[:2] == "--")
    return {name.replace(".no_", ".") for name in names}


if __name__ == "__main__":
    sys.exit(run_only_command(Train, "python -m trainer", pairs=True))
