"""Checkpoints: reading them without running what they hold, and fitting them to a network.

Three kinds of file are read: PyTorch's (zip, and the older stream that most published trackers still are),
and safetensors. Nothing is ever unpickled but tensors and plain containers (`torch.load(weights_only=True)`),
so a checkpoint from the internet cannot run code.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from datasets.errors import DataError

_LOG = logging.getLogger(__name__)

_COUNTERS = "num_batches_tracked"

_SHOWN = 8
"""Keys that a message lists before it counts the rest."""

_AGAIN = "Download the checkpoint again, or name the right file"


def load_state(path: Path | str, inside: Sequence[str] = ("state_dict",)) -> dict[str, Tensor]:
    """Read a checkpoint's tensors by name.

    Args:
        path: A `.safetensors` file, or any other name: a file that `torch.save` wrote.
        inside: Where the checkpoint is a dictionary that holds the tensors under one of these keys, the first
            of them that is there is read; otherwise the checkpoint itself is the state.

    Returns:
        Names without a leading `module.` (which `DataParallel` puts there), to tensors on the CPU.

    Raises:
        DataError: If the file is missing, damaged or truncated, holds pickled code, or is no dictionary of
            tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(path, "there is no such checkpoint", "Name an existing file")
    if path.suffix == ".safetensors":
        try:
            return _tensors(path, safetensors.torch.load_file(path, device="cpu"))
        except safetensors.SafetensorError as error:
            raise DataError(path, f"this is not a whole safetensors file ({error})", _AGAIN) from error
    content = _unpickled(path)
    for key in inside:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            return _tensors(path, content[key])
    return _tensors(path, content)


def fits(module: nn.Module, state: Mapping[str, Tensor]) -> bool:
    """Whether a checkpoint has exactly a network's tensors, counters of batch normalisation aside."""
    own = {k: v.shape for k, v in module.state_dict().items() if not k.endswith(_COUNTERS)}
    return own == {k: v.shape for k, v in state.items() if not k.endswith(_COUNTERS)}


def fit(
    module: nn.Module,
    state: Mapping[str, Tensor],
    path: Path | str,
    whole: bool = False,
    name: str | None = None,
) -> None:
    """Give a network a checkpoint's values, all of them or none.

    Counters of batch normalisation (`num_batches_tracked`), which old checkpoints lack and inference never
    reads, may be missing. Tensors that the network has no place for are left out with a warning, where all
    others fit.

    Args:
        module: The network; its own names and shapes are what is asked for.
        state: What `load_state` returned.
        path: The file, for the message.
        whole: Refuse tensors that the network has no place for, which a larger network's checkpoint has.
        name: What a user calls the network; None: its class.

    Raises:
        DataError: If a tensor is missing, has another shape or is not finite; the message names them, and the
            unexpected ones, which tell whose checkpoint it is.
    """
    name = name or type(module).__name__
    own = module.state_dict()
    missing = [k for k in own if k not in state and not k.endswith(_COUNTERS)]
    unexpected = [k for k in state if k not in own]
    shapes = [
        f"{k} ({_shape(state[k])} instead of {_shape(v)})"
        for k, v in own.items()
        if k in state and state[k].shape != v.shape
    ]
    if missing or shapes or (whole and unexpected):
        found = (("missing", missing), ("of another shape", shapes), ("unexpected", unexpected))
        problem = "; ".join(f"{len(keys)} {what}: {_some(keys)}" for what, keys in found if keys)
        raise DataError(
            path,
            f"this checkpoint does not fit {name} ({problem})",
            "It is another network's: name the checkpoint of this one, or the network of this checkpoint",
        )
    broken = [k for k in own if k in state and not bool(torch.isfinite(state[k]).all())]
    if broken:
        raise DataError(path, f"{len(broken)} tensors hold NaN or infinity: {_some(broken)}", _AGAIN)
    if unexpected:
        _LOG.warning(
            "%s: %d tensors have no place in %s and are ignored: %s",
            path,
            len(unexpected),
            name,
            _some(unexpected),
        )
    module.load_state_dict({k: v for k, v in state.items() if k in own}, strict=False)


def _unpickled(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds, checked by the caller
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make the reader raise almost anything
        if code := re.search(r"GLOBAL (\S+)", str(error)):
            raise DataError(
                path,
                f"the checkpoint holds pickled code ({code[1]}), which could do anything if it were loaded",
                "Load it where you trust it and save its state_dict alone",
            ) from error
        # The first sentence says what is wrong; the rest of PyTorch's advises to unpickle it all the same.
        reason = str(error).partition(". ")[0].strip()
        raise DataError(
            path,
            f"the checkpoint cannot be read: it is truncated, damaged or no PyTorch file "
            f"({type(error).__name__}: {reason})",
            _AGAIN,
        ) from error


def _tensors(path: Path, content: object) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        raise DataError(
            path, f"it holds a {type(content).__name__}, not a dictionary of named tensors", _AGAIN
        )
    foreign = [str(k) for k, v in content.items() if not (isinstance(k, str) and isinstance(v, Tensor))]
    if foreign or not content:
        problem = f"{_some(foreign)} are no tensors" if foreign else "it is empty"
        raise DataError(path, f"it is no dictionary of named tensors: {problem}", _AGAIN)
    return {k.removeprefix("module."): v for k, v in content.items()}


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _some(keys: Sequence[str]) -> str:
    rest = len(keys) - _SHOWN
    return ", ".join(keys[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
