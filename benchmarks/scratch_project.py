"""A copy of the project's pipeline in a folder of its own: what a clone holds beside the code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parent.parent

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(REPOSITORY),
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
}

DVC = [sys.executable, "-m", "dvc"]


def own_params() -> dict[str, Any]:
    """The project's params.yaml, to change and write elsewhere."""
    params: dict[str, Any] = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    return params


def make(folder: Path, params: dict[str, Any]) -> None:
    """Set up DVC, the stages and the parameters in a new folder; where they are, only the parameters."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / ".dvc").is_dir():
        (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        return
    subprocess.run([*DVC, "init", "--no-scm", "-q"], cwd=folder, env=ENVIRONMENT, check=True)
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(REPOSITORY / name, folder)
    shutil.copy(REPOSITORY / ".dvc/config", folder / ".dvc/config")
    subprocess.run([*DVC, "config", "core.no_scm", "true"], cwd=folder, env=ENVIRONMENT, check=True)
    shutil.copytree(REPOSITORY / ".dvc/plots", folder / ".dvc/plots", dirs_exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
