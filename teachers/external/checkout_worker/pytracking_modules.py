"""The modules that pytracking wants to find inside its own checkout, made in memory instead.

Without `local.py` files pytracking writes them and stops; and its Precise RoI pooling is a CUDA extension that is
compiled into the checkout when it is first used.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from .prroi_pool import PrRoIPool2D


class EnvironmentSettings:
    """The folders that ltr's training uses: none of them is given."""

    def __getattr__(self, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return ""


# A checkpoint may hold one of them: it is ltr's class as far as a reader of checkpoints is concerned.
EnvironmentSettings.__module__ = "ltr.admin.local"


def _module(name: str, **content: Any) -> ModuleType:  # noqa: ANN401 - whatever the module holds
    module = ModuleType(name)
    vars(module).update(content)
    sys.modules[name] = module
    return module


def install(network_path: str) -> None:
    """Put the modules where an import finds them.

    Args:
        network_path: The folder of pytracking's networks, as its settings name it.
    """

    def local_env_settings() -> Any:  # noqa: ANN401 - pytracking's own EnvSettings
        settings = importlib.import_module("pytracking.evaluation.environment").EnvSettings()
        settings.network_path = network_path
        return settings

    _module("pytracking.evaluation.local", local_env_settings=local_env_settings)
    _module("ltr.admin.local", EnvironmentSettings=EnvironmentSettings)
    name = "ltr.external"
    for part in ("", ".PreciseRoIPooling", ".pytorch"):
        name += part
        _module(name, __path__=[])
    _module(f"{name}.prroi_pool", PrRoIPool2D=PrRoIPool2D)
