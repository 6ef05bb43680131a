"""`python -m datasets synth`: write procedural videos."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError
from tyro.conf import Positional

from datasets.processes import cores
from datasets.synthetic.options import SyntheticOptions
from datasets.synthetic.writer import write_synthetic


@dataclass(frozen=True)
class Synth:
    """Write procedural videos with exact ground truth, in GOT-10k's layout.

    The same options give the same bytes for any number of workers, and video i is the same for any number of
    videos. A killed run is resumed by the same command; a complete folder is left alone.

    Example:
        python -m datasets synth data/synthetic --videos 40 --seed 0 --max-length 120
    """

    out: Positional[Path]
    """Folder to write; the videos lie in its sub-folder `train`."""
    videos: int = 40
    """How many videos."""
    seed: int = 0
    """Another seed gives other videos."""
    workers: int = field(default_factory=cores)
    """Processes that draw."""
    max_length: int | None = None
    """Cut videos after this many frames; default: lengths drawn like GOT-10k's (69 to 690, median 101)."""
    image_size: str | None = None
    """Size of all images, such as 1280x720; by default each video draws one between 320x180 and 640x360."""
    quality: int = SyntheticOptions.model_fields["quality"].default
    """JPEG quality, 1 to 100."""
    difficulty: tuple[float, float] = (0.0, 1.0)
    """Easiest and hardest video: at 0 a target glides, at 1 it turns, is hidden, leaves, has doubles."""
    turning: float = 0.0
    """Share of the videos whose target turns away about its upright axis, to 0.45 to 0.85 of its width, and back."""
    overwrite: bool = False
    """Replace synthetic videos of other options that lie there."""

    def options(self) -> SyntheticOptions:
        """The options, checked.

        Raises:
            ValueError: Names the option, its value and what it has to be.
        """
        size = None
        if self.image_size is not None:
            match = re.fullmatch(r"(\d+)[xX](\d+)", self.image_size.strip())
            if match is None:
                raise ValueError(f"--image-size is {self.image_size!r}: give WIDTHxHEIGHT, such as 1280x720")
            size = (int(match[1]), int(match[2]))
        try:
            return SyntheticOptions(
                videos=self.videos,
                seed=self.seed,
                max_length=self.max_length,
                image_size=size,
                quality=self.quality,
                difficulty=self.difficulty,
                turning=self.turning,
            )
        except ValidationError as error:
            raise ValueError(
                "; ".join(_sentence(e["loc"], e["input"], e["msg"]) for e in error.errors())
            ) from error

    def run(self) -> int:
        """Write the videos."""
        write_synthetic(self.out, self.options(), self.workers, progress=True, overwrite=self.overwrite)
        return 0


def _sentence(place: tuple[int | str, ...], value: object, message: str) -> str:
    option = f"--{str(place[0]).replace('_', '-')} is {value!r}: " if place else ""
    return option + message.removeprefix("Value error, ")
