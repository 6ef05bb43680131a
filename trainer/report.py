"""What a run shows while it goes on: a progress bar on a terminal, and a line per report."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from datasets.command_line import progress
from trainer.held_out import Score
from trainer.options import TrainOptions

_SHOWN = {
    "loss/imitation": "imitation",
    "loss/policy": "policy",
    "loss/value": "value",
    "reward/imitation": "reward",
    "reward/autonomous": "autonomous reward",
    "reward/teacher": "teacher's",
    "horizon": "horizon",
}


class Report:
    """Speaks for the first process; silent in the others.

    Args:
        options: Of the run.
        windows: How many windows there are to learn from.
        held_out: How many sequences are held out.
        what: Of which kind.
        speaks: This is the first process.
    """

    def __init__(self, options: TrainOptions, windows: int, held_out: int, what: str, speaks: bool) -> None:
        self._options = options
        self._speaks = speaks
        self._bar = progress("updates")
        self._since = (time.monotonic(), -1)
        self._paused = 0.0
        self._task = self._bar.add_task(options.recipe, total=options.optimiser.updates)
        self._say(
            f"{options.recipe}: {options.students} students, {windows} windows to learn from, "
            f"{held_out} {what} held out"
        )

    def _say(self, text: str) -> None:
        if self._speaks:
            self._bar.console.print(text, highlight=False, soft_wrap=True)

    def advance(self, updates: int) -> None:
        """Move the bar."""
        if self._since[1] < 0:  # the first update compiles and fills caches: it does not count
            self._since = (time.monotonic(), updates)
        if self._speaks:
            self._bar.update(self._task, completed=updates)

    def line(self, updates: int, values: dict[str, float]) -> dict[str, float]:
        """Show values; returns them with the speed since the last line, in students' frames per second."""
        now = time.monotonic()
        passed = now - self._since[0] - self._paused
        frames = (updates - self._since[1]) * self._options.students * self._options.segment
        self._since, self._paused = (now, updates), 0.0
        values = {**values, "speed": frames / passed} if passed > 0 and frames else values
        parts = [f"{name} {values[key]:.3g}" for key, name in _SHOWN.items() if key in values]
        self._say(f"update {updates}: {values.get('speed', 0):.0f} frames/s, {', '.join(parts)}")
        return values

    def baselines(self, scores: dict[str, Score]) -> None:
        """Show what a validation is to be compared with."""
        self._say(
            "on what is held out: "
            + ", ".join(f"{name} AO {s.ao:.3f} SR {s.sr50:.3f}" for name, s in scores.items())
        )

    def validation(self, found: Score, best: bool, seconds: float) -> None:
        """Show a validation; the seconds that it took do not count in the speed."""
        self._paused += seconds
        star = ", the best so far" if best else ""
        self._say(f"validation: AO {found.ao:.3f}, SR {found.sr50:.3f} over {found.frames} frames{star}")

    def end(self, how: str) -> None:
        """Show how the run ended."""
        self._say(how)

    def __enter__(self) -> Self:
        if self._speaks:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
