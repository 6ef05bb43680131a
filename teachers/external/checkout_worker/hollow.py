"""Stand-ins for packages that a checkout imports and that its trackers do not use.

pytracking imports its drawing, its training data sets and its evaluation whenever a tracker is imported, and with
them packages that are hard to install (jpeg4py wants a system library) or no longer made (tikzplotlib). Where such a
package is missing, a hollow module takes its place: every name in it is there, and says what is missing once it
is used.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

UNUSED = frozenset(
    {
        "gdown",
        "jpeg4py",
        "lvis",
        "matplotlib",
        "mpl_toolkits",
        "pandas",
        "pycocotools",
        "scipy",
        "skimage",
        "spatial_correlation_sampler",
        "tensorboardX",
        "tikzplotlib",
        "timm",
        "tqdm",
        "trax",
        "visdom",
    }
)
"""Top-level packages that the trackers do without."""


class _Absent(type):
    """The class of names in a hollow module: they can be looked up and inherited from, and nothing else."""

    def __getattr__(cls, name: str) -> Any:  # noqa: ANN401 - another name
        if name.startswith("__"):
            raise AttributeError(name)
        return _absent(cls.__module__, f"{cls.__qualname__}.{name}")

    def __call__(cls, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - it never returns
        package = cls.__module__.split(".")[0]
        raise ModuleNotFoundError(
            f"{cls.__module__}.{cls.__qualname__} was called, and {package} is not installed", name=package
        )


def _absent(module: str, name: str) -> _Absent:
    return _Absent(name.rsplit(".", 1)[-1], (), {"__module__": module, "__qualname__": name})


class _Hollow(ModuleType):
    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a stand-in
        if name.startswith("__"):
            raise AttributeError(name)
        return _absent(self.__name__, name)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Comes last, so that it is asked only for what is not installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, _, inner = fullname.partition(".")
        if package not in UNUSED or (inner and not isinstance(sys.modules.get(package), _Hollow)):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Hollow(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


def install() -> None:
    """Let this process import what is not there."""
    sys.meta_path.append(_Finder())
