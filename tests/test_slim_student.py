"""The student that the project ships."""

import hashlib
import json

import numpy as np
import pytest
from conftest import REPOSITORY

from datasets import open_dataset
from datasets.boxes import overlap
from datasets.synthetic import SyntheticOptions, write_synthetic
from teachers import registry
from trainer.evaluate.running import track_video

WEIGHTS = REPOSITORY / "trainer" / "slim.safetensors"


@pytest.fixture(scope="module")
def unseen(tmp_path_factory):
    """Videos of a seed that neither its set nor its validation had."""
    root = tmp_path_factory.mktemp("unseen") / "videos"
    write_synthetic(
        root, SyntheticOptions(videos=8, seed=77, max_length=50, image_size=(240, 180)), workers=1
    )
    return list(open_dataset(f"synthetic:{root}"))


def followed(tracker, video):
    return overlap(track_video(tracker, video).boxes[1:], video.ground_truth[1:])


def test_the_shipped_weights_are_those_of_their_record():
    record = json.loads(WEIGHTS.with_suffix(".json").read_text())
    assert hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() == record["sha256"]
    assert "not the paper's student" in record["what"]
    assert WEIGHTS.stat().st_size < 6e6


@pytest.mark.usefixtures("one_thread")
def test_the_shipped_student_tracks_what_it_never_saw_and_keeps_a_teacher_on_it(unseen):
    tras = registry.create("tras", {"weights": str(WEIGHTS)})
    ours = np.concatenate([followed(tras, video) for video in unseen])
    still = np.concatenate([overlap(v.ground_truth[0], v.ground_truth[1:]) for v in unseen])
    assert ours.mean() > still.mean() + 0.1
    trast = registry.create("trast", {"weights": str(WEIGHTS), "teacher": "mosse"})
    mosse = registry.create("mosse", {})
    helped = np.concatenate([followed(trast, video) for video in unseen])
    alone = np.concatenate([followed(mosse, video) for video in unseen])
    assert helped.mean() > alone.mean()
