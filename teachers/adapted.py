"""Trackers in the style of the GOT-10k toolkit as teachers: `init(image, box)` and `update(image) -> box`.

That toolkit hands a tracker PIL images in RGB and boxes as NumPy arrays (x, y, w, h), and so does this
adapter, with 0-based boxes; `images` changes what an image is for a tracker that expects something else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, Literal

import numpy as np

from teachers.base import Box, Image, Task, TeacherError
from teachers.options import Factory, TeacherConfigError, signature_of
from teachers.seeds import seed_of, seed_python

Images = Literal["pil", "rgb", "bgr"]
"""What the tracker sees: a PIL image in RGB, or a uint8 (H, W, 3) array in RGB or BGR."""


class Adapted:
    """A teacher made of any object with `init(image, box)` and `update(image)`.

    The global generators of `random`, NumPy and PyTorch are seeded before every call, see `teachers.seeds`.

    Args:
        tracker: The object; it is used for one video after the other.
        images: What it is given as an image.
    """

    version: int = 1
    needs_images: ClassVar[bool] = True

    def __init__(self, tracker: Any, images: Images = "pil") -> None:  # noqa: ANN401 - a third party's tracker
        self.tracker = tracker
        self._images = images
        self._task = Task("", 0)
        self._frame = 0

    def start(self, image: Image | None, box: Box, task: Task) -> Box:
        """Hand the tracker frame 0 and the target's box, a float64 array of shape (4,)."""
        self._task, self._frame = task, 0
        seed_python(seed_of(task.name, 0))
        self.tracker.init(self._seen(image), np.asarray(box, dtype=np.float64))
        return np.asarray(box, dtype=np.float32)

    def track(self, image: Image | None) -> Box:
        """Return what the tracker answers, as float32."""
        self._frame += 1
        seed_python(seed_of(self._task.name, self._frame))
        answer = self.tracker.update(self._seen(image))
        with suppress(TypeError, ValueError), np.errstate(over="ignore"):
            if answer is not None:  # NumPy would make a number of it
                return np.array(answer, dtype=np.float32)
        where = f"video {self._task.name}, frame {self._frame}"
        raise TeacherError(f"{where}: the tracker returned {answer!r:.200}, not a box (x, y, w, h)")

    def _seen(self, image: Image | None) -> Any:  # noqa: ANN401 - a PIL image or an array
        if image is None:
            raise TeacherError(f"video {self._task.name}: this tracker needs the images")
        if self._images == "bgr":
            return image
        rgb = np.ascontiguousarray(image[..., ::-1])
        if self._images == "rgb":
            return rgb
        from PIL import Image as PillowImage  # only trackers of that toolkit want one

        return PillowImage.fromarray(rgb)


def factory(target: Callable[..., Any], use: str) -> Factory:
    """Return what builds a teacher from a callable: the callable itself, or a wrapper around what it returns.

    Args:
        target: A class or function; what it returns has either `start` and `track`, or `init` and `update`.
        use: How the user wrote it, for messages.

    Returns:
        A callable with the options of `target`, an attribute `version` (that of `target`, or None: what it makes says
        it, or is version 1), and for a tracker to be wrapped the option `images` unless `target` has one of that
        name itself.
    """
    if not callable(target) or (hasattr(target, "start") and hasattr(target, "track")):
        return target

    def build(**options: Any) -> Any:  # noqa: ANN401 - a teacher, which the registry checks
        images: Images = options.pop("images", "pil") if adds_images else "pil"
        made = target(**options)
        if hasattr(made, "start") and hasattr(made, "track"):
            return made
        if not (hasattr(made, "init") and hasattr(made, "update")):
            raise TeacherConfigError(
                f"{use} returned a {type(made).__name__}, which has neither start and track nor init and "
                "update"
            )
        adapted = Adapted(made, images)
        adapted.version = getattr(made, "version", Adapted.version)
        return adapted

    signature = signature_of(use, target)
    adds_images = "images" not in signature.parameters
    parameters = list(signature.parameters.values())
    if adds_images:
        rest = [p for p in parameters if p.kind is p.VAR_KEYWORD]
        own = inspect.Parameter("images", inspect.Parameter.KEYWORD_ONLY, annotation=Images, default="pil")
        parameters = [*(p for p in parameters if p not in rest), own, *rest]
    build.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what `inspect.signature` reads
    build.__doc__ = target.__doc__
    if hasattr(target, "unavailable"):
        build.unavailable = target.unavailable  # type: ignore[attr-defined]  # what the registry asks
    build.version = getattr(target, "version", None)  # type: ignore[attr-defined]  # see `registry.version_of`
    return build
