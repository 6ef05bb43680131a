"""What the tracking community found to be wrong with GOT-10k, by video.

Sources: issues 10, 20, 25 and 29 of got-10k/toolkit, issue 98 of visionml/pytracking, issue 81 of ARTrack,
and the lists of videos that public training code leaves out. There is no official list, and at least 33
videos are said to be ill-annotated, so this one is not complete.
"""

from __future__ import annotations


def _train(*numbers: int) -> list[str]:
    return [f"GOT-10k_Train_{number:06d}" for number in numbers]


_MISMATCHED = "boxes do not match the images, or the first frames are repeated"
_ORIGIN = "some boxes begin outside the image"
_COVER = "cover.label is zero on every frame: leaving covered frames out leaves nothing"
_SIZE = "images change size within the video"

KNOWN_DEFECTS: dict[str, str] = {
    **dict.fromkeys(_train(*range(8623, 8638), 9058, 9059), _MISMATCHED),
    **dict.fromkeys(_train(8628, 8630, 9058, 9059), f"{_MISMATCHED}; {_ORIGIN}"),
    **dict.fromkeys(_train(385, 602), _COVER),
    **dict.fromkeys([*_train(7947), "GOT-10k_Val_000136", "GOT-10k_Val_000137"], _SIZE),
    "GOT-10k_Train_000399": "the box of frame 66 leaves the image",
    "GOT-10k_Train_001636": "frames 43 to 53 are of another scene",
    "GOT-10k_Train_001638": "frames 25 to 33 are of another scene",
    "GOT-10k_Train_004419": "boxes of the first frames have no height",
    "GOT-10k_Train_005996": "boxes collapse to a height of 1 pixel",
}
"""The defect of each known video, in words."""
