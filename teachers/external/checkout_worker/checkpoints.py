"""Reading checkpoints without running what strangers put into them, in any version of PyTorch since 1.5.

A checkpoint is a pickle, and a pickle may call anything. Published ones of ATOM and DiMP hold objects of the
checkout's own classes beside their tensors, so PyTorch's `weights_only` refuses them. The reader here knows tensors,
plain containers, NumPy's arrays, and classes (not functions) that the checkout itself defines; `trust` switches it off.
"""

from __future__ import annotations

import importlib
import inspect
import pickle
import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch

from .refusal import Refusal

AGAIN = "Download the checkpoint again, or name the right file"
OTHER = "It is another network's: name the checkpoint of this one"
TRUST = (
    "Load it where you trust it and save its state_dict alone; or, if you trust whoever made this file with this "
    "machine, give the option trust_weights: true"
)

OWN_PACKAGES = ("ltr", "pytracking", "dlframework")
"""The checkouts' packages (`dlframework` is what ltr was called when the oldest networks were saved)."""

refusals: list[Refusal] = []
"""Files refused so far: a checkout may swallow the error and raise one of its own."""

_PLAIN = {
    "builtins": {"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int"}
    | {"list", "object", "range", "set", "slice", "str", "tuple"},
    "collections": ["OrderedDict", "defaultdict"],
    "_codecs": ["encode"],
    "numpy": ["dtype", "ndarray"],
    "numpy.core.multiarray": ["_reconstruct", "scalar"],
    "numpy._core.multiarray": ["_reconstruct", "scalar"],
    "torch": ["Size", "Tensor", "device"],
    "torch.nn.parameter": ["Parameter"],
    "torch.serialization": ["_get_layout"],
}
_REBUILDERS = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter", "_rebuild_qtensor")


class Forbidden(pickle.UnpicklingError):
    """The file names something that is not data."""


def _allowed(module: str, name: str, found: Callable[[], Any]) -> bool:
    if name in _PLAIN.get(module, ()) or (module == "torch._utils" and name in _REBUILDERS):
        return True
    if module in ("torch", "torch.cuda", "torch.storage") and name.endswith("Storage") and "." not in name:
        return True
    if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
        return True
    if module.split(".")[0] in OWN_PACKAGES and "." not in name:
        value = found()
        return inspect.isclass(value) and value.__module__.split(".")[0] in OWN_PACKAGES
    return False


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - a class
        found = super().find_class
        if not _allowed(module, name, lambda: found(module, name)):
            raise Forbidden(f"{module}.{name}")
        return found(module, name)


_SAFE_PICKLE = SimpleNamespace(
    __name__="safe_pickle",
    Unpickler=_Unpickler,
    load=lambda file, **options: _Unpickler(file, **options).load(),
)


def read(path: str, original: Callable[..., Any], trust: bool) -> Any:  # noqa: ANN401 - whatever was saved
    """Read a file that `torch.save` wrote, onto the CPU.

    Args:
        path: The file.
        original: `torch.load` itself.
        trust: Whether the file may run code.

    Raises:
        Refusal: If it is missing, damaged, or holds code.
    """
    options: dict[str, Any] = {"map_location": "cpu"}
    if "weights_only" in inspect.signature(original).parameters:
        options["weights_only"] = (
            False  # the reader below takes its place, and knows the checkout's own classes
        )
    if not trust:
        options["pickle_module"] = _SAFE_PICKLE
    try:
        content = original(path, **options)
        if not trust:
            _check_constructor(path, content)
    except Refusal:
        raise
    except FileNotFoundError:
        raise Refusal(path, "there is no such checkpoint", "Name an existing file") from None
    except Forbidden as error:
        raise Refusal(
            path,
            f"the checkpoint holds pickled code ({error}), which could do anything if it were loaded",
            TRUST,
        ) from error
    except Exception as error:
        raise Refusal(
            path,
            "the checkpoint cannot be read: it is truncated, damaged or no PyTorch file "
            f"({type(error).__name__}: {str(error).partition('. ')[0].strip()})",
            AGAIN,
        ) from error
    return content


def _check_constructor(path: str, content: Any) -> None:  # noqa: ANN401 - whatever was saved
    """A network of ltr is built by calling a function that its checkpoint names: it has to be one of ltr's models."""
    constructor = content.get("constructor") if isinstance(content, Mapping) else None
    module = str(getattr(constructor, "fun_module", "ltr.models."))
    if not module[module.startswith("dlframework.") and len("dlframework.") :].startswith("ltr.models."):
        raise Refusal(path, f"its network would be built by {module}, no model of ltr", TRUST)


def check_fit(path: str, missing: list[str], total: int, network: str, tolerated: float = 0.0) -> None:
    """See whether a checkpoint is this network's.

    Args:
        path: The file.
        missing: The network's tensors that the file lacks.
        total: How many the network has.
        network: Its name.
        tolerated: The share of them that may be missing.

    Raises:
        Refusal: If more are missing.
    """
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    shown = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
    if len(missing) > tolerated * total:
        raise Refusal(
            path,
            f"this checkpoint does not fit {network}: {len(missing)} tensors are missing: {shown}",
            OTHER,
        )
    if missing:
        print(f"{path}: {len(missing)} tensors of {network} are missing: {shown}", file=sys.stderr)


def install(trust: bool) -> None:
    """Make `torch.load` read safely and onto the CPU, and `load_state_dict` tell a foreign network.

    The checkout's networks are moved to their device afterwards, and a file saved on a GPU loads without one.
    """
    original = torch.load
    last = [""]

    def load(f: Any, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - the signature of torch.load, as checkouts use it
        last[0] = str(f)
        try:
            return read(str(f), original, trust)
        except Refusal as refusal:
            refusals.append(refusal)
            raise

    fit = torch.nn.Module.load_state_dict

    def load_state_dict(self: Any, state_dict: Any, strict: bool = True, **options: Any) -> Any:  # noqa: ANN401
        network = type(self).__name__
        try:
            try:
                answer = fit(self, state_dict, strict=strict, **options)
            except RuntimeError as error:
                problem = f"this checkpoint does not fit {network}: {' '.join(str(error).split())}"
                raise Refusal(last[0], problem, OTHER) from error
            if not strict:  # a tenth, because old files lack what a network was given later
                check_fit(last[0], list(answer.missing_keys), len(self.state_dict()), network, 0.1)
        except Refusal as refusal:
            refusals.append(refusal)
            raise
        return answer

    torch.load = load
    torch.nn.Module.load_state_dict = load_state_dict  # type: ignore[assignment,method-assign]
    importlib.import_module("torch.serialization").load = load  # type: ignore[attr-defined]
