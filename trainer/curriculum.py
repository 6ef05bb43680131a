"""How long a student's interactions are (Section 3.3): longer as it does better than its teacher.

The paper says no more than that, its appendix A.2 is not public. Here each student counts, over its last
few episodes, those in which its rewards added up to at least what its teacher would have got on the same
frames; when their share suffices, its interactions grow by a step, up to the window's length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainer.options import CurriculumOptions


@dataclass
class Curriculum:
    """Of one student.

    Attributes:
        options: When to grow.
        most: Steps of a whole window.
        grows: False for recipes without curriculum: every interaction is as long as the window.
        horizon: Steps of the interaction.
        episodes: Episodes since success was last judged.
        successes: Those in which the student did at least as well as its teacher.
    """

    options: CurriculumOptions
    most: int
    grows: bool = True
    horizon: int = 0
    episodes: int = 0
    successes: int = 0

    def __post_init__(self) -> None:
        if not self.horizon:
            self.horizon = min(self.options.start, self.most) if self.grows else self.most

    def finish(self, reward: float, teacher_reward: float) -> None:
        """Count an episode.

        Args:
            reward: Sum of the student's rewards.
            teacher_reward: Sum of those of its teacher's boxes on the same frames.
        """
        # Sums of tenths in binary differ in the last place by the order of their terms.
        self.successes += reward >= teacher_reward - 1e-4
        self.episodes += 1
        if self.episodes >= self.options.episodes:
            if self.grows and self.successes >= self.options.success * self.episodes:
                self.horizon = min(self.horizon + self.options.step, self.most)
            self.episodes = self.successes = 0

    @property
    def longest_next(self) -> int:
        """Steps that the next interaction can have at most."""
        return min(self.horizon + self.options.step, self.most) if self.grows else self.most

    def state(self) -> dict[str, Any]:
        """What `Curriculum(options, most, grows, **state)` continues from."""
        return {"horizon": self.horizon, "episodes": self.episodes, "successes": self.successes}
