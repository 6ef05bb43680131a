"""A tracker of a checkout as a teacher: every video in the worker, every trouble with a name and a remedy."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np

from datasets.errors import DataError
from teachers.base import Box, Image, Task, TeacherError, checked_box
from teachers.external.checkout import fingerprint
from teachers.external.checkout_worker.channel import Message
from teachers.external.options import Options
from teachers.external.worker import Worker, WorkerLostError
from teachers.options import TeacherConfigError
from teachers.seeds import seed_of

Noted = TypeVar("Noted", bound=Exception)

REVISION = 1
"""Raise it when the adapters or the repairs change anybody's boxes."""

IDLE = 60.0
"""Seconds after which a worker that was never given a video leaves, and its network's memory with it: a run that only
checks its settings hands the work to other processes."""


@dataclass(frozen=True)
class Order:
    """What a worker is asked to run, and how.

    Attributes:
        use: The teacher as the user wrote it, for messages.
        options: The user's.
        sources: The checkout's folders whose code the boxes depend on.
        driver: Which class of the worker drives it (module, class), and what that is told beside the options.
    """

    use: str
    options: Options
    sources: Sequence[str]
    driver: Message

    @property
    def checkout(self) -> Path:
        """The checkout's folder."""
        return self.options.checkout.absolute()

    @property
    def message(self) -> Message:
        """What the worker is told."""
        return {
            "checkout": str(self.checkout),
            "weights": str(self.options.weights.absolute()),
            "device": self.options.device,
            "threads": self.options.threads,
            "trust": self.options.trust_weights,
            **self.driver,
        }


class External:
    """A teacher whose tracker runs in a worker.

    A tracker that raises fails its video; the worker goes on with the next one. A worker that dies or hangs fails the
    video, and the next video begins with a new worker, if the checkout is still what it was. Random generators are
    seeded before every frame (`teachers.seeds`).

    Args:
        order: What to run. The worker is started, and sets the tracker up, before this returns.

    Attributes:
        version: A number that changes with the checkout's code, the weights, and the versions of PyTorch, NumPy,
            OpenCV and torchvision in the worker's Python.

    Raises:
        DataError: If the checkout or the weights are not what they have to be.
        TeacherConfigError: If the numbers of threads or of seconds make no sense, or this system has no workers.
    """

    needs_images: ClassVar[bool] = True

    def __init__(self, order: Order) -> None:
        if sys.platform == "win32":
            raise TeacherConfigError(f"teacher {order.use!r}: workers need Linux or macOS")
        options = order.options
        if options.threads < 1 or not options.patience > 0:
            raise TeacherConfigError(
                f"teacher {order.use!r}: threads = {options.threads!r}, patience = {options.patience!r}: give a number "
                "of threads from 1, and a number of seconds above 0"
            )
        self._order = order
        self._task = Task("", 0)
        self._frame = 0
        self._end: Callable[[], object] = _nothing
        self.version = self._version(self._set_up())

    def _version(self, ready: Message) -> int:
        order = self._order
        versions = [f"{name} {version}" for name, version in sorted(ready["ready"].items())]
        files = [Path(path) for path in ready["weights"]]
        return fingerprint(order.checkout, order.sources, files, [*versions, f"adapter {REVISION}"])

    def start(self, image: Image | None, box: Box, task: Task) -> Box:
        """Begin a video, in a new worker if the last one is gone."""
        self._task, self._frame = task, 0
        first = [float(value) for value in box]
        if not self._worker.alive:
            self._set_up_again()
        try:
            return self._boxed(self._asked(image, {"box": first}))
        except WorkerLostError as lost:
            if not lost.left:
                raise self._failed(lost.what, lost.last_words) from None
        self._set_up_again()  # it left for want of work while it was being asked
        try:
            return self._boxed(self._asked(image, {"box": first}))
        except WorkerLostError as lost:
            raise self._failed(lost.what, lost.last_words) from None

    def track(self, image: Image | None) -> Box:
        """Return the tracker's box in the next frame."""
        self._frame += 1
        try:
            return self._boxed(self._asked(image, {}))
        except WorkerLostError as lost:
            raise self._failed(lost.what, lost.last_words) from None

    def _set_up_again(self) -> None:
        """Start another worker, for the same tracker."""
        if self._version(self._set_up()) != self.version:
            self._end()  # the next video is to find none, and to be refused like this one
            order = self._order
            raise DataError(
                order.checkout,
                f"its code or the weights changed since {order.use} was set up, or the libraries of its Python did",
                "Run the same command again when nothing changes any more",
            )

    def _set_up(self) -> Message:
        """Start a worker and have it set the tracker up."""
        order = self._order
        self._end()
        python = order.options.python or Path(sys.executable)
        try:
            self._worker = Worker(python, order.options.threads, order.options.patience)
        except OSError as error:
            raise DataError(
                python, f"cannot be started ({error})", "Give a Python interpreter as python"
            ) from error
        self._end = weakref.finalize(self, self._worker.close)
        try:
            answer = self._worker.ask({**order.message, "frames": self._worker.frames, "idle": IDLE})
        except WorkerLostError as lost:
            problem = f"the process for {order.use}, with {python}, {lost.what} while it was being set up"
            said = lost.last_words.splitlines()
            remedy = (
                f"Its last words: {said[-1]}"
                if said
                else "It said nothing; try it with the checkout's own scripts"
            )
            raise self._noted(DataError(order.checkout, problem, remedy), "") from None
        if "ready" in answer:
            return answer
        refused = answer.get("refused") or {
            "path": order.checkout,
            "problem": f"{order.use} could not be set up: {answer['error']}",
            "remedy": "Mend the checkout",
        }
        raise self._noted(DataError(**refused), answer["traceback"])

    def _asked(self, image: Image | None, message: Mapping[str, object]) -> Message:
        if image is None:
            raise TeacherError(f"{self._where}: this tracker needs the images")
        seed = seed_of(self._task.name, self._frame)
        return self._worker.ask({**message, "seed": seed}, np.asarray(image))

    def _boxed(self, answer: Message) -> Box:
        if "error" in answer:
            raise self._failed(answer["error"], answer["traceback"])
        try:
            return checked_box(answer["box"], self._where)
        except TeacherError as error:
            raise self._failed(str(error).removeprefix(f"{self._where}: "), "") from None

    @property
    def _where(self) -> str:
        return f"video {self._task.name}, frame {self._frame}"

    def _failed(self, problem: str, account: str) -> TeacherError:
        order = self._order
        message = (
            f"{self._where}: {order.use} of {order.checkout}: {problem}. Run this video with the checkout's own "
            "scripts to see whether it is the tracker's fault"
        )
        return self._noted(TeacherError(message), account)

    def _noted(self, error: Noted, account: str) -> Noted:
        """Add to an error what the worker said: its traceback, and the end of its stderr."""
        said = self._worker.last_words
        if account.strip():
            error.add_note(f"In the tracker's process:\n{account.strip()}")
        if said and said != account.strip():
            error.add_note(f"The end of its stderr:\n{said}")
        return error


def _nothing() -> None:
    """There is no worker to end yet."""
