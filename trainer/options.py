"""What `python -m trainer` may be asked: the recipe of the paper, and every choice that it leaves open.

Field docstrings are the help of the command line; the reasons for the defaults stand in docs/deviations.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from trainer.student import StudentOptions

RecipeName = Literal["tras", "tras-no-curr", "tras-kd", "tras-kd-gt", "tras-gt", "tras-judge", "judge"]
"""The rows of Table 2, and two that are not in the paper, for a student that judges teachers better."""


Role = Literal["distilling", "imitating", "autonomous", "following"]
"""What a student learns from: the best teacher where that does better (Eq. 3), the ground truth, or rewards (Eq. 5).
One that follows (not in the paper) takes the boxes of any teacher of its window, straying from them bit by bit, and
learns what they are worth: L_v alone. Its interactions are as long as the window."""


@dataclass(frozen=True)
class Recipe:
    """Who the students are, and whether their interaction grows.

    Attributes:
        roles: Student i has role i modulo their number.
        curriculum: Interactions begin short and grow; otherwise they are always as long as the window.
    """

    roles: tuple[Role, ...]
    curriculum: bool = True

    @property
    def tracks(self) -> bool:
        """It learns actions; a judge's weights are good for TRASFUST alone."""
        return self.roles != ("following",)

    def role(self, number: int) -> Role:
        """Of a student."""
        return self.roles[number % len(self.roles)]

    def grows(self, number: int) -> bool:
        """Whether a student's interactions begin short and grow."""
        return self.curriculum and self.role(number) != "following"


RECIPES: dict[RecipeName, Recipe] = {
    "tras": Recipe(("distilling", "autonomous")),
    "tras-no-curr": Recipe(("distilling", "autonomous"), curriculum=False),
    "tras-kd": Recipe(("distilling",)),
    "tras-kd-gt": Recipe(("distilling", "imitating")),
    "tras-gt": Recipe(("imitating",)),
    "tras-judge": Recipe(("distilling", "autonomous", "following")),
    "judge": Recipe(("following",)),
}


@dataclass(frozen=True)
class EpisodeOptions:
    """The interaction of a student with a window of the transfer set."""

    start: Literal["ground-truth", "teacher"] = "ground-truth"
    """b_0 of an episode: the ground truth in the window's first frame, or the best teacher's box."""
    execute: Literal["mean", "sample"] = "mean"
    """What a distilling or imitating student does: what it predicts, or a sample, as an autonomous one does."""
    memory: Literal["carried", "fresh"] = "carried"
    """The LSTM's after the t_max steps of an update, where the episode goes on: it stays, or is that of a new one."""
    mirror: float = 0.0
    """Augmentation, not in the paper: share of the episodes shown mirrored, boxes and all."""
    reverse: float = 0.0
    """Augmentation, not in the paper: share of the episodes that run backwards in time."""
    turn: float = 0.0
    """Augmentation, not in the paper: share of the episodes shown turned by one, two or three quarters."""
    hurry: float = 0.0
    """Augmentation, not in the paper: share of the episodes that run twice as fast, there and back again."""
    tint: float = 0.0
    """Augmentation, not in the paper: contrast and brightness of each colour differ by up to this share per episode."""
    shake: float = 0.0
    """Augmentation, not in the paper: b_0 is off by normal errors of this deviation, in sizes of the box."""
    drift: float = 0.5
    """How far the boxes of a following student stray from its teacher's by the end of a window, in sizes of the box:
    up to this times a normal error, differently far in every episode."""


@dataclass(frozen=True)
class LossOptions:
    """The losses of Section 3.3."""

    gamma: float = 1.0
    """γ, the discount of later rewards."""
    reinforcement_weight: float = 1e-3
    """Factor of L_π + L_v."""
    value_weight: float | None = None
    """Factor of L_v where it is to differ from L_π's; None: the same."""
    value_students: Literal["autonomous", "all"] = "autonomous"
    """Whose steps are in L_v: those of the students that learn from rewards, as in the paper, or everybody's."""
    weight_decay: float = 1e-4
    """Of L_dist: its gradient on a weight is this times the weight, times the share of students that imitate."""
    clip_targets: bool = True
    """Bring actions to imitate into [-1, 1], as all actions are."""
    sigma_floor: float = 0.01
    """Least σ: that of a perfect action would be 0."""
    sigma_gradient: bool = False
    """Let σ carry gradient; by default only μ does."""
    advantage_gradient: bool = False
    """Let the advantage in L_π carry gradient; by default it is a number."""
    value_target: Literal["to-go", "printed"] = "to-go"
    """R_i: the rewards to come, v of the last state standing for those after a cut; or the sum that Eq. 7 prints."""
    advantage: Literal["one-step", "to-go", "immediate"] = "one-step"
    """What L_π weighs an action with: r_i + γ v_{i+1} - v_i (Eq. 6), R_i - v_i, or, among tries, r_i alone."""
    tries: int = 0
    """Further actions per step whose reward L_π knows, since it needs no network to tell; the paper has none."""
    ties: Literal["student", "teacher"] = "student"
    """Whom an equal reward favours in the mask m_i: `student` learns only where it did worse."""


@dataclass(frozen=True)
class CurriculumOptions:
    """How interactions grow, student by student (recipes with a curriculum)."""

    start: int = 5
    """Steps of the first interactions."""
    step: int = 1
    """Steps by which they grow."""
    episodes: int = 4
    """Episodes of a student after which its success is judged anew."""
    success: float = 0.5
    """Share of those episodes in which its rewards must add up to at least its teacher's to grow."""


@dataclass(frozen=True)
class OptimiserOptions:
    """RAdam, and how often it steps."""

    learning_rate: float = 1e-6
    """The paper's, of each asynchronous student."""
    scaling: Literal["students", "none"] = "students"
    """A synchronous update stands for one of every student: multiply the rate by their number, or not."""
    critic_rate: float = 1.0
    """The value head's rate, in rates of the other weights: returns reach 31, and a step is about one rate long."""
    decay: Literal["none", "linear", "cosine"] = "none"
    """Lower the rate to zero until the last update."""
    average: float = 0.0
    """Validate, keep and track with a running mean of the weights, of which an update leaves this share; 0: with the
    weights themselves, as the paper."""
    updates: int = 1_000_000
    """Updates to make at most."""
    minutes: float | None = None
    """Stop after so much wall-clock time; the checkpoint can be resumed."""
    clip_gradient: float | None = None
    """Largest norm of the gradient."""
    batch_norm: Literal["frozen", "batch"] = "frozen"
    """ResNet-18's normalisation: the statistics it came with, or each batch's own (of one process's students)."""


@dataclass(frozen=True)
class ValidationOptions:
    """Tracking of held-out videos, from which the best weights are chosen; a judge picks from tracks of windows."""

    videos: str | None = None
    """KIND:ROOT[:SPLIT], tracked whole; default: windows of held-out videos of the transfer set."""
    share: float = 0.1
    """Share of the transfer set's videos that are held out, drawn by a hash of their names; where nothing is, the
    last weights count as the best."""
    every: int = 1000
    """Updates between validations."""
    most: int = 200
    """At most so many windows or videos."""
    patience: int | None = 10
    """Stop after so many validations without a better average overlap; None: never."""


@dataclass(frozen=True)
class MachineOptions:
    """Where and how the work is done; nothing here touches the result but by rounding, and `readers` not at all."""

    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto: cuda where there is one."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16: mixed precision."""
    compile: bool = False
    """Compile the network with torch.compile."""
    readers: int = 2
    """Threads that decode windows ahead."""
    threads: int | None = None
    """CPU threads of PyTorch; None: its own choice."""


@dataclass(frozen=True)
class LogOptions:
    """What is written down while it learns."""

    every: int = 100
    """Updates between lines of progress."""
    checkpoint: int = 500
    """Updates between checkpoints."""
    tensorboard: bool = False
    """Write TensorBoard's files into OUT/tensorboard (needs the extra `logs`)."""
    dvclive: bool = False
    """Write DVCLive's files into OUT/dvclive (needs the extra `logs`)."""


@dataclass(frozen=True)
class TrainOptions:
    """Everything that a run depends on but its transfer sets."""

    recipe: RecipeName = "tras"
    """The row of Table 2 to learn."""
    students: int = 24
    """S: episodes that run in lockstep, over all processes."""
    segment: int = 5
    """t_max: steps between updates."""
    seed: int = 0
    """Another seed gives other weights, episodes and noise."""
    imagenet: Literal["none", "download"] | Path = "download"
    """ResNet-18's first weights: downloaded once, random (none), or a file. Other backbones begin at random."""
    init: Path | None = None
    """A student to continue from: a .safetensors file, or the authors' released checkpoint."""
    student: StudentOptions = field(default_factory=StudentOptions)
    episode: EpisodeOptions = field(default_factory=EpisodeOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    curriculum: CurriculumOptions = field(default_factory=CurriculumOptions)
    optimiser: OptimiserOptions = field(default_factory=OptimiserOptions)
    validation: ValidationOptions = field(default_factory=ValidationOptions)
    machine: MachineOptions = field(default_factory=MachineOptions)
    log: LogOptions = field(default_factory=LogOptions)

    def __post_init__(self) -> None:
        roles = len(RECIPES[self.recipe].roles)
        rules = (
            ("students", self.students >= 1, "at least 1"),
            (
                "students",
                self.students % roles == 0,
                f"a multiple of {roles}, the roles of the recipe {self.recipe}",
            ),
            ("segment", self.segment >= 1, "at least 1"),
            ("seed", self.seed >= 0, "at least 0"),
            ("episode.mirror", 0 <= self.episode.mirror <= 1, "a share"),
            ("episode.reverse", 0 <= self.episode.reverse <= 1, "a share"),
            ("episode.turn", 0 <= self.episode.turn <= 1, "a share"),
            ("episode.hurry", 0 <= self.episode.hurry <= 1, "a share"),
            ("episode.tint", 0 <= self.episode.tint < 1, "a share"),
            ("episode.shake", self.episode.shake >= 0, "at least 0"),
            ("episode.drift", self.episode.drift >= 0, "at least 0"),
            ("loss.gamma", 0 <= self.loss.gamma <= 1, "in [0, 1]"),
            ("loss.sigma_floor", self.loss.sigma_floor > 0, "positive"),
            ("loss.reinforcement_weight", self.loss.reinforcement_weight >= 0, "at least 0"),
            ("loss.value_weight", _at_least(self.loss.value_weight, 0), "at least 0, or None"),
            ("loss.tries", self.loss.tries >= 0, "at least 0"),
            (
                "loss.tries",
                self.loss.tries > 0 or self.loss.advantage != "immediate",
                "at least 1 with loss.advantage immediate, which compares actions of one step",
            ),
            ("loss.weight_decay", self.loss.weight_decay >= 0, "at least 0"),
            ("curriculum.start", self.curriculum.start >= 1, "at least 1"),
            ("curriculum.step", self.curriculum.step >= 1, "at least 1"),
            ("curriculum.episodes", self.curriculum.episodes >= 1, "at least 1"),
            ("curriculum.success", 0 <= self.curriculum.success <= 1, "a share"),
            ("optimiser.learning_rate", self.optimiser.learning_rate > 0, "positive"),
            ("optimiser.critic_rate", self.optimiser.critic_rate > 0, "positive"),
            ("optimiser.average", 0 <= self.optimiser.average < 1, "a share below 1"),
            ("optimiser.updates", self.optimiser.updates >= 1, "at least 1"),
            ("optimiser.minutes", _at_least(self.optimiser.minutes, 0), "at least 0, or None"),
            (
                "optimiser.clip_gradient",
                self.optimiser.clip_gradient is None or self.optimiser.clip_gradient > 0,
                "positive",
            ),
            (
                "validation.videos",
                self.validation.videos is None or RECIPES[self.recipe].tracks,
                f"None for the recipe {self.recipe}, which learns to pick, from windows: see validation.share",
            ),
            ("validation.share", 0 <= self.validation.share < 1, "a share below 1"),
            ("validation.every", self.validation.every >= 1, "at least 1"),
            ("validation.most", self.validation.most >= 1, "at least 1"),
            ("validation.patience", _at_least(self.validation.patience, 1), "at least 1, or None"),
            ("machine.readers", self.machine.readers >= 1, "at least 1"),
            ("machine.threads", _at_least(self.machine.threads, 1), "at least 1, or None"),
            ("log.every", self.log.every >= 1, "at least 1"),
            ("log.checkpoint", self.log.checkpoint >= 1, "at least 1"),
        )
        finite = ((name, math.isfinite(value), "finite") for name, value in _numbers(self, ""))
        for name, good, wanted in (*rules, *finite):
            if not good:
                value: Any = self
                for part in name.split("."):
                    value = getattr(value, part)
                raise ValueError(f"{name} is {value}, and has to be {wanted}")


def _numbers(options: Any, prefix: str) -> Iterator[tuple[str, float]]:  # noqa: ANN401  # any group
    """All options that are floats, by name."""
    for f in fields(options):
        value = getattr(options, f.name)
        if is_dataclass(value):
            yield from _numbers(value, f"{prefix}{f.name}.")
        elif isinstance(value, float):
            yield prefix + f.name, value


def _at_least(value: float | None, least: float) -> bool:
    return value is None or value >= least
