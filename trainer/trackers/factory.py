"""TRAS, TRAST and TRASFUST as the registry builds them: options in, a teacher out."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import FilePath

from teachers import pool
from teachers.options import TeacherConfigError
from trainer.trackers.inference import Inference
from trainer.trackers.memory import PERIOD
from trainer.trackers.tras import TrasBatch, TrasTracker
from trainer.trackers.trasfust import TrasfustTracker
from trainer.trackers.trast import TrastTracker


class Tras(TrasTracker):
    """The student alone.

    Args:
        weights: A student's file, see `trainer.student.load_student`.
        device: "cpu", "cuda", "cuda:1" ...
        period: Updates after which the LSTM returns to its first state, 0 for never.
        threads: Threads of one network call on the CPU, for the whole process; 0 leaves PyTorch's setting.

    Raises:
        DataError: If the file is missing, damaged, or holds another network.
        TeacherConfigError: If there is no such device here.
    """

    def __init__(
        self, weights: FilePath, device: str = "cpu", period: int = PERIOD, threads: int = 0
    ) -> None:
        super().__init__(Inference.load(weights, device, period, threads))

    def batch(self, slots: int) -> TrasBatch:
        """The same student for many videos at once."""
        return TrasBatch(self._inference, slots)


class Trast(TrastTracker):
    """The student, corrected by a teacher.

    Args:
        weights: As of `Tras`, like all that is not named here.
        teacher: As a string or a mapping of one, see `teachers.pool`.
        device: See `Tras`.
        period: See `Tras`.
        threads: See `Tras`.

    Raises:
        TeacherConfigError: If the teacher cannot be built, or there are several.
        DataError: As for `Tras`, and if there are no such results.
    """

    has_teachers: ClassVar[bool] = True

    def __init__(
        self,
        weights: FilePath,
        teacher: str | dict[str, dict[str, Any]],
        device: str = "cpu",
        period: int = PERIOD,
        threads: int = 0,
    ) -> None:
        built = pool.create([teacher] if isinstance(teacher, str) else teacher)
        if len(built) != 1:
            raise TeacherConfigError(f"TRAST has one teacher, not {len(built)}: {', '.join(built) or 'none'}")
        ((name, one),) = built.items()
        super().__init__(Inference.load(weights, device, period, threads), name, one)


class Trasfust(TrasfustTracker):
    """The best of a pool of teachers, as the student judges them.

    Args:
        weights: As of `Tras`, like all that is not named here.
        teachers: Strings, or a mapping as in params.yaml, see `teachers.pool`.
        device: See `Tras`.
        period: See `Tras`.
        threads: See `Tras`.

    Raises:
        TeacherConfigError: If a teacher cannot be built, or there is none.
        DataError: As for `Tras`, and if there are no such results.
    """

    has_teachers: ClassVar[bool] = True

    def __init__(
        self,
        weights: FilePath,
        teachers: list[str] | dict[str, dict[str, Any]],
        device: str = "cpu",
        period: int = PERIOD,
        threads: int = 0,
    ) -> None:
        built = pool.create(teachers)
        if not built:
            raise TeacherConfigError("TRASFUST has no teachers: name at least one")
        super().__init__(Inference.load(weights, device, period, threads), built)
