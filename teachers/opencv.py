"""The trackers of OpenCV: whichever the installed cv2 has (4.10 to 5.0 were tried).

Their options are those of OpenCV's own parameter records, read from the installed version with their types
and defaults. What is OpenCV's, and not decided here:

- Except for the `legacy` ones, they take and return **integer** boxes: the initial box is rounded, x, y, w
  and h each by itself (so that a fixed size stays within half a pixel); no track can be better than that.
- A tracker that loses its target answers "no", often with an empty box, and most never find it again. OpenCV
  has no box to give then; **the last box is repeated**, as the benchmarks' toolkits do.
- MIL, TLD and Boosting draw random numbers from generators that the process shares; they are seeded before
  every frame (`teachers.seeds`), without which MIL's and TLD's boxes differ from run to run.

A tracker is created anew for every video. The boxes do not depend on `cv2.setNumThreads`.
"""

from __future__ import annotations

import inspect
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import numpy as np

from datasets.boxes import is_valid
from teachers.base import Box, Image, Task, TeacherError
from teachers.opencv_options import created, find, model_files, parameter, read_defaults
from teachers.options import TeacherConfigError
from teachers.seeds import seed_of, seed_opencv

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REVISION = 1
"""Raise it when this module changes anybody's boxes; OpenCV's own version counts besides."""

LEAST_HAAR_FEATURE = 9
"""Pixels of the smallest Haar feature that OpenCV is content with."""

_C_RAND = threading.Lock()
_LOG_LEVEL = threading.Lock()


def _version() -> int:
    major, minor, patch = (int(part) for part in cv2.__version__.split("-")[0].split(".")[:3])
    return (major * 10_000 + minor * 100 + patch) * 100 + REVISION


class OpenCVTeacher:
    """A tracker of OpenCV; a subclass says which.

    Attributes:
        constructor: Name of its class in cv2, `TrackerCSRT` or `legacy.TrackerMOSSE`.
        draws: Whether it draws random numbers.
        haar: Whether it draws Haar features: it does so until one fits, for ever in a target too small for any.
        version: OpenCV's version and this module's revision: 5.0.0 and 1 make 5000001.
    """

    version: ClassVar[int] = _version()
    needs_images: ClassVar[bool] = True
    constructor: ClassVar[str]
    draws: ClassVar[bool] = False
    haar: ClassVar[bool] = False
    _defaults: ClassVar[Mapping[str, Any]]

    def __init_subclass__(cls) -> None:
        cls._defaults = {} if cls.unavailable() else read_defaults(cls.constructor)
        cls.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what `inspect.signature` looks for
            [parameter(name, default) for name, default in cls._defaults.items()]
        )

    @classmethod
    def unavailable(cls) -> str | None:
        """Why this tracker cannot run here, or None."""
        if find(f"{cls.constructor}_create") is not None:
            return None
        return f"OpenCV {cv2.__version__} as installed has no cv2.{cls.constructor}"

    def __init__(self, **options: object) -> None:
        if reason := self.unavailable():
            raise TeacherConfigError(reason)
        self._options = {
            name: str(v) if name in model_files(self._defaults) else v for name, v in options.items()
        }
        try:
            self._tracker: Any = self._quietly_created()  # so that a faulty network fails here, not per video
        except cv2.error as error:
            raise TeacherConfigError(f"OpenCV cannot use {options}: {_one_line(error)}") from error
        self._last: Box = np.zeros(4, np.float32)
        self._task = Task("", 0)
        self._frame = 0

    def start(self, image: Image | None, box: Box, task: Task) -> Box:
        """Learn the target; see `teachers.base.Teacher.start`.

        Raises:
            TeacherError: If OpenCV refuses the box, such as one outside the image, or the options, or would look
                for a feature in it for ever.
        """
        self._task, self._frame, self._last = task, 0, np.asarray(box, dtype=np.float32).copy()
        legacy = self.constructor.startswith("legacy.")
        given = tuple(float(v) if legacy else round(float(v)) for v in box)
        given = (*given[:2], *(max(v, 1) for v in given[2:]))
        if self.haar and (largest := largest_haar_feature(int(given[2]), int(given[3]))) < LEAST_HAAR_FEATURE:
            raise TeacherError(
                f"video {task.name}: the target {given} is too small: the largest Haar feature in it has {largest} "
                f"pixels, and OpenCV draws until it has one of {LEAST_HAAR_FEATURE}, which would take for ever"
            )
        try:
            self._tracker = self._quietly_created()
            answer = self._seeded(lambda: self._tracker.init(image, given))
        except cv2.error as error:
            raise TeacherError(
                f"video {task.name}: OpenCV refused the target {given}: {_one_line(error)}"
            ) from error
        if answer is False:
            raise TeacherError(f"video {task.name}: OpenCV could not start at the target {given}")
        return self._last

    def track(self, image: Image | None) -> Box:
        """Return the box in the next frame, or the last one again where OpenCV has none.

        Raises:
            TeacherError: If OpenCV raises.
        """
        self._frame += 1
        try:
            found, box = self._seeded(lambda: self._tracker.update(image))
        except cv2.error as error:
            raise TeacherError(f"video {self._task.name}, frame {self._frame}: {_one_line(error)}") from error
        if found and is_valid(box):
            self._last = np.asarray(box, dtype=np.float32)
        return self._last

    def _seeded(self, call: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever cv2 returns
        # C's `rand` is one generator for all threads: no other tracker may draw until this call ends.
        with _C_RAND if self.draws else nullcontext():
            if self.draws:
                seed_opencv(seed_of(self._task.name, self._frame))
            return call()

    def _quietly_created(self) -> Any:  # noqa: ANN401 - cv2 has no types for its trackers
        # OpenCV 5 warns, for every network loaded, about a target that the tracker itself asked for.
        logging = getattr(cv2.utils, "logging", None)
        if logging is None:
            return created(self.constructor, self._defaults, self._options)
        with _LOG_LEVEL:
            level = logging.getLogLevel()
            logging.setLogLevel(min(level, logging.LOG_LEVEL_ERROR))
            try:
                return created(self.constructor, self._defaults, self._options)
            finally:
                logging.setLogLevel(level)


class Csrt(OpenCVTeacher):
    """Discriminative correlation filter with channel and spatial reliability (CSR-DCF)."""

    constructor = "TrackerCSRT"


class OpenCVKcf(OpenCVTeacher):
    """OpenCV's kernelized correlation filter; detect_thresh 0 makes it answer on every frame."""

    constructor = "TrackerKCF"


class Mil(OpenCVTeacher):
    """Online boosting of Haar features with multiple instance learning."""

    constructor = "TrackerMIL"
    draws = True
    haar = True


class Nano(OpenCVTeacher):
    """NanoTrack, a light Siamese network."""

    constructor = "TrackerNano"


class Vit(OpenCVTeacher):
    """VitTrack, a light vision transformer."""

    constructor = "TrackerVit"


class DaSiamRpn(OpenCVTeacher):
    """DaSiamRPN, a distractor-aware Siamese region-proposal network."""

    constructor = "TrackerDaSiamRPN"


class Goturn(OpenCVTeacher):
    """GOTURN, regression by a deep network; OpenCV 4 only."""

    constructor = "TrackerGOTURN"


class Mosse(OpenCVTeacher):
    """Minimum output sum of squared error: the first and fastest correlation filter."""

    constructor = "legacy.TrackerMOSSE"


class MedianFlow(OpenCVTeacher):
    """Forward-backward optical flow of a grid of points."""

    constructor = "legacy.TrackerMedianFlow"


class Tld(OpenCVTeacher):
    """Tracking, learning and detection."""

    constructor = "legacy.TrackerTLD"
    draws = True


class Boosting(OpenCVTeacher):
    """Online AdaBoost on Haar features."""

    constructor = "legacy.TrackerBoosting"
    draws = True
    haar = True


def largest_haar_feature(width: int, height: int) -> int:
    """Pixels of the largest Haar feature that OpenCV can draw in a target of whole pixels.

    Its five kinds are 1 x 2, 2 x 1, 1 x 4, 4 x 1 and 2 x 2 equal rectangles, which may not touch the target's right
    and bottom border (OpenCV's `generateRandomFeature`; tried with 5.0 on the sizes on both sides of the limit).
    """
    free = width - 1, height - 1
    kinds = ((1, 2), (2, 1), (1, 4), (4, 1), (2, 2))
    return max(free[0] // across * across * (free[1] // down * down) for across, down in kinds)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
