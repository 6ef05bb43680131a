"""The scenes that the slim networks are trained on: their parts, their poses, their lens."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from datasets.boxes import centres
from datasets.synthetic.motion import apply
from datasets.synthetic.sprites import ellipse
from teachers.training.lens import Lens, developed
from teachers.training.pairs import pair
from teachers.training.poses import draw_limbs, drawn_poses, over, tight_box
from teachers.training.scenes import plan
from teachers.training.things import CANVAS, limb, silhouette, turned

pytestmark = pytest.mark.usefixtures("one_thread")

CLEAR = Lens((1.0, 1.0, 1.0), 1.0, 0.0, (0.0, 0.0), 0.0, 0.0, (0, 0), 0, grey=False)


def test_a_part_of_a_scene_is_that_part_of_its_image():
    for index in range(6):
        scene = plan(0, index, 2)
        scene = replace(scene, lenses=(CLEAR, CLEAR))
        left, top, right, bottom = 13, 21, scene.size[0] - 17, scene.size[1] - 9
        for moment in (0, 1):
            part, whole = scene.draw(moment, (left, top, right, bottom)), scene.draw(moment)
            off = np.abs(part.astype(int) - whole[top:bottom, left:right])
            assert off.mean() < 1


def test_a_pairs_box_shows_what_the_scenes_box_shows():
    """The search region is of the later moment, and its box is where the target is then."""
    likeness = []
    for index in range(12):
        scene, made = plan(0, index, 2), pair(0, index, 223)
        (x, y, w, h), (u, v, p, q) = scene.boxes[1], made.box
        outer = np.float32([[x, y], [x + w, y], [x, y + h]]), np.float32([[u, v], [u + p, v], [u, v + q]])
        to = np.float32([[0, 0], [32, 0], [0, 32]])
        seen = [
            cv2.warpAffine(image, cv2.getAffineTransform(corners, to), (32, 32)).astype(float)
            for image, corners in zip((scene.draw(1), made.search), outer, strict=True)
        ]
        likeness.append(np.corrcoef(*(cv2.blur(s, (3, 3)).ravel() for s in seen))[0, 1])
    assert np.median(likeness) > 0.9


def test_nothing_hides_the_target_of_an_exemplar():
    hidden = next(s for s in (plan(0, i, 2) for i in range(60)) if s.front)
    without = replace(hidden, front=())
    np.testing.assert_array_equal(hidden.draw(0), without.draw(0))
    assert not np.array_equal(hidden.draw(1), without.draw(1))


def test_the_middle_of_the_box_is_that_of_the_silhouette():
    """To a tenth of a pixel, whatever the size: the picture is neither shifted when drawn nor when measured."""
    part = limb(np.full((CANVAS, CANVAS, 3), 90, np.uint8), silhouette([ellipse(0, 0, 0.5, 0.3)]))
    for size in (20.0, 47.0, 60.0, 150.0):
        poses = drawn_poses(np.random.default_rng(3), 2, np.array([[70.3, 50.6]] * 2), size, 0.0)
        box = tight_box(draw_limbs((part,), replace(poses, bend=None), 1))
        np.testing.assert_allclose(centres(box), [70.3, 50.6], atol=0.1)


def test_a_layer_hides_what_it_covers_and_leaves_the_rest():
    below = np.full((1, 3, 3), 100, np.uint8)
    above = np.uint8([[[0, 0, 0, 0], [10, 20, 30, 128], [10, 20, 30, 255]]])
    assert over(below, above).tolist() == [[[100, 100, 100], [60, 70, 80], [10, 20, 30]]]


def test_a_limb_turns_around_its_pivot():
    part = limb(np.zeros((CANVAS, CANVAS, 3), np.uint8), silhouette([ellipse(0, 0, 0.5, 0.3)]), (0.2, -0.3))
    matrix = turned(part, np.pi / 2)
    np.testing.assert_allclose(apply(matrix, np.array([[0.2, -0.3], [1.2, -0.3]])), [[0.2, -0.3], [0.2, 0.7]])


def test_a_lens_does_what_it_says():
    image = np.random.default_rng(0).integers(60, 180, (40, 50, 3), np.uint8)
    np.testing.assert_array_equal(developed(image, CLEAR), image)
    levels = image.astype(float)
    brighter = developed(image, replace(CLEAR, gains=(1.2, 1.0, 0.8), gamma=0.8, haze=0.1))
    wanted = 255 * ((levels / 255) ** 0.8 * 0.9 + 0.06) * (1.2, 1.0, 0.8)
    np.testing.assert_allclose(brighter, wanted.clip(0, 255), atol=0.51)
    noisy = developed(image, replace(CLEAR, noise=6.0)) - levels
    assert 5 < noisy.std() < 9 and abs(noisy.mean()) < 1.5
    grey = developed(image, replace(CLEAR, noise=6.0, grey=True))
    assert np.ptp(grey, axis=2).max() == 0 and grey.std() > 10
    for blurred in ({"defocus": 1.5}, {"motion": (9.0, 0.0)}):
        assert developed(image, replace(CLEAR, **blurred)).std() < 0.8 * image.std()
    assert 0 < np.abs(developed(image, replace(CLEAR, quality=60)) - levels).mean() < 30
