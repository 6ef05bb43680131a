"""Table 2 in small: every recipe, several seeds, whole unseen videos; then TRAST, TRASFUST and the value head.

Example:
    python -m datasets synth data/fresh --videos 40 --seed 8 --turning 0.2
    python -m datasets synth data/judges --videos 20 --seed 9
    python benchmarks/table2.py data/transfer/P-0.5.h5 --validate synthetic:data/judges \
        --evaluate synthetic:data/fresh --updates 600

Students and settings are small enough for a CPU core (backbone matching from random weights, six CPU minutes a run);
they are the same for every recipe. What is finished is not run again. Beside each score stand those of a box that
stays and of one that glides on as between its first two true boxes.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from datasets import open_dataset
from datasets.boxes import overlap
from datasets.command_line import run_only_command
from trainer.options import RecipeName

SETTINGS = shlex.split(
    "--imagenet none --student.backbone matching --student.width 256 --optimiser.learning-rate 1e-3 "
    "--optimiser.scaling none --optimiser.decay linear --optimiser.average 0.98 "
    "--curriculum.episodes 2 --curriculum.success 0.25 --loss.value-weight 0.02 --optimiser.critic-rate 30 "
    "--episode.mirror 0.5 --episode.reverse 0.5 --episode.turn 0.75 --episode.hurry 0.5 --episode.tint 0.4 "
    "--episode.shake 0.1 --validation.every 100 --log.every 50 --log.checkpoint 200 --machine.threads 1"
)

HELD_OUT = shlex.split("--validation.share 0.2 --validation.most 40")
"""Windows of a fifth of the set's videos choose the weights, where no other videos do."""


def baselines(spec: str, exclude: Path | None = None) -> dict[str, float]:
    """Mean overlap after frame 0 of the box that stays, and of the one that keeps its first true motion."""
    stays, glides = [], []
    for video in open_dataset(spec, exclude):
        truth, counts = video.ground_truth, ~video.absent[1:]
        glide = truth[0] + np.arange(len(truth))[:, None] * (truth[1] - truth[0])
        glide[:, 2:] = np.maximum(glide[:, 2:], 1)
        stays.append(overlap(np.repeat(truth[:1], len(truth) - 1, axis=0), truth[1:])[counts])
        glides.append(overlap(glide[1:].astype(np.float32), truth[1:])[counts])
    return {"static": float(np.concatenate(stays).mean()), "gliding": float(np.concatenate(glides).mean())}


def output(module: str, *arguments: str) -> Any:  # noqa: ANN401 - JSON
    """What a program of the project prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout)


def spread(values: list[float]) -> str:
    """Mean and range."""
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


@dataclass(frozen=True)
class Command:
    """Learn every recipe several times and track unseen videos.

    Example:
        python benchmarks/table2.py data/transfer/P-0.5.h5 --evaluate synthetic:data/fresh --out table2
    """

    data: tyro.conf.Positional[Path]
    """The transfer set."""

    evaluate: str
    """KIND:ROOT[:SPLIT] of videos that the set does not hold."""

    validate: str | None = None
    """KIND:ROOT[:SPLIT] of further videos, which choose each run's best weights; None: a fifth of the set's."""

    out: Path = Path("table2")
    """Where runs and results are kept."""

    recipes: tuple[RecipeName, ...] = ("tras-gt", "tras-kd-gt", "tras-kd", "tras-no-curr", "tras")
    """Rows of Table 2; judges, which do not track, are not for this script."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """A run each."""

    updates: int = 800
    """Of each run."""

    teachers: tuple[str, ...] = ("kcf", "mdnet", "eco", "siamrpn")
    """Track once; their boxes stand beside the students of the recipe tras. None: only Table 2."""

    def run(self) -> int:
        """Print markdown tables."""
        print({name: round(score, 3) for name, score in baselines(self.evaluate).items()}, "\n")
        print("| recipe | AO | SR.50 |\n|---|---|---|")
        for recipe in self.recipes:
            scores = [self._scores(recipe, seed) for seed in self.seeds]
            print(
                f"| {recipe} | {spread([s['ao'] for s in scores])} | {spread([s['sr50'] for s in scores])} |"
            )
        if self.teachers and "tras" in self.recipes:
            for seed in self.seeds:
                self._beside_teachers(seed)
        return 0

    def _scores(self, recipe: RecipeName, seed: int) -> dict[str, float]:
        run = self.out / "runs" / f"{recipe}-{seed}"
        if not (run / "finished").exists():
            held_out = ["--validation.videos", self.validate] if self.validate else HELD_OUT
            options = [*SETTINGS, *held_out, "--optimiser.updates", str(self.updates), "--seed", str(seed)]
            learn = ["--data", str(self.data), "--out", str(run), "--recipe", recipe, *options]
            resume = ["--resume"] if (run / "last.pt").exists() else []
            subprocess.run([sys.executable, "-m", "trainer", *learn, *resume], check=True)
            (run / "finished").touch()
        return self._evaluated(f"{recipe}-{seed}=tras", "--weights", str(run / "best.safetensors"))

    def _evaluated(self, tracker: str, *arguments: str) -> dict[str, float]:
        fixed = ["--dataset", self.evaluate, "--out", str(self.out / "evaluation"), "--format", "json"]
        (record,) = output("trainer.evaluate", "--tracker", tracker, *fixed, *arguments)
        return dict(record)

    def _beside_teachers(self, seed: int) -> None:
        weights = ["--weights", str(self.out / "runs" / f"tras-{seed}" / "best.safetensors")]
        rows = {teacher: self._evaluated(teacher) for teacher in self.teachers}
        # Their boxes do not depend on the student: what they gave is read again instead of tracked again.
        (results,) = (self.out / "evaluation" / "results").glob(f"*/{self.teachers[0]}/")
        boxes = {teacher: f"recorded:{results.parent / teacher}" for teacher in self.teachers}
        rows |= {
            f"TRAST {teacher}": self._evaluated(
                f"trast-{teacher}-{seed}=trast", *weights, "--teachers", boxes[teacher]
            )
            for teacher in self.teachers
        }
        rows["TRASFUST"] = self._evaluated(
            f"trasfust-{seed}=trasfust", *weights, "--teachers", *boxes.values()
        )
        print(f"\nseed {seed}:", {name: round(record["ao"], 3) for name, record in rows.items()})
        judged = output(
            "trainer.judge", *weights, "--dataset", self.evaluate, "--teachers", *boxes.values(), "--json"
        )
        print(json.dumps(judged))


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python benchmarks/table2.py"))
