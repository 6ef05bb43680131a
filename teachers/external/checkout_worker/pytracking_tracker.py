"""A tracker of a user's checkout of pytracking, driven as its `evaluation/tracker.py` drives it.

The networks are loaded once; a tracker object is made for every video.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import checkpoints, hollow, pytracking_modules, torch_repairs
from .channel import Message
from .refusal import Refusal, import_refusal

MADE_FOR = "pytracking at commit 7eb9e74 (August 2024)"


class PyTracking:
    """Any tracker and parameter file of pytracking.

    Args:
        order: checkout, experiment (TRACKER/PARAMETERS), weights (a file, or the folder of the networks), device,
            threads, trust.

    Raises:
        Refusal: If the checkout cannot be imported, a network cannot be loaded, or there is no such device.
    """

    def __init__(self, order: Message) -> None:
        self._checkout: str = order["checkout"]
        weights: str = order["weights"]
        tracker, _, parameters = order["experiment"].partition("/")
        networks = weights if Path(weights).is_dir() else str(Path(weights).parent)
        try:
            self._prepare(networks, order["trust"])
            self._params = importlib.import_module(
                f"pytracking.parameter.{tracker}.{parameters}"
            ).parameters()
            self._kind = importlib.import_module(f"pytracking.tracker.{tracker}").get_tracker_class()
        except Exception as error:
            raise import_refusal(error, self._checkout, MADE_FOR, ("pytracking", "ltr")) from error
        settings = vars(self._params)
        settings.update(visualization=False, debug=0)
        on_gpu = order["device"] != "cpu"
        for owner in (self._params, *_parts(settings.values(), "use_gpu")):
            owner.use_gpu = on_gpu
        self.weights = [self._found(owner, weights) for owner in _parts(settings.values(), "net_path")]
        try:
            tracker_object = self._kind(self._params)
            made = dict(vars(tracker_object))
            if hasattr(tracker_object, "initialize_features"):
                tracker_object.initialize_features()
        except Exception as error:
            if checkpoints.refusals:  # the checkout may have swallowed it and raised one of its own
                raise checkpoints.refusals[-1] from error
            raise import_refusal(error, self._checkout, MADE_FOR, ("pytracking", "ltr")) from error
        self._settings = dict(settings)
        # What a tracker knows once its networks are loaded: without it, each would load them again, and draw the
        # random numbers with which networks begin.
        self._loaded = {k: v for k, v in vars(tracker_object).items() if k not in made or v is not made[k]}

    def _prepare(self, networks: str, trust: bool) -> None:
        """Repair, then import the two packages of the checkout."""
        hollow.install()
        torch_repairs.install()
        torch_repairs.import_torchvision()
        checkpoints.install(trust)
        pytracking_modules.install(networks)
        sys.path.insert(0, self._checkout)
        pytracking = importlib.import_module("pytracking")
        for name in ("TensorList", "TensorDict"):
            torch_repairs.hide_dunders(getattr(pytracking, name))
        torch_repairs.answer_on_the_cpu(importlib.import_module("pytracking.libs.dcf"), "max2d")

    def _found(self, owner: Any, weights: str) -> str:  # noqa: ANN401 - a feature or network of pytracking
        """Where a network's file is; the owner is given its absolute path."""
        wanted = owner.net_path
        given = Path(weights)
        places = [given] if given.is_file() else [given / wanted, given / Path(wanted).name]
        found = next((str(place) for place in places if place.is_file()), None)
        if found is None:
            raise Refusal(
                weights,
                f"there is no {wanted} in this folder, which {type(owner).__name__} of this tracker loads",
                "Download it (pytracking's MODEL_ZOO.md says where) and put it there, or give the file itself",
            )
        owner.net_path = found
        return found

    def start(self, image: np.ndarray[Any, Any], box: list[float]) -> None:
        """Begin a video with a new tracker object; the networks stay.

        Args:
            image: uint8 (H, W, 3), BGR.
            box: (x, y, w, h).
        """
        # Trackers write into their parameters; the next video begins with what was there at first.
        vars(self._params).clear()
        vars(self._params).update(self._settings)
        self._tracker = self._kind(self._params)
        vars(self._tracker).update(self._loaded)
        self._tracker.visdom = None
        self._previous: dict[str, Any] = self._tracker.initialize(_rgb(image), {"init_bbox": box}) or {}

    def track(self, image: np.ndarray[Any, Any]) -> Any:  # noqa: ANN401 - what the tracker calls a box
        """The target's box in the next frame."""
        self._previous = self._tracker.track(_rgb(image), {"previous_output": self._previous})
        return self._previous["target_bbox"]


def _rgb(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(image[..., ::-1])


def _parts(values: Any, name: str, depth: int = 3) -> Iterator[Any]:  # noqa: ANN401 - parameters, features, networks
    """Everything among parameters that has an attribute of its own of this name: features, and wrapped networks."""
    for value in values:
        inner = value if isinstance(value, (list, tuple)) else list(getattr(value, "__dict__", {}).values())
        if name in getattr(value, "__dict__", {}):
            yield value
        if depth and not isinstance(value, (torch.Tensor, torch.nn.Module, type)):
            yield from _parts(inner, name, depth - 1)
