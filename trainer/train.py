"""A run: from transfer sets to a student, with validation, checkpoints and an end (Sections 3.3 and 4.1)."""

from __future__ import annotations

import signal
import time
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import torch

from datasets.claim import claimed
from datasets.command_line import counted
from datasets.errors import DataError, DataWarning
from datasets.spec import parse_spec
from datasets.transfer.seal import read_seal
from trainer.checkpoint import NAME, Checkpoint, Standing, fitting, load_checkpoint
from trainer.episodes import Reader
from trainer.first_student import first_student
from trainer.held_out import Score
from trainer.interactions import Interactions, joined
from trainer.learner import Learner
from trainer.logs import Logs
from trainer.options import RECIPES, TrainOptions
from trainer.picking import HeldOutTracks
from trainer.processes import Processes, is_first, join
from trainer.report import Report
from trainer.saved_options import as_json, resumed, write_options
from trainer.student import save_student
from trainer.validation import HeldOut, Validation
from trainer.windows import Windows, open_windows, split

OPTIONS = "options.json"
"""What the run was asked for, for people and other programs."""

BEST = "best.safetensors"
"""The weights that validated best; the last ones where nothing is held out."""

LAST = "last.safetensors"
"""The weights of the last checkpoint."""

Ending = Literal["updates", "patience", "minutes", "interrupted"]


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        ending: All updates were made, validation stopped improving, the time was over, or a signal came.
        updates: Made in all.
        best: The best validation, or None where there was none.
        best_update: After how many updates.
    """

    ending: Ending
    updates: int
    best: float | None
    best_update: int


def train(
    data: Sequence[Path],
    out: Path,
    options: TrainOptions,
    resume: bool = False,
    named: Collection[str] = (),
) -> Outcome:
    """Learn a student, or go on learning it.

    Under torchrun every process calls this; the first one writes.

    Args:
        data: Transfer sets, learnt from as one.
        out: The run's folder, made when all that is read was found to be good.
        options: Of the run; of a resumed one, those that may change.
        resume: Continue from the folder's checkpoint.
        named: Options, such as `optimiser.updates`, that count as given to a resumed run even at their defaults.

    Raises:
        ValueError: If an option is wrong, the folder holds a run that is not to be resumed, or learning diverges.
        DataError: If a set, a dataset, a checkpoint or weights are not what they have to be, or another process is
            learning into the folder.
    """
    if out.exists() and not out.is_dir():
        raise DataError(out, "is no folder", "Name a folder for the run, which is made where there is none")
    with ExitStack() as stack:
        if resume and out.is_dir() and is_first():
            # Before its checkpoint is read: a run that is still there may yet save a later one.
            stack.enter_context(claimed(out))
        saved = load_checkpoint(out) if resume else None
        if saved is not None:
            options = resumed(saved.options, options, named)
            _best_is_there(out, saved)
        else:
            _unused(out)
        options = _at_its_place(options)
        if options.machine.threads is not None:
            torch.set_num_threads(options.machine.threads)
        processes = join(options.machine.device)
        stack.callback(processes.leave)
        windows = open_windows(data)
        stack.callback(windows.close)
        sets = [read_seal(path).fingerprint for path in data]
        if saved is not None and saved.sets != sets:
            raise ValueError(
                f"{out} was learnt from other transfer sets, or in another order: of the fingerprints "
                f"{', '.join(saved.sets)}, not {', '.join(sets)}. Name those (`python -m datasets info FILE.h5`)"
            )
        learn, test = split(windows, 0.0 if options.validation.videos else options.validation.share)
        held_out = _held_out(out, options, learn, test, saved, processes.first)
        run = _Run(out, options, sets, learn, held_out, processes, saved, stack)
        return run.go()


def _unused(out: Path) -> None:
    """See that a new run meets nothing of another in its folder."""
    if (out / NAME).exists():
        raise ValueError(f"{out} holds a run already: continue it with --resume, or name another folder")
    if (out / BEST).exists():
        # They would pass for this run's own until its first validation, which would then replace them.
        problem = "there are weights, and no checkpoint to go on from"
        raise DataError(out / BEST, problem, "Name another folder for the run, or move them away")


def _best_is_there(out: Path, saved: Checkpoint) -> None:
    """See that the weights that validated best are there, unless they are the checkpoint's own, to be written again."""
    best = saved.standing.best_update
    with fitting(out / NAME):
        own = saved.standing.best is None or best == saved.learner["updates"]
    if not own and not (out / BEST).is_file():
        problem = (
            f"there is no such file, and the weights of update {best}, the best so far, are nowhere else"
        )
        remedy = f"Put it back, or begin a new run in another folder with --init {out / LAST}"
        raise DataError(out / BEST, problem, remedy)


def _held_out(
    out: Path, options: TrainOptions, learn: Windows, test: Windows, saved: Checkpoint | None, first: bool
) -> Validation:
    """What the run validates on: what it did so far, and, but for a warning, nothing that it learns from."""
    kind = HeldOut if RECIPES[options.recipe].tracks else HeldOutTracks
    held_out = kind(options, test)
    fingerprint = held_out.fingerprint  # taken once, at the start: every file of the videos is looked at
    if saved is not None and not saved.held_out and fingerprint:
        raise ValueError(f"{out} is validated on windows of its sets: leave validation.videos away")
    if saved is not None and saved.held_out != fingerprint:
        raise ValueError(
            f"{out} was validated on other videos than validation.videos {options.validation.videos}: name those, "
            "wherever they lie now, for its best weights were chosen by them"
        )
    if first and (shared := held_out.learnt_from(learn)):
        shown = ", ".join(shared[:3]) + (", ..." if len(shared) > 3 else "")
        told = (
            f"validation.videos {options.validation.videos}: windows of {counted(len(shared), 'video')} of them are "
            f"learnt from ({shown}). Scores on these say little: name other videos, or a set without them"
        )
        warnings.warn(told, DataWarning, stacklevel=3)
    return held_out


def _at_its_place(options: TrainOptions) -> TrainOptions:
    """The options with the whole path of the validation videos, so that a run can be resumed from any folder."""
    if options.validation.videos is None:
        return options
    spec = parse_spec(options.validation.videos)
    videos = str(replace(spec, root=spec.root.absolute()))
    return replace(options, validation=replace(options.validation, videos=videos))


class _Run:
    """The parts of a run, put together."""

    def __init__(
        self,
        out: Path,
        options: TrainOptions,
        sets: list[str],
        windows: Windows,
        held_out: Validation,
        processes: Processes,
        saved: Checkpoint | None,
        stack: ExitStack,
    ) -> None:
        self._out = out
        self._options = options
        self._sets = sets
        self._held_out = held_out
        self._processes = processes
        self._standing = saved.standing if saved else Standing()
        self._resumed = saved is not None
        share, rest = divmod(options.students, processes.count)
        self._recipe = RECIPES[options.recipe]
        roles = len(self._recipe.roles)
        if rest or share % roles:
            raise ValueError(
                f"{options.students} students cannot be shared by {processes.count} processes: "
                f"each needs a multiple of {roles}"
            )
        numbers = list(range(processes.rank * share, (processes.rank + 1) * share))
        student = first_student(options, fresh=saved is None).to(processes.device)
        student = student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stub
        reader = stack.enter_context(Reader(options, windows, processes.device))
        self._interactions = Interactions(
            options,
            reader,
            numbers,
            windows.length,
            student.options.width,
            [self._recipe.grows(n) for n in numbers],
            processes.device,
        )
        self._learner = Learner(student, self._interactions, numbers, options, processes)
        if saved is None:
            self._interactions.begin()
        else:
            with fitting(out / NAME):
                self._learner.restore(saved.learner)
                self._interactions.restore(saved.interactions)
        # Of an unshared or slow file system they would learn together from different weights, and nothing would tell.
        updates = self._learner.updates
        if processes.any(processes.agree(updates) != updates):
            problem = (
                f"the processes read different checkpoints, process {processes.rank} that of update {updates}"
            )
            raise DataError(
                out / NAME, problem, "See that all read one folder, and that no other run writes there"
            )
        if processes.first:
            if saved is None:
                stack.enter_context(claimed(out))
            write_options(out / OPTIONS, options, sets)
            self._logs = Logs(out, options.log, self._learner.updates, as_json(options))
            stack.callback(self._logs.close)
        self._report = stack.enter_context(
            Report(options, len(windows), len(held_out), held_out.what, processes.first)
        )

    def go(self) -> Outcome:
        """Make updates until the run ends."""
        o, learner = self._options, self._learner
        if self._processes.first and self._resumed:
            # A kill may have come after the checkpoint, and before its weights.
            self._save_weights(
                self._standing.best is not None and self._standing.best_update == learner.updates
            )
        if self._processes.first and len(self._held_out):
            self._report.baselines(self._held_out.baselines())
        began = time.monotonic()
        ending: Ending | None = None
        if learner.updates >= o.optimiser.updates:
            ending = "updates"
        elif self._out_of_patience():
            ending = "patience"
        with _signals() as caught:
            while ending is None:
                over = o.optimiser.minutes is not None and time.monotonic() - began > o.optimiser.minutes * 60
                stop = learner.update(bool(caught) or over)
                if learner.updates >= o.optimiser.updates:
                    ending = "updates"
                elif stop:
                    ending = "interrupted" if self._processes.any(bool(caught)) else "minutes"
                self._report.advance(learner.updates)
                if learner.updates % o.log.every == 0 or ending == "updates":
                    self._write(learner.means())
                first = best = False
                if len(self._held_out) and learner.updates % o.validation.every == 0:
                    first = self._standing.best is None
                    best = self._validate()
                    if self._out_of_patience():
                        ending = ending or "patience"
                # With best weights alone a folder could neither go on nor begin anew.
                if ending or first or learner.updates % o.log.checkpoint == 0:
                    self._save(best)
                elif best and self._processes.first:
                    self._save_student(BEST)
            # A run too short for a validation has one at its end, so that it leaves best weights.
            if ending == "updates" and len(self._held_out) and self._standing.best is None:
                self._save(self._validate())
        outcome = Outcome(ending, learner.updates, self._standing.best, self._standing.best_update)
        self._report.end(_told(outcome, o, len(self._held_out)))
        return outcome

    def _out_of_patience(self) -> bool:
        patience = self._options.validation.patience
        return patience is not None and self._standing.since >= patience

    def _write(self, values: dict[str, float]) -> None:
        if self._processes.first:
            self._logs.write(self._learner.updates, self._report.line(self._learner.updates, values))

    def _validate(self) -> bool:
        """The first process validates, the others wait; all of them keep the standing. Tells whether it is the best."""
        found: Score | None = None
        learner = self._learner
        began = time.monotonic()
        learner.check()
        if self._processes.first:
            found = self._held_out.validate(learner.result, self._processes.device)
        found = self._processes.agree(found)
        assert found is not None
        best = self._standing.judge(found.ao, learner.updates)
        if self._processes.first:
            self._report.validation(found, best, time.monotonic() - began)
            self._logs.write(learner.updates, {"validation/ao": found.ao, "validation/sr50": found.sr50})
        return best

    def _save(self, best: bool) -> None:
        """Write a checkpoint; of a best validation just now, its weights too."""
        self._learner.check()
        interactions = self._processes.gather(self._interactions.state())
        state = self._learner.state()
        if self._processes.first:
            self._logs.flush()
            Checkpoint(
                self._options,
                self._sets,
                state,
                joined(interactions),
                self._held_out.fingerprint,
                self._standing,
            ).save(self._out)
            # After it, for `--resume` writes them again from it; without it they would keep a new run out.
            self._save_weights(best)

    def _save_weights(self, best: bool) -> None:
        self._save_student(LAST)
        if best or not len(self._held_out):  # where nothing is held out, nothing chooses others
            self._save_student(BEST)

    def _save_student(self, name: str) -> None:
        about = {
            "recipe": self._options.recipe,
            "seed": self._options.seed,
            "updates": self._learner.updates,
            "best validation": self._standing.best,
        }
        save_student(self._out / name, self._learner.result, about)


def _told(outcome: Outcome, options: TrainOptions, held_out: int) -> str:
    """How a run ended, and what can be done with it."""
    more = (
        "--optimiser.updates"
        if options.optimiser.decay == "none"
        else "a new run and --init, for the rate is 0"
    )
    how = {
        "updates": f"all updates are made; for more, {more}",
        "patience": "validation improves no more; for more, --validation.patience",
        "minutes": "the time is over; --resume goes on",
        "interrupted": "interrupted; --resume goes on",
    }[outcome.ending]
    if outcome.best is not None:
        kept = f"{BEST} is of update {outcome.best_update}, AO {outcome.best:.3f}"
    else:
        kept = f"nothing was validated yet, so there is no {BEST}" if held_out else f"{BEST} is the last"
    return f"ended after update {outcome.updates}: {how}; {kept}"


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of dying of them; the second one counts as usual."""
    caught: list[int] = []
    before: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        signal.signal(number, before[number])

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.getsignal(number)
            signal.signal(number, note)
        yield caught
    finally:
        for caught_number, handler in before.items():
            signal.signal(caught_number, handler)
