"""What a tracker did at a frame: who gave the box, and what there was to choose from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from teachers.base import Box

STUDENT = "student"
"""The student's own name among those that give boxes."""

GIVEN = "given"
"""Who gives the box of frame 0."""


def check_names(teachers: Iterable[str]) -> None:
    """See that who gave a box can be told from its name.

    Raises:
        ValueError: If a teacher is called as the student is.
    """
    if STUDENT in teachers:
        raise ValueError(f"a teacher cannot be called {STUDENT!r}: give it another name")


@dataclass(frozen=True)
class Choice:
    """One frame.

    Attributes:
        chosen: Who gave the box: `STUDENT`, a teacher's name, or in frame 0 `GIVEN`.
        values: v_t of everyone who was judged, by name; empty in frame 0.
        boxes: The box of everyone who gave one at this frame, before clipping; the chosen one's is among them.
    """

    chosen: str
    values: Mapping[str, float] = field(default_factory=dict)
    boxes: Mapping[str, Box] = field(default_factory=dict)


class Choices:
    """The frames of the current video; what the three trackers have in common.

    Attributes:
        choices: One per frame so far.
    """

    def __init__(self) -> None:
        self.choices: list[Choice] = []

    @property
    def chosen(self) -> list[str]:
        """Who gave each frame's box so far; `GIVEN` in frame 0, which no fraction counts (Figure 6)."""
        return [choice.chosen for choice in self.choices]

    @property
    def values(self) -> list[Mapping[str, float]]:
        """The values of each frame so far, by name."""
        return [choice.values for choice in self.choices]
