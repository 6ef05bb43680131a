"""The training scenes as videos on disk."""

import numpy as np
import pytest

from datasets import open_dataset
from datasets.boxes import is_valid
from datasets.command_line import run_only_command
from datasets.errors import DataError
from datasets.images import read_image
from teachers.training.clips import clip
from teachers.training.videos import LENGTHS, Write, frames

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("scenes") / "two"
    Write(out, videos=2, seed=5, workers=1).run()
    return out


def contents(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_they_are_read_as_got10k_and_show_the_clips(written):
    dataset = open_dataset(f"got10k:{written}:train")
    assert dataset.names == ("Scene_000001", "Scene_000002")
    for index, name in enumerate(dataset.names):
        video = dataset[name]
        assert len(video) == len(video.frames) == frames(index, 5)
        assert LENGTHS[0] <= len(video) < LENGTHS[1]
        assert is_valid(video.ground_truth).all() and not video.absent.any() and not video.notes
        image = read_image(video.frames[0])
        drawn = clip(5, index, len(video), (image.shape[1], image.shape[0]))
        np.testing.assert_allclose(video.ground_truth, drawn.boxes, atol=5e-5)
        for t in (0, len(video) - 1):  # but for JPEG
            difference = read_image(video.frames[t]).astype(float) - drawn.images[t]
            assert np.abs(difference).mean() < 6


def test_workers_and_the_number_of_videos_change_no_byte_and_a_killed_run_goes_on(written, tmp_path):
    Write(tmp_path / "three", videos=3, seed=5, workers=2).run()
    whole, two = contents(tmp_path / "three"), contents(written)
    own = {name for name in two if "/Scene_" in name}
    assert len(own) == sum(frames(index, 5) + 1 for index in range(2))
    assert all(whole[name] == two[name] for name in own)
    for left in ("train/list.txt", "train/Scene_000002/groundtruth.txt"):
        (tmp_path / "three" / left).unlink()
    (tmp_path / "three/train/Scene_000002").rename(tmp_path / "three/train/.Scene_000002.tmp-1")
    Write(tmp_path / "three", videos=3, seed=5, workers=1).run()
    assert contents(tmp_path / "three") == whole


def test_another_seed_gives_other_videos_and_does_not_mix_with_these(written, tmp_path, capsys):
    before = contents(written)
    with pytest.raises(
        DataError, match=r"seed is 5 there and 6 here.*teachers\.training\.videos.*--overwrite"
    ):
        Write(written, videos=2, seed=6, workers=1).run()
    assert contents(written) == before
    words = [str(tmp_path / "other"), "--videos", "1", "--seed", "6", "--workers", "1"]
    assert run_only_command(Write, "program", words) == 0
    name = "train/Scene_000001/groundtruth.txt"
    assert contents(tmp_path / "other")[name] != before[name]
    assert run_only_command(Write, "program", [str(tmp_path / "none"), "--videos", "0"]) == 2
    assert "--videos 0" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
