"""What a run writes down: a line per report, OUT/history.jsonl, and on demand TensorBoard's and DVCLive's files."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from datasets.atomic import appearing, room_for
from datasets.errors import DataError
from trainer.options import LogOptions

HISTORY = "history.jsonl"


class Logs:
    """Writes values by update.

    Args:
        out: The run's folder.
        options: What to write.
        updates: Where the run stands: later lines, of a run that was interrupted after its last checkpoint, are
            removed.
        params: The run's options as `as_json` gives them, by which `dvc exp show` tells runs apart.

    Raises:
        ValueError: If TensorBoard or DVCLive is asked for and not installed.
        DataError: If the history that is there is damaged, or the disk is full.
    """

    def __init__(self, out: Path, options: LogOptions, updates: int, params: Mapping[str, Any]) -> None:
        board = _module("torch.utils.tensorboard", "tensorboard", options.tensorboard)
        live = _module("dvclive", "dvclive", options.dvclive)
        self._history = out / HISTORY
        if self._history.is_file():
            _keep(self._history, lambda line: json.loads(line)["update"] <= updates)
        if live is not None:
            for table in (out / "dvclive").rglob("*.tsv"):  # a header, then a row per step
                _keep(table, lambda line: line.startswith("step") or int(line.split("\t")[0]) <= updates)
        self._board: Any = board and board.SummaryWriter(str(out / "tensorboard"), purge_step=updates + 1)
        files = out / "dvclive" / "dvc.yaml"
        if live is not None:
            files.unlink(missing_ok=True)  # DVCLive would name its files in it once more
        self._live: Any = live and live.Live(dir=str(out / "dvclive"), resume=updates > 0, dvcyaml=str(files))
        if self._live is not None:
            self._live.log_params(dict(params))

    def write(self, update: int, values: dict[str, float]) -> None:
        """Write the values of an update; names have the form group/name.

        Raises:
            DataError: If the disk is full or cannot be written.
        """
        with room_for(self._history), self._history.open("a") as file:
            file.write(json.dumps({"update": update, **values}) + "\n")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, update)
        if self._live is not None:
            self._live.step = update
            for name, value in values.items():
                self._live.log_metric(name, value)
            self._live.make_summary()

    def flush(self) -> None:
        """Write out what is in the queue of TensorBoard's writer: a run that is killed goes on from its checkpoint."""
        if self._board is not None:
            self._board.flush()

    def close(self) -> None:
        """Write out what is buffered."""
        if self._board is not None:
            self._board.close()
        if self._live is not None:
            self._live.end()


def _keep(path: Path, wanted: Callable[[str], bool]) -> None:
    """Remove lines that are not wanted, and one that a kill cut short.

    Raises:
        DataError: If it cannot be told of a line, as after a power cut.
    """
    kept = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(keepends=True), 1):
        try:
            if line.endswith("\n") and wanted(line):
                kept.append(line)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                path, f"{line[:40]!r} is no values of an update", "Remove the line", number
            ) from error
    with appearing(path) as temporary:
        temporary.write_text("".join(kept))


def _module(name: str, package: str, wanted: bool) -> Any:  # noqa: ANN401  # a module without types, or None
    if not wanted:
        return None
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(
            f"log.{package} needs the package {package} ({error}): "
            f"pip install 'tracking-by-trackers[logs]', or --log.no-{package}"
        ) from error
