"""`view` draws boxes where they lie in what is stored, legibly, as a picture or a film."""

from __future__ import annotations

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image
from transfer_samples import LENGTH, changed, content, make_video, write_sample

import datasets.__main__ as command
from datasets.errors import DataError
from datasets.transfer.encoding import Encoding, encode_video
from datasets.transfer.outlines import COLOURS, STROKES, TRUTH
from datasets.transfer.reader import TransferReader
from datasets.transfer.sheet import draw_tile
from datasets.transfer.tile import spread, tiles
from datasets.transfer.view import contact_sheet, write_film
from datasets.transfer.writer import FramesWriter, write_set


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    videos = [
        make_video(folder, "alpha\nbeta", size=(72, 50)),
        make_video(folder, "Straße", size=(40, 64), seed=1),
    ]
    path, _ = write_sample(folder / "set", videos)
    return path


@pytest.fixture(params=["source", "region"])
def drawn(request, tmp_path):
    """A green target that moves and grows on black, larger than the student needs; teachers are off by known pixels."""
    video = make_video(tmp_path, size=(1200, 800), frames=LENGTH, suffix="png")
    truth = np.array(
        [[200 + 90 * t, 150 + 40 * t, 380 + 30 * t, 300 + 20 * t] for t in range(LENGTH)], np.float32
    )
    for path, (x, y, w, h) in zip(video.frames, truth.astype(int), strict=True):
        image = np.zeros((800, 1200, 3), np.uint8)
        image[y : y + h, x : x + w] = (0, 120, 0)
        cv2.imwrite(str(path), image)
    if request.param == "source":
        for n, path in enumerate(video.frames):
            video.frames[n] = path.with_suffix(".jpg")
            cv2.imwrite(str(video.frames[n]), cv2.imread(str(path)), [cv2.IMWRITE_JPEG_QUALITY, 95])
    video = replace(video, ground_truth=truth)
    with FramesWriter(tmp_path / "frames.h5", Encoding(kind=request.param)) as frames:
        frames.append(encode_video(video, np.arange(LENGTH), Encoding(kind=request.param)))
    made = content([video], starts=(0,))
    teacher = truth[None, :, None] + np.array([[-60, -70, 20, 0], [60, 70, 0, 40]], np.float32)
    write_set(tmp_path / "set.h5", changed(made, teacher=teacher), tmp_path / "frames.h5")
    with TransferReader(tmp_path / "set.h5") as reader:
        yield reader[0]


def bounds(picture, colour):
    """Left, top, right and bottom pixel of a colour, None where there is none."""
    rows, columns = np.nonzero((picture == np.array(colour)).all(axis=-1))
    return [columns.min(), rows.min(), columns.max(), rows.max()] if len(rows) else None


def test_boxes_and_pictures_lie_where_they_are(drawn):
    largest = drawn.ground_truth[:, 2:].max(axis=0)
    scale = 300 / (largest.max() * 2.5)
    for tile in tiles(drawn, range(LENGTH), 300, 2.5):
        picture = np.asarray(draw_tile(tile))
        middle = np.array(picture.shape[1::-1]) / 2
        x, y, w, h = drawn.ground_truth[tile.t]
        for box, colour in [
            (drawn.ground_truth[tile.t], TRUTH),
            *zip(drawn.teacher[tile.t], COLOURS, strict=False),
        ]:
            corner = middle + (box[:2] - [x + w / 2, y + h / 2]) * scale
            expected = np.concatenate([corner - 1, corner + box[2:] * scale])
            assert np.abs(bounds(picture, colour) - expected).max() <= 1, (tile.t, colour)
        # The stored image shows the target within the ground truth's outline, to two pixels.
        green = (picture[..., 1].astype(int) > 60) & (picture[..., 0] < 40) & (picture[..., 2] < 60)
        left, top, right, bottom = bounds(picture, TRUTH)
        inner = np.s_[top + 4 : bottom - 4, left + 4 : right - 4]
        assert green[inner].mean() > 0.75
        green[top - 2 : bottom + 3, left - 2 : right + 3] = False
        assert green.sum() == 0


def test_nothing_stored_is_grey_and_an_absent_target_has_no_box(sample):
    with TransferReader(sample) as reader:
        window = reader[0]
        absent = replace(
            window, absent=np.array([False, True, False, False]), ground_truth=window.ground_truth.copy()
        )
        absent.ground_truth[1] = -1
        there, gone = tiles(absent, [0, 1], 300, 9)
        assert bounds(np.asarray(draw_tile(there)), TRUTH) is not None
        picture = np.asarray(draw_tile(gone))
        assert bounds(picture, TRUTH) is None and bounds(picture, COLOURS[0]) is not None
        # Nine times the target's width is more than the image has.
        assert (picture[0] == 205).sum() > 0 and len(np.unique(picture[:, 0], axis=0)) == 1
        away = replace(gone, corner=np.array([5000.0, 5000.0]))
        assert (
            away.picture() is None and len(np.unique(np.asarray(draw_tile(away)).reshape(-1, 3), axis=0)) == 1
        )


def test_a_sheet_holds_every_tile_apart_from_the_text(sample):
    with TransferReader(sample) as reader:
        shown = contact_sheet(reader, [1, 4], frames=3, context=2.0, side=200)
        assert shown.dtype == np.uint8 and shown.shape[1] == 2 * 16 + 3 * 200 + 2 * 12
        for n in (1, 4):
            for column, tile in enumerate(tiles(reader[n], spread(LENGTH, 3), 200, 2.0)):
                picture = np.asarray(draw_tile(tile))
                height, width = picture.shape[:2]
                left = 16 + column * 212
                places = [
                    top
                    for top in range(len(shown) - height)
                    if np.array_equal(shown[top : top + height, left : left + width], picture)
                ]
                assert len(places) == 1
                top = places[0]
                assert (shown[top - 3 : top, left : left + width] == 255).all()
                # The frame's number, then a swatch for every positive teacher.
                below = shown[top + height : top + height + 50, left : left + 200]
                assert (below[:3] == 255).all() and (below[3:20] < 200).any()
                positive = np.isfinite(reader[n].teacher[0, :, 0])
                assert [bounds(below, COLOURS[k]) is not None for k in range(2)] == positive.tolist()
        legend = shown[:60]
        assert all(bounds(legend, colour) is not None for colour in (TRUTH, *COLOURS[:2]))
        assert bounds(legend, COLOURS[2]) is None


def test_teachers_look_different_to_colour_blind_people_too():
    """Machado, Oliveira and Fernandes (2009), severity 1: protanopia, deuteranopia, tritanopia."""
    sights = np.array(
        [
            np.eye(3),
            [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
            [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
            [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
        ]
    )
    linear = (np.array([TRUTH, *COLOURS]) / 255) ** 2.2
    for sight in sights:
        seen = 255 * np.clip(linear @ sight.T, 0, 1) ** (1 / 2.2)
        for (i, a), (j, b) in itertools.combinations(enumerate(seen), 2):
            assert np.linalg.norm(a - b) > 25, (sight, i, j)
    styles = {(k % len(COLOURS), k % len(STROKES)) for k in range(21)}
    assert len(styles) == 21


def test_a_film_shows_every_frame(sample, tmp_path):
    with TransferReader(sample) as reader:
        expected = [contact_sheet(reader, [3], 1, 2.0, 301)[:50], LENGTH]
        for name in ("film.mp4", "film.gif"):
            write_film(tmp_path / name, reader, 3, fps=5, context=2.0, side=301)
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == LENGTH and film.info["duration"] == 200
        size = film.size
    capture = cv2.VideoCapture(str(tmp_path / "film.mp4"))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1][..., ::-1])
    capture.release()
    assert len(frames) == LENGTH
    assert frames[0].shape[:2] == (size[1] + size[1] % 2, size[0] + size[0] % 2)
    assert np.abs(frames[0][:50, : size[0]].astype(int) - expected[0]).mean() < 12
    assert all(np.abs(a.astype(int) - b).mean() > 1 for a, b in itertools.pairwise(frames))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["film.gif", "film.mp4"]


def test_the_command_and_what_it_refuses(sample, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["datasets", "view", str(sample), *map(str, arguments)])
        return command.main()

    assert run("--count", 3, "--frames", 99) == 0
    assert f"P-0.5.png: windows 0, 2, 5 of {sample}" in capsys.readouterr().out
    with Image.open("P-0.5.png") as picture:
        assert picture.format == "PNG" and picture.size[0] == 2 * 16 + 4 * 240 + 3 * 12
    assert run("--video", "Straße", "--out", "one.jpg") == 0
    assert "windows 3, 4, 5 of" in capsys.readouterr().out
    with Image.open("one.jpg") as picture:
        assert picture.format == "JPEG"
    assert run("--window", 1, "--out", "one.gif") == 0
    for arguments, said in [
        (("--out", "sheet.h5"), "--out sheet.h5: name a file that ends in .png, .jpg, .jpeg, .mp4, .gif"),
        (("--window", 2, 6), "P-0.5.h5: has no window 6. It has 6: count from 0"),
        (("--video", "Strasse"), "has no window of a video 'Strasse'. Name one of its 2, such as 'Straße'"),
        (("--video", "Straße", "--window", 0), "name windows or a video, not both"),
        (("--video", "Straße", "--out", "a.mp4"), "a film shows one window, not 3: name it with --window"),
        (("--frames", 0), "--frames 0: give a number from 1 to 1000"),
        (("--context", "nan"), "--context nan: give a number from 0.1 to 1000"),
        (("--context", 1e-9), "--context 1e-09: give a number from 0.1 to 1000"),
        (("--window", 1, "--out", "a.mp4", "--fps", "inf"), "--fps inf: give a number from 0.1 to 1000"),
        (("--window", 1, "--out", "a.gif", "--fps", 1e-9), "--fps 1e-09: give a number from 0.1 to 1000"),
    ]:
        assert run(*arguments) == 2
        assert said in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["P-0.5.png", "one.gif", "one.jpg"]


def test_a_film_that_the_disk_has_no_room_for_is_refused(sample, tmp_path, small_files):
    with TransferReader(sample) as reader, pytest.raises(DataError, match=r"film\.mp4: cannot be written"):
        write_film(tmp_path / "film.mp4", reader, 3)
    assert not list(tmp_path.iterdir())


def test_an_empty_set_has_nothing_to_show(sample, tmp_path, capsys, monkeypatch):
    videos = [make_video(tmp_path, "alpha")]
    path, made = write_sample(tmp_path, videos)
    names = ("window_video", "window_start", "ground_truth", "absent", "teacher")
    write_set(
        path, changed(made, **{name: getattr(made, name)[:0] for name in names}), tmp_path / "frames.h5"
    )
    monkeypatch.setattr("sys.argv", ["datasets", "view", str(path)])
    assert command.main() == 2
    assert "has no window to show. Choose a set of a smaller β" in capsys.readouterr().err
