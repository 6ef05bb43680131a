"""Teachers that misbehave, or behave in a way that a test knows: used as `odd_teachers:Name` in params.yaml."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import FilePath

from teachers.base import Box, Image, Task


class Still:
    """Says that the target never moves."""

    version: ClassVar[int] = 1
    needs_images: ClassVar[bool] = True

    def __init__(self, step: float = 0.0) -> None:
        self.step = step

    def start(self, image: Image | None, box: Box, task: Task) -> Box:
        assert image is not None
        self.box, self.task, self.t = box.copy(), task, 0
        return box

    def track(self, image: Image | None) -> Box:
        self.t += 1
        self.box = self.box + np.array([self.step, 0, 0, 0], np.float32)
        return self.box


class Raising(Still):
    """Breaks on the third frame of every second video."""

    def track(self, image: Image | None) -> Box:
        if self.t == 2 and int(self.task.name[-1]) % 2:
            raise ZeroDivisionError("the target has no texture")
        return super().track(image)


class NotANumber(Still):
    """Returns NaN on the second frame."""

    def track(self, image: Image | None) -> Box:
        return super().track(image) * np.float32(np.nan)


class Nothing(Still):
    """Returns None."""

    def track(self, image: Image | None) -> Box:
        return None  # type: ignore[return-value]


class Leaving(Still):
    """Ends the process, as some do where a licence is missing."""

    def track(self, image: Image | None) -> Box:
        raise SystemExit("no licence found")


class Odd(Still):
    """Complains of a file whose name is not UTF-8."""

    def track(self, image: Image | None) -> Box:
        raise ValueError("a name like \udcff.jpg")


class Wordy(Still):
    """Says which video it was, over two lines."""

    def track(self, image: Image | None) -> Box:
        raise ValueError(f"nothing to see in {self.task.name}\n  at all")


class Wanderer(Still):
    """Goes where its files are."""

    def __init__(self, log: str) -> None:
        super().__init__()
        self.away = Path(log).parent

    def track(self, image: Image | None) -> Box:
        os.chdir(self.away)
        return super().track(image)


class Kept(Still):
    """Its version is what its weights say when it is built."""

    def __init__(self, weights: FilePath) -> None:
        super().__init__()
        self.version = int(weights.read_text())  # type: ignore[misc]


class Wrapped:
    """A tracker in the style of the GOT-10k toolkit."""

    version = 1
    step = 0.0

    def init(self, image: object, box: Box) -> None:
        self.box = np.array(box, np.float32)

    def update(self, image: object) -> Box:
        self.box[0] += self.step
        return self.box


class Unready(Still):
    """Cannot be built."""

    def __init__(self) -> None:
        raise KeyError("weights")


class Distilled(Still):
    """Has an option that is called as the one of TRAST."""

    def __init__(self, teacher: str) -> None:
        super().__init__()
        self.teacher = teacher


class Counting(Still):
    """Appends the name of every video that it starts to a file."""

    def __init__(self, log: str) -> None:
        super().__init__()
        self.log = Path(log)

    def start(self, image: Image | None, box: Box, task: Task) -> Box:
        with self.log.open("a") as file:
            file.write(f"{task.name}\n")
        return super().start(image, box, task)


class Killing(Counting):
    """Kills its own process, as the out-of-memory killer does, on the n-th video that it starts."""

    def __init__(self, log: str, n: int) -> None:
        super().__init__(log)
        self.n = n

    def start(self, image: Image | None, box: Box, task: Task) -> Box:
        box = super().start(image, box, task)
        if len(self.log.read_text().splitlines()) == self.n:
            os.kill(os.getpid(), signal.SIGKILL)
        return box
