"""Drawing: a plan becomes frames, one after the other, with the ground truth's box.

In continuous image coordinates pixel i covers [i, i + 1); OpenCV's warps count centres, hence the halves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from datasets.boxes import Boxes, enclosing, from_corners, to_corners
from datasets.synthetic.motion import Actor, apply, chained
from datasets.synthetic.scene import Scene, plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from datasets.synthetic.options import SyntheticOptions
    from datasets.synthetic.sprites import Part
    from datasets.synthetic.textures import Field, Image

ABSENT = (-1.0, -1.0, -1.0, -1.0)
"""The box of a frame in which the target cannot be seen, as GOT-10k writes it."""

LEAST_VISIBLE = 1 / 16
"""A target of which less can be seen is absent: its cover label would round to 0."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One image and what is known about its target.

    Attributes:
        image: uint8 (H, W, 3), BGR.
        box: float32 (4,), the silhouette's extents as if nothing hid it, cut by the image, or `ABSENT`.
        visible: Share of the silhouette's area that is neither hidden nor outside the image, 0..1.
        cut: The silhouette leaves the image.
    """

    image: Image
    box: Boxes
    visible: float
    cut: bool


@dataclass(frozen=True, eq=False)
class Layer:
    """A drawn figure: uint8 (h, w, 4), BGR multiplied by alpha, alpha; and where its top-left pixel lies."""

    pixels: Image
    left: int
    top: int


def outlines(actor: Actor, frame: int) -> list[NDArray[np.float64]]:
    """The polygons of a figure's parts in image coordinates; their union is its silhouette."""
    pose, polygons = actor.matrix(frame), []
    for part in actor.sprite:
        points = part.outline
        if part.joint.wave:
            points = np.stack([points[:, 0], points[:, 1] + part.joint.rise(points[:, 0], frame)], axis=-1)
        polygons.append(apply(chained(pose, part.joint.turn(frame)), points))
    return polygons


def silhouette(actor: Actor, frame: int) -> NDArray[np.float64]:
    """The tight box around a figure, not cut by the image, float64 (4,)."""
    return enclosing(np.concatenate(outlines(actor, frame)).ravel())


def cut_to(box: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """The part of a box within an image of (W, H); without area if they do not meet."""
    width, height = size
    return from_corners(np.clip(to_corners(box), 0, [width, height, width, height]))


def _warped(
    part: Part, matrix: NDArray[np.float64], frame: int, corner: tuple[int, int], size: tuple[int, int]
) -> Image:
    """One part drawn into a rectangle of `size` (w, h) whose top-left pixel is `corner`."""
    shrink = np.sqrt(abs(np.linalg.det(matrix[:, :2]))) / part.density
    depth = int(np.clip(np.floor(-np.log2(max(shrink, 1e-6)) + 0.3), 0, len(part.levels) - 1))
    texture, density = part.levels[depth], part.density / 2**depth
    inverse = np.linalg.inv(matrix[:, :2])
    start = inverse @ (np.asarray(corner) + 0.5 - matrix[:, 2])
    if not part.joint.wave:
        offset = (start - part.origin) * density - 0.5
        back = np.concatenate([inverse * density, offset[:, None]], axis=1)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(texture, back, size, flags=flags), np.uint8)
    x, y = np.arange(size[0]), np.arange(size[1])[:, None]
    local_x = start[0] + inverse[0, 0] * x + inverse[0, 1] * y
    local_y = start[1] + inverse[1, 0] * x + inverse[1, 1] * y - part.joint.rise(local_x, frame)
    map_x = ((local_x - part.origin[0]) * density - 0.5).astype(np.float32)
    map_y = ((local_y - part.origin[1]) * density - 0.5).astype(np.float32)
    return np.asarray(cv2.remap(texture, map_x, map_y, cv2.INTER_LINEAR), np.uint8)


def _over(below: Image, above: Image) -> Image:
    """Lay premultiplied pixels over others of 3 or 4 channels."""
    rest = 255 - above[..., 3]
    kept = cv2.multiply(below, cv2.merge([rest] * below.shape[2]), scale=1 / 255)
    return np.asarray(cv2.add(kept, np.ascontiguousarray(above[..., : below.shape[2]])), np.uint8)


def streak(motion: NDArray[np.float64]) -> Field | None:
    """The kernel of a motion of (dx, dy) pixels while the shutter is open; None if too short to be seen."""
    length = float(np.hypot(*motion))
    if length < 1.2:
        return None
    motion = motion * min(1.0, 31 / length)
    half = int(np.ceil(np.abs(motion).max() / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    end = motion / 2 * 16
    centre = np.array([half, half]) * 16
    a, b = np.round(centre - end).astype(int), np.round(centre + end).astype(int)
    cv2.line(kernel, a.tolist(), b.tolist(), (1.0,), 1, cv2.LINE_8, 4)
    result: Field = kernel / kernel.sum()
    return result


def draw(actor: Actor, frame: int, exposure: float, size: tuple[int, int], *, whole: bool) -> Layer | None:
    """Draw a figure.

    Args:
        actor: The figure and its way.
        frame: The frame's number.
        exposure: Share of a frame's time over which motion blurs it.
        size: (W, H) of the image.
        whole: Also draw what lies outside the image, so that its area is known.

    Returns:
        The layer, or None if no pixel of the figure lies in the image.
    """
    kernel = streak(actor.velocity(frame) * exposure)
    margin = 3 + (0 if kernel is None else kernel.shape[0] // 2)
    x, y, w, h = silhouette(actor, frame)
    left, top = int(np.floor(x)) - margin, int(np.floor(y)) - margin
    right, bottom = int(np.ceil(x + w)) + margin, int(np.ceil(y + h)) + margin
    if right <= 0 or bottom <= 0 or left >= size[0] or top >= size[1]:
        return None
    if not whole:
        left, top, right, bottom = (
            max(left, -margin),
            max(top, -margin),
            min(right, size[0] + margin),
            min(bottom, size[1] + margin),
        )
    pose, pixels = actor.matrix(frame), np.zeros((bottom - top, right - left, 4), np.uint8)
    for part in actor.sprite:
        drawn = _warped(
            part, chained(pose, part.joint.turn(frame)), frame, (left, top), (right - left, bottom - top)
        )
        pixels = _over(pixels, drawn) if len(actor.sprite) > 1 else drawn
    if kernel is not None:
        pixels = np.asarray(cv2.filter2D(pixels, -1, kernel, borderType=cv2.BORDER_CONSTANT), np.uint8)
    return Layer(pixels, left, top)


def _meeting(
    layer: Layer, left: int, top: int, width: int, height: int
) -> tuple[slice, slice, slice, slice] | None:
    """Where a layer meets a rectangle: rows and columns of the rectangle, rows and columns of the layer."""
    x0, y0 = max(layer.left, left), max(layer.top, top)
    x1 = min(layer.left + layer.pixels.shape[1], left + width)
    y1 = min(layer.top + layer.pixels.shape[0], top + height)
    if x0 >= x1 or y0 >= y1:
        return None
    return (
        slice(y0 - top, y1 - top),
        slice(x0 - left, x1 - left),
        slice(y0 - layer.top, y1 - layer.top),
        slice(x0 - layer.left, x1 - layer.left),
    )


def _lay(image: Image, layer: Layer) -> None:
    """Lay a figure over the image, in place."""
    met = _meeting(layer, 0, 0, image.shape[1], image.shape[0])
    if met is not None:
        image[met[0], met[1]] = _over(
            np.ascontiguousarray(image[met[0], met[1]]), layer.pixels[met[2], met[3]]
        )


def _visible(target: Layer, front: list[Layer], size: tuple[int, int]) -> float:
    """Share of the target's alpha that lies in the image and is not hidden."""
    seen: Field = np.zeros(target.pixels.shape[:2], np.float32)
    inside = _meeting(target, 0, 0, size[0], size[1])
    if inside is None:
        return 0.0
    seen[inside[2], inside[3]] = target.pixels[inside[2], inside[3], 3]
    for layer in front:
        met = _meeting(layer, target.left, target.top, seen.shape[1], seen.shape[0])
        if met is not None:
            seen[met[0], met[1]] *= 1 - layer.pixels[met[2], met[3], 3] / np.float32(255)
    return float(seen.sum(dtype=np.float64) / target.pixels[..., 3].sum(dtype=np.float64))


def _background(scene: Scene, frame: int) -> Image:
    """The part of the place that the camera sees."""
    x, y, zoom, roll = scene.camera[frame]
    c, s = np.cos(roll) / zoom, np.sin(roll) / zoom
    linear = np.array([[c, -s], [s, c]])
    offset = np.array([x, y]) + linear @ (0.5 - np.asarray(scene.size) / 2) - 0.5
    back = np.concatenate([linear, offset[:, None]], axis=1)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    image = cv2.warpAffine(scene.place, back, scene.size, flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    before = scene.camera[max(frame - 1, 0), :2]
    kernel = streak((scene.camera[frame, :2] - before) * zoom * scene.exposure)
    return np.asarray(image if kernel is None else cv2.filter2D(image, -1, kernel), np.uint8)


def _developed(scene: Scene, image: Image, frame: int) -> Image:
    """Light, and the sensor's noise."""
    tones = np.arange(256)[:, None] * scene.gains[frame]
    table = np.clip(np.round(tones), 0, 255).astype(np.uint8)
    row, column = scene.noise_place[frame]
    grain = scene.noise[row : row + image.shape[0], column : column + image.shape[1]]
    return np.asarray(cv2.add(cv2.LUT(image, table[None]), grain, dtype=cv2.CV_8U), np.uint8)


def draw_frame(scene: Scene, frame: int) -> Frame:
    """Draw one frame of a plan; frames are independent of each other."""
    image = _background(scene, frame)
    size = scene.size
    for actor in scene.behind:
        layer = draw(actor, frame, scene.exposure, size, whole=False)
        if layer is not None:
            _lay(image, layer)
    target = draw(scene.target, frame, scene.exposure, size, whole=True)
    drawn = (draw(actor, frame, scene.exposure, size, whole=False) for actor in scene.front)
    front = [layer for layer in drawn if layer is not None]
    for layer in [*([] if target is None else [target]), *front]:
        _lay(image, layer)
    whole = silhouette(scene.target, frame)
    box = cut_to(whole, size)
    visible = 0.0 if target is None or box[2:].min() < 1 else _visible(target, front, size)
    if visible < LEAST_VISIBLE:
        return Frame(_developed(scene, image, frame), np.asarray(ABSENT, np.float32), 0.0, cut=False)
    # Four decimals, as in the file: the box in memory is the box that a reader of the file gets.
    rounded = np.round(box, 4).astype(np.float32)
    return Frame(_developed(scene, image, frame), rounded, visible, cut=bool(np.abs(whole - box).max() > 0))


def render(seed: int, index: int, options: SyntheticOptions) -> Iterator[tuple[Image, Boxes, float]]:
    """Draw one video, frame by frame.

    Args:
        seed: The seed; `options.seed` does not count.
        index: Which video, from 0.
        options: The rest; `options.videos` does not count.

    Yields:
        (image, box, visible): uint8 (H, W, 3) BGR; float32 (4,), (x, y, w, h), `ABSENT` where the target is
        absent; and the share of the target that can be seen, 0 where it is absent.
    """
    scene = plan(index, options.model_copy(update={"seed": seed}))
    for t in range(scene.length):
        frame = draw_frame(scene, t)
        yield frame.image, frame.box, frame.visible
