"""The student's network (paper, Section 3.4): two shared branches, two layers, an LSTM, an action and a value.

student = load_student("runs/first/best.safetensors").eval()
state = student.initial_state(1)
action, value, state = student(previous, current, state)      # crops (1, 3, 128, 128) of trainer.crops
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, get_args

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from datasets.atomic import appearing
from datasets.errors import DataError
from teachers.weights import fit, load_state
from trainer.backbones import STRIDE, BackboneName, make_backbone

_METADATA = "student"
"""The one entry of a safetensors file's metadata that is ours, JSON."""


class LSTMState(NamedTuple):
    """What the student remembers; both float (B, width)."""

    hidden: Tensor
    cell: Tensor

    def detach(self) -> LSTMState:
        """The same values, without the gradients' way back."""
        return LSTMState(self.hidden.detach(), self.cell.detach())

    def begun_anew(self) -> LSTMState:
        """Zeros, as many: the state before a first step."""
        return LSTMState(torch.zeros_like(self.hidden), torch.zeros_like(self.cell))

    def where(self, keep: Tensor, other: LSTMState) -> LSTMState:
        """This state where `keep`, bool (B,), is true, `other` elsewhere."""
        rows = keep[:, None]
        return LSTMState(
            torch.where(rows, self.hidden, other.hidden), torch.where(rows, self.cell, other.cell)
        )


class StudentOutput(NamedTuple):
    """What the student answers.

    Attributes:
        action: μ = s_π(s_t), (B, 4), not clamped.
        value: v_t = s_v(s_t), (B,).
        state: The LSTM's, for the next frame.
    """

    action: Tensor
    value: Tensor
    state: LSTMState


@dataclass(frozen=True)
class StudentOptions:
    """The network's shape, what it sees and what its boxes may be: all that a tracker has to know of its student.

    The defaults are the paper's, `smallest_box` apart.
    """

    backbone: BackboneName = "resnet18"
    """Convolutional part: resnet18 (the paper's), or small, tiny or matching, which learn from scratch on a CPU;
    matching compares the two crops, and learns most from few videos."""
    width: int = 512
    """Neurons of each fully connected layer and of the LSTM."""
    crop_size: int = 128
    """Width and height of the crops in pixels, a multiple of 32."""
    context: float = 1.5
    """c: a crop is so many times as wide and high as the box."""
    smallest_box: float = 1.0
    """Least width and height of the student's box in pixels; the authors' code has 0."""

    def __post_init__(self) -> None:
        if self.backbone not in get_args(BackboneName):
            raise ValueError(f"backbone {self.backbone!r} is none of {', '.join(get_args(BackboneName))}")
        if self.width < 1:
            raise ValueError(f"width {self.width} must be positive")
        if self.crop_size < STRIDE or self.crop_size % STRIDE:
            raise ValueError(f"crop_size {self.crop_size} must be a multiple of {STRIDE}")
        if not 0 < self.context < math.inf:
            raise ValueError(f"context {self.context} must be positive and finite")
        if not 0 < self.smallest_box < math.inf:
            raise ValueError(
                f"smallest_box {self.smallest_box} must be positive and finite: an action moves no box without area"
            )


class Student(nn.Module):
    """The student; random weights until trained or loaded.

    Args:
        options: Its shape.
    """

    def __init__(self, options: StudentOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or StudentOptions()
        self.backbone = make_backbone(options.backbone, options.crop_size)
        self.fc = nn.Linear(self.backbone.outputs, options.width)
        self.fc2 = nn.Linear(options.width, options.width)
        self.lstm = nn.LSTM(options.width, options.width)
        self.actor = nn.Linear(options.width, 4)
        self.critic = nn.Linear(options.width, 1)
        # A new student keeps the box where it is, instead of moving it by chance and losing the target at once.
        nn.init.normal_(self.actor.weight, std=1e-3)
        nn.init.zeros_(self.actor.bias)

    def forward(self, previous: Tensor, current: Tensor, state: LSTMState) -> StudentOutput:
        """One step of B students.

        Args:
            previous: F_{t-1} cropped around b_{t-1}, normalised, float (B, 3, S, S).
            current: F_t cropped around b_{t-1}, likewise.
            state: What the last step returned.
        """
        return self.decide(self.see(previous, current), state)

    def see(self, previous: Tensor, current: Tensor) -> Tensor:
        """The part before the LSTM, which remembers nothing: crops (B, 3, S, S) to (B, width)."""
        x = torch.relu(self.fc(self.backbone.pair(previous, current)))
        return torch.relu(self.fc2(x))

    def decide(self, x: Tensor, state: LSTMState) -> StudentOutput:
        """The LSTM and the heads: what `see` returned, and the state."""
        out, (hidden, cell) = self.lstm(x[None], (state.hidden[None], state.cell[None]))
        x = out[0]
        return StudentOutput(self.actor(x), self.critic(x).squeeze(-1), LSTMState(hidden[0], cell[0]))

    def initial_state(self, batch: int, device: torch.device | str | None = None) -> LSTMState:
        """The state before the first step: zeros (batch, width), on the student's device unless another is given."""
        weight = self.fc2.weight
        zeros = torch.zeros(
            batch, self.options.width, dtype=weight.dtype, device=weight.device if device is None else device
        )
        return LSTMState(zeros, zeros)


def diverged(what: str) -> ValueError:
    """The error of a run whose numbers have left all bounds.

    Args:
        what: Is not finite.
    """
    return ValueError(
        f"learning diverged: {what} is not finite. Begin a new run, afresh or with the best weights as --init, "
        "at a lower learning rate or with optimiser.clip_gradient"
    )


def save_student(path: Path | str, student: Student, about: Mapping[str, Any] | None = None) -> None:
    """Write a student to a safetensors file, which appears whole or not at all.

    Args:
        path: The file, `.safetensors`.
        student: On any device.
        about: Values for JSON that say where it comes from; nothing reads them but people.

    Raises:
        ValueError: If the path has another suffix.
        DataError: If the disk is full or cannot be written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"a student is written to a .safetensors file, not to {path}")
    # One entry, because the order of several is not fixed, and equal content has to be equal bytes.
    metadata = {_METADATA: json.dumps({"options": asdict(student.options), "about": dict(about or {})})}
    tensors = {name: value.detach().cpu().contiguous() for name, value in student.state_dict().items()}
    with appearing(path) as temporary:
        # Not safetensors' own writer: its files are for nobody else to read, and it calls a full disk a defect.
        temporary.write_bytes(safetensors.torch.save(tensors, metadata))


def load_student(path: Path | str, device: torch.device | str = "cpu") -> Student:
    """Load a student: a file of `save_student`, or the checkpoint that the paper's authors released.

    Args:
        path: A `.safetensors` file of ours, or the authors' file (any other name), in which the network is the
            paper's.
        device: Where to put it.

    Raises:
        DataError: If the file is missing, damaged, or holds another network.
    """
    path = Path(path)
    state = load_state(path, inside=("model_state_dict", "state_dict"))
    own = path.suffix == ".safetensors"
    student = Student(_read_options(path)) if own else Student()
    fit(student, state if own else _from_authors(path, state), path, whole=own)
    return student.to(device)


def _read_options(path: Path) -> StudentOptions:
    try:
        with safetensors.safe_open(path, "pt") as file:
            values = json.loads((file.metadata() or {})[_METADATA]).get("options")
    except KeyError as error:
        problem = "it does not say which student it holds (no entry 'student' in its metadata)"
        raise DataError(path, problem, "Name a file that `python -m trainer` wrote") from error
    except (OSError, safetensors.SafetensorError, json.JSONDecodeError) as error:
        raise DataError(path, f"its metadata cannot be read ({error})", "Copy the file again") from error
    try:
        return StudentOptions(**values)
    except (TypeError, ValueError) as error:
        known = ", ".join(f.name for f in fields(StudentOptions))
        problem = f"it holds a student of options {values!r}, which this version does not know ({error})"
        raise DataError(path, problem, f"Known are {known}: use the version that wrote the file") from error


_STAGES = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""The authors number the children of torchvision's ResNet-18."""

_HEADS = {"actor_policy": "actor", "critic": "critic", "fc": "fc", "fc2": "fc2", "lstm": "lstm"}


def _from_authors(path: Path, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the parameters of the authors' `StudentModel` our names."""
    if not any(name.startswith("cnn_features.") for name in state):
        found = ", ".join(list(state)[:3])
        problem = f"it is no checkpoint of the paper's authors: it has no cnn_features.*, but {found}, ..."
        raise DataError(path, problem, "Name theirs, or a .safetensors file that `python -m trainer` wrote")
    renamed = {}
    for name, value in state.items():
        head, _, rest = name.partition(".")
        if head == "cnn_features":
            stage, _, rest = rest.removeprefix("cnn_features.").partition(".")
            renamed[f"backbone.{_STAGES.get(stage, stage)}.{rest}"] = value
        else:
            renamed[f"{_HEADS.get(head, head)}.{rest}"] = value
    return renamed
