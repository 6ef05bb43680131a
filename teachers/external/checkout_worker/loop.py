"""The life of a worker: take over the pipes, set up the tracker, answer frame after frame, end with the project."""

from __future__ import annotations

import faulthandler
import importlib
import mmap
import os
import queue
import random
import signal
import sys
import threading
import traceback
from typing import Any, BinaryIO, NoReturn

from .channel import Message, receive, send
from .refusal import Refusal, told


def main() -> None:
    """Serve the process that started this one, until it is gone."""
    faulthandler.enable()  # a crash in native code says where, on stderr
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the project, and the project this process
    requests, answers = _pipes()
    messages: queue.Queue[Message] = queue.Queue()
    threading.Thread(target=_listen, args=(requests, messages), daemon=True).start()
    order = messages.get()
    try:
        driver = _driver(order)
        send(answers, {"ready": _versions(), "weights": driver.weights})
    except Refusal as refusal:
        send(answers, refusal.message())
        os._exit(1)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the user is to see it
        send(answers, _failure(error, order["checkout"]))
        os._exit(1)
    frames = _Frames(order["frames"])
    try:
        message = messages.get(timeout=order["idle"])
    except queue.Empty:  # a run that only checks its settings, and has the work done by other processes
        os._exit(0)
    while True:
        send(answers, _answer(driver, message, frames, order["checkout"]))
        message = messages.get()


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipes to the project, which standard input and output no longer are: trackers print."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _listen(requests: BinaryIO, messages: queue.Queue[Message]) -> None:
    """Pass messages on; when the project is gone there is nobody left to answer, whatever the tracker is doing."""
    while True:
        message = receive(requests)
        if message is None:
            _end_group()
        messages.put(message)


def _end_group() -> NoReturn:
    """End this process and all that the tracker started: nobody else is left to do it."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def _driver(order: Message) -> Any:  # noqa: ANN401 - PyTracking or PySot
    """Import what drives this project's trackers, and set it up."""
    try:
        repairs = importlib.import_module(".torch_repairs", __package__)
        module = importlib.import_module(order["module"], __package__)
    except ImportError as error:
        raise Refusal(
            sys.executable,
            f"this Python cannot run it ({told(error, order['checkout'])})",
            f"`{sys.executable} -m pip install torch numpy`, or give the option python: the interpreter of an "
            "environment in which the checkout works",
        ) from error
    try:
        repairs.use_device(order["device"], order["threads"])
    except (RuntimeError, AssertionError) as error:
        raise Refusal(
            sys.executable,
            f"device = {order['device']!r} cannot be used here: {str(error).splitlines()[0]}",
            "Give the option device: cpu, cuda, or cuda:1 and so on",
        ) from error
    return getattr(module, order["class"])(order)


def _versions() -> Message:
    """What the boxes depend on beside the checkout."""
    names = ("numpy", "torch", "torchvision", "cv2", "scipy")
    return {
        name: str(sys.modules[name].__version__)
        for name in names
        if hasattr(sys.modules.get(name), "__version__")
    }


class _Frames:
    """The frames, in memory that the project writes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)

    def read(self, shape: list[int]) -> Any:  # noqa: ANN401 - a NumPy array
        """A copy of the frame: a tracker may keep it."""
        import numpy as np  # it is there: the drivers have imported it

        count = shape[0] * shape[1] * shape[2]
        if count > len(self._map):
            self._map.close()
            self._map = mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ)
        return np.frombuffer(self._map, np.uint8, count).reshape(shape).copy()


def _answer(driver: Any, message: Message, frames: _Frames, checkout: str) -> Message:  # noqa: ANN401 - as above
    """Do one frame."""
    try:
        _seed(message["seed"])
        image = frames.read(message["shape"])
        if "box" in message:
            driver.start(image, message["box"])
            return {"box": message["box"]}
        return _boxed(driver.track(image))
    except BaseException as error:  # noqa: BLE001 - this video fails, and the process goes on
        return _failure(error, checkout)


def _boxed(found: Any) -> Message:  # noqa: ANN401 - whatever the tracker returned
    try:
        return {"box": [float(value) for value in found]}
    except (TypeError, ValueError):
        return {
            "error": f"the tracker returned {found!r:.200}, not four numbers (x, y, w, h)",
            "traceback": "",
        }


def _failure(error: BaseException, checkout: str) -> Message:
    return {"error": told(error, checkout), "traceback": traceback.format_exc()}


def _seed(seed: int) -> None:
    """Seed what trackers draw from, before every frame: `teachers.seeds` says why, and is out of reach here."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the trackers of others use the global generator
    torch.manual_seed(seed)
