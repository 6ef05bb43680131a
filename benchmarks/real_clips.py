"""Learning from real video: a student learns from the clips of most sequences and tracks those of the others.

Example:
    python benchmarks/real_clips.py got10k:../shared/data/got10k_layout:train --first table2/runs \
        --beside data/transfer/P-0.5.h5
    python benchmarks/real_clips.py got10k:../shared/data/got10k_layout:train --beside data/transfer/P-0.5.h5 \
        --validate synthetic:data/judges --updates 600 --rate 1e-3

Clips are called SEQUENCE_NUMBER, and all clips of a sequence fall into one fold. Of every fold a student learns from
the others, so that every clip is tracked by one that has seen nothing of its sequence; with `--deal clips` clips are
dealt one by one, and a student may have seen other clips of the target that it tracks. Transfer sets come from the
four teachers of the embedded default, run live by the pipeline, each clip once. `--first` names students that have
learned already (those of `table2.py`, RUNS/RECIPE-SEED/best.safetensors), from which learning goes on; without it they
begin from random weights. What is finished is not run again. Beside the scores stand those of the students before, of
a box that stays, of one that glides on, and of the teachers; all are means over the frames of all clips.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from scratch_project import DVC, ENVIRONMENT, make, own_params
from table2 import HELD_OUT, SETTINGS, baselines, output, spread

from datasets import open_dataset
from datasets.command_line import run_only_command
from datasets.spec import parse_spec
from trainer.options import RecipeName


@dataclass(frozen=True)
class Command:
    """Learn from real clips and track those of other sequences.

    Example:
        python benchmarks/real_clips.py got10k:../shared/data/got10k_layout:train --first table2/runs --out real
    """

    dataset: tyro.conf.Positional[str]
    """KIND:ROOT[:SPLIT] of clips called SEQUENCE_NUMBER."""

    first: Path | None = None
    """Runs whose students go on learning; None: from random weights."""

    beside: tuple[Path, ...] = ()
    """Transfer sets to learn from together with the clips': alone, so few sequences are soon known by heart."""

    validate: str | None = None
    """KIND:ROOT[:SPLIT] of further videos, which choose each run's best weights; None: a fifth of the sets' videos."""

    out: Path = Path("real")
    """Where sets, runs and results are kept."""

    folds: int = 4
    """Into how many parts the clips are dealt."""

    deal: Literal["sequences", "clips"] = "sequences"
    """What stays together: all clips of a sequence, or nothing."""

    recipe: RecipeName = "tras-kd"
    """Of the students."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """A student each, for every fold."""

    updates: int = 200
    """Of each run."""

    rate: float = 3e-4
    """The learning rate, which falls to zero."""

    def run(self) -> int:
        """Print a Markdown table of average overlaps."""
        names = open_dataset(self.dataset).names
        together = [name.rpartition("_")[0] if self.deal == "sequences" else name for name in names]
        order = sorted(set(together))
        rows: dict[str, list[tuple[float, int]]] = {}
        for fold in range(self.folds):
            tracked = [
                n for n, key in zip(names, together, strict=True) if order.index(key) % self.folds == fold
            ]
            folder = (self.out / f"{self.deal}{fold}").resolve()
            folder.mkdir(parents=True, exist_ok=True)
            others = folder / "others.txt"
            others.write_text("\n".join(n for n in names if n not in tracked) + "\n")
            data = self._transfer_set(folder, tracked)
            found = {name: self._evaluated(folder, name) for name in own_params()["teachers"]}
            frames = next(iter(found.values()))[1]
            for name, score in baselines(self.dataset, others).items():
                found[f"box: {name}"] = score, frames
            for seed in self.seeds:
                self._learn(folder, data, seed)
                found[f"after, seed {seed}"] = self._student(
                    folder, f"learned-{seed}", self._run(folder, seed)
                )
                if self.first is not None:
                    before = self.first / f"{self.recipe}-{seed}"
                    found[f"before, seed {seed}"] = self._student(folder, f"first-{seed}", before)
            for name, score in found.items():
                rows.setdefault(name, []).append(score)
        means = {
            name: sum(ao * frames for ao, frames in scores) / sum(frames for _, frames in scores)
            for name, scores in rows.items()
        }
        print(f"| {len(names)} clips | AO |\n|---|---|")
        for when in ("before", "after"):
            if found := [ao for name, ao in means.items() if name.startswith(f"{when}, ")]:
                print(f"| {self.recipe}, {when} learning from real clips | {spread(found)} |")
        for name, ao in means.items():
            if ", seed " not in name:
                print(f"| {name} | {ao:.3f} |")
        return 0

    def _transfer_set(self, folder: Path, tracked: list[str]) -> Path:
        """P-0.5 of all clips but those that will be tracked; one project makes all sets, and tracks a clip once."""
        made = folder / "P-0.5.h5"
        if not made.exists():
            project = (self.out / "project").resolve()
            params = own_params()
            spec = parse_spec(self.dataset)
            (folder / "tracked.txt").write_text("\n".join(tracked) + "\n")
            params["dataset"] = {
                "kind": spec.kind,
                "root": str(Path(spec.root).resolve()),
                "split": spec.split,
                "exclude": str(folder / "tracked.txt"),
            }
            params["select"]["betas"] = [0.5]
            make(project, params)
            subprocess.run([*DVC, "repro", "pack"], cwd=project, env=ENVIRONMENT, check=True)
            export = [sys.executable, "-m", "datasets", "export", "data/transfer/P-0.5.h5", str(made)]
            subprocess.run(export, cwd=project, env=ENVIRONMENT, check=True)
        return made

    def _run(self, folder: Path, seed: int) -> Path:
        return folder / "runs" / f"{'random' if self.first is None else 'first'}-{seed}"

    def _learn(self, folder: Path, data: Path, seed: int) -> None:
        run = self._run(folder, seed)
        if (run / "finished").exists():
            return
        # The later of two options that are the same counts.
        held_out = ["--validation.videos", self.validate] if self.validate else HELD_OUT
        options = [*SETTINGS, *held_out, "--optimiser.learning-rate", str(self.rate), "--seed", str(seed)]
        options += ["--optimiser.updates", str(self.updates), "--recipe", self.recipe]
        if self.first is not None:
            options += ["--init", str(self.first / f"{self.recipe}-{seed}" / "best.safetensors")]
        learn = ["--data", str(data), *map(str, self.beside), "--out", str(run), *options]
        resume = ["--resume"] if (run / "last.pt").exists() else []
        subprocess.run([sys.executable, "-m", "trainer", *learn, *resume], check=True)
        (run / "finished").touch()

    def _student(self, folder: Path, name: str, run: Path) -> tuple[float, int]:
        return self._evaluated(folder, f"{name}=tras", "--weights", str(run / "best.safetensors"))

    def _evaluated(self, folder: Path, tracker: str, *arguments: str) -> tuple[float, int]:
        """Average overlap, and of how many frames."""
        fixed = ["--dataset", self.dataset, "--exclude", str(folder / "others.txt"), "--format", "json"]
        out = folder / ("evaluation" if self.first is None else "evaluation-first")
        (record,) = output("trainer.evaluate", "--tracker", tracker, *fixed, "--out", str(out), *arguments)
        return float(record["ao"]), int(record["frames"])


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python benchmarks/real_clips.py"))
