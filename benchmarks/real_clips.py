"""Learning from real video: a student learns from the clips of every other sequence and tracks those of the rest.

Example:
    python benchmarks/real_clips.py got10k:../shared/data/got10k_layout:train --first table2/runs \
        --beside data/transfer/P-0.5.h5
    python benchmarks/real_clips.py got10k:../shared/data/got10k_layout:train --beside data/transfer/P-0.5.h5 \
        --validate synthetic:data/judges --updates 600 --rate 1e-3

Clips are called SEQUENCE_NUMBER, and all clips of a sequence fall into one half. Each half is learned from once and
tracked once, so that every clip is tracked by a student that has seen nothing of its sequence. Transfer sets come
from KCF and ECO, run live by the pipeline. `--first` names students that have learned already (those of `table2.py`,
RUNS/tras-SEED/best.safetensors), from which learning goes on; without it they begin from random weights.
What is finished is not run again. Beside the scores stand those of the students before (`first`), of a box that
stays, of one that glides on, and of the teachers; all are means over frames.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from scratch_project import DVC, ENVIRONMENT, make, own_params
from table2 import HELD_OUT, SETTINGS, baselines, output, spread

from datasets import open_dataset
from datasets.command_line import run_only_command
from datasets.spec import parse_spec

TEACHERS = ("kcf", "eco")


@dataclass(frozen=True)
class Command:
    """Learn from one half of real clips and track the other, both ways round.

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

    seeds: tuple[int, ...] = (0, 1, 2)
    """A student each, for either half."""

    updates: int = 400
    """Of each run."""

    rate: float = 5e-4
    """The learning rate, which falls to zero."""

    def run(self) -> int:
        """Print a Markdown table of average overlaps."""
        names = open_dataset(self.dataset).names
        sequences = sorted({name.rpartition("_")[0] for name in names})
        halves = [[n for n in names if sequences.index(n.rpartition("_")[0]) % 2 == odd] for odd in (0, 1)]
        rows: dict[str, list[list[float]]] = {}
        for half, tracked in enumerate(halves):
            folder = (self.out / f"half{half}").resolve()
            folder.mkdir(parents=True, exist_ok=True)
            others = folder / "others.txt"
            others.write_text("\n".join(n for n in names if n not in tracked) + "\n")
            data = self._transfer_set(folder / "project", tracked)
            still = baselines(self.dataset, others)
            rows.setdefault("a box that stays", []).append([still["static"]])
            rows.setdefault("a box that glides on", []).append([still["gliding"]])
            for teacher in TEACHERS:
                rows.setdefault(teacher, []).append([self._evaluated(folder, teacher)])
            for seed in self.seeds:
                self._learn(folder, data, seed)
            learned = [self._student(folder, f"learned-{s}", self._run(folder, s)) for s in self.seeds]
            rows.setdefault("TRAS", []).append(learned)
            if self.first is not None:
                before = [self._student(folder, f"first-{s}", self.first / f"tras-{s}") for s in self.seeds]
                rows.setdefault("first", []).append(before)
        print(f"| AO | {len(halves[0])} clips | {len(halves[1])} clips |\n|---|---|---|")
        for name, scores in rows.items():
            print(f"| {name} | " + " | ".join(map(spread, scores)) + " |")
        return 0

    def _transfer_set(self, project: Path, tracked: list[str]) -> Path:
        """P-0.5 of all clips but those that will be tracked."""
        made = project / "data/transfer/P-0.5.h5"
        if not made.exists():
            params = own_params()
            spec = parse_spec(self.dataset)
            (project.parent / "tracked.txt").write_text("\n".join(tracked) + "\n")
            params["dataset"] = {
                "kind": spec.kind,
                "root": str(Path(spec.root).resolve()),
                "split": spec.split,
                "exclude": str(project.parent / "tracked.txt"),
            }
            params["teachers"] = {teacher: {} for teacher in TEACHERS}
            params["select"]["betas"] = [0.5]
            make(project, params)
            subprocess.run([*DVC, "repro", "pack"], cwd=project, env=ENVIRONMENT, check=True)
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
        options += ["--optimiser.updates", str(self.updates), "--recipe", "tras"]
        if self.first is not None:
            options += ["--init", str(self.first / f"tras-{seed}" / "best.safetensors")]
        learn = ["--data", str(data), *map(str, self.beside), "--out", str(run), *options]
        resume = ["--resume"] if (run / "last.pt").exists() else []
        subprocess.run([sys.executable, "-m", "trainer", *learn, *resume], check=True)
        (run / "finished").touch()

    def _student(self, folder: Path, name: str, run: Path) -> float:
        return self._evaluated(folder, f"{name}=tras", "--weights", str(run / "best.safetensors"))

    def _evaluated(self, folder: Path, tracker: str, *arguments: str) -> float:
        fixed = ["--dataset", self.dataset, "--exclude", str(folder / "others.txt"), "--format", "json"]
        out = folder / ("evaluation" if self.first is None else "evaluation-first")
        (record,) = output("trainer.evaluate", "--tracker", tracker, *fixed, "--out", str(out), *arguments)
        return float(record["ao"])


if __name__ == "__main__":
    sys.exit(run_only_command(Command, "python benchmarks/real_clips.py"))
