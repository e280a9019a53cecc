"""Preparation of users' drawings, so that they look like a model's data.

A photo or a scan becomes ink on paper, is cropped to the ink, centred, and shrunk so
that thin strokes stay dark. Images that already look like the model's data are only
resized.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from figr_jax.data import images, styles

_MAX_SIDE = 2048  # pixels of the longer side; larger drawings are shrunk first
_LIGHT_SIDE = 256  # pixels of the longer side on which uneven light is estimated
_FINE = 8  # pixels per pixel of the result, at which strokes are thickened
_MIN_CONTRAST = 24  # grey levels; below it a drawing is blank
_SPECK = 0.01  # of the largest connected component; smaller ones are dust
_STROKE = 0.16  # of the side; where brightness varies, wider dark areas are shadow
_EDGE = 0.03  # of the shorter side: margin with a frame or the edge of a scan
_THIN = 0.012  # of the shorter side: a frame with thinner lines is always erased
_SMALL = 0.6  # of the image; a larger drawing may include lines at the edge
_SHEET = 0.25  # of the picture: the smallest sheet of paper on a dark desk
_UNEVEN = 10  # grey levels by which paper differs from its median in uneven light
_MANY_GREYS = 1.5  # half-inked pixels for each fully inked one
_PHOTO_SIDE = 128  # pixels of the longer side; smaller images are grey from scaling


class Prepared(NamedTuple):
    """Images as a model sees them, and how each was prepared.

    Attributes:
      support: `[shots, H, W, C]` uint8.
      swapped: `[shots]` bool, whether dark and light were swapped.
      redrawn: `[shots]` bool, whether the ink was cropped, centred and cleaned.
      blank: `[shots]` bool, whether there is almost no ink.
      photo: `[shots]` bool, whether it does not seem to be a drawing on plain paper:
        many pixels are half inked, or the paper ends within the picture.
    """

    support: np.ndarray
    swapped: np.ndarray
    redrawn: np.ndarray
    blank: np.ndarray
    photo: np.ndarray


class _Traced(NamedTuple):
    """A drawing reduced to its ink."""

    ink: np.ndarray | None  # [h, w] in [0, 1], cropped; None: blank
    on_dark: bool  # True: the ink is lighter than the paper
    is_photo: bool


def prepare(drawings, size, style, invert=None, redraw=True):
    """Prepares drawings as the support of a model.

    Images of exactly the model's size, and drawings that look like the model's data
    (`styles.looks_alike`), are only resized, and dark and light swapped if needed.

    Args:
      drawings: list of `[H, W, C]` uint8, of any sizes.
      size: height and width of the result, pixels.
      style: `styles.Style` of the model's data.
      invert: whether to swap dark and light. None decides for each grey image: a
        redrawn one is swapped if its ink is lighter than its paper and the model's is
        not, or the reverse; any other if its background is nearer to the inverse of the
        model's. It never swaps images in colour.
      redraw: False only resizes images, whatever they look like.

    Returns:
      `Prepared`.
    """
    support = np.stack([images.fit(drawing, size) for drawing in drawings])
    swapped = _find_swapped(support, style.background, invert)
    support = np.where(swapped[:, None, None, None], 255 - support, support)
    blank = np.ptp(support, axis=(1, 2)).max(-1) < _MIN_CONTRAST
    redrawn = np.array([d.shape != support.shape[1:] for d in drawings])
    if not redraw or style.low is None or styles.looks_alike(support[redrawn], style):
        redrawn[:] = False
    photo = np.zeros(len(drawings), bool)
    for i in np.flatnonzero(redrawn):
        if drawings[i].shape[-1] == 3:
            centred = images.centre(drawings[i], style.middle.extent)
            fitted = images.fit(centred, size)
            support[i] = 255 - fitted if swapped[i] else fitted
            continue
        traced = trace(drawings[i])
        drawn = _draw(traced.ink, size, style)
        needs_swap = traced.on_dark != (style.background < 128)
        swapped[i] = needs_swap if invert is None else invert
        support[i] = drawn if swapped[i] == needs_swap else 255 - drawn
        blank[i], photo[i] = traced.ink is None, traced.is_photo
    return Prepared(support, swapped, redrawn, blank, photo)


def _find_swapped(support, background, invert):
    if invert is not None:
        return np.full(len(support), invert)
    seen = np.array([images.background(image).mean() for image in support])
    is_grey = support.shape[-1] == 1
    return (np.abs(255 - seen - background) < np.abs(seen - background)) & is_grey


def trace(drawing):
    """Reduces a grey drawing, `[H, W, 1]` uint8, to its ink: `_Traced`."""
    grey = images.shrink(drawing, _MAX_SIDE)[..., 0]
    paper = np.median(_find_paper(grey))
    darkest, lightest = np.quantile(grey, (0.001, 0.999))
    on_dark = bool(lightest - paper > paper - darkest)
    depth = _flatten(255 - grey if on_dark else grey)
    noise = 1.4826 * np.median(np.abs(depth - np.median(depth)))
    # Not the maximum, which is a speck; not Otsu's threshold either: it needs two
    # comparable groups of pixels, and a pen covers a thousandth of its page.
    rank = -min(depth.size, max(8, depth.size // 50_000))
    full = np.partition(depth, rank, axis=None)[rank]
    if full < max(_MIN_CONTRAST, 4 * noise):
        return _Traced(None, on_dark, False)
    ink = np.clip((depth - max(0.25 * full, 4 * noise)) / (0.3 * full), 0, 1)
    ink = _drop_specks(_drop_edges(ink))
    if on_dark and (sheet := _find_sheet(ink)) is not None:
        paper = np.median(grey[sheet])
        traced = trace(np.where(sheet, grey, paper).astype(np.uint8)[..., None])
        if traced.ink is not None and not traced.on_dark:
            return traced
    rows, columns = (np.flatnonzero((ink > styles.INK).any(axis)) for axis in (1, 0))
    if not len(rows):
        return _Traced(None, on_dark, False)
    half_inked = np.sum((ink > 0.1) & (ink < 0.9)) / max(1, np.sum(ink >= 0.9))
    border = np.concatenate([ink[0], ink[-1], ink[:, 0], ink[:, -1]])
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    is_photo = half_inked > _MANY_GREYS and max(ink.shape) > _PHOTO_SIDE
    is_photo |= (border > styles.INK).mean() > 0.3  # the paper ends in the picture
    return _Traced(ink, on_dark, bool(is_photo))


def _find_sheet(ink):
    """Finds a sheet of paper on a dark desk: `[H, W]` bool, or None.

    `ink` is `[H, W]`, traced with the desk as paper: the sheet is a solid shape in it,
    and the drawing its holes. A sheet is large, and nearly an upright rectangle.
    """
    labels, count = _label(ink)
    if not count:
        return None
    largest = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    sheet = ndimage.binary_fill_holes(largest)
    box = ndimage.find_objects(sheet.astype(int))[0]
    is_sheet = (
        sheet.mean() > _SHEET
        and sheet[box].mean() > 0.85
        and 0.6 * sheet.sum() < largest.sum() < sheet.sum()
    )
    margin = max(2, round(0.02 * min(ink.shape)))
    return ndimage.binary_erosion(sheet, iterations=margin) if is_sheet else None


def _find_paper(grey):
    """Returns the pixels of a ring near the border, which are mostly paper."""
    height, width = grey.shape
    outer = round(_EDGE * min(height, width))
    inner = outer + max(1, outer)
    ring = np.ones((height, width), bool)
    ring[inner : height - inner, inner : width - inner] = False
    ring[:outer] = ring[height - outer :] = False
    ring[:, :outer] = ring[:, width - outer :] = False
    return grey[ring] if ring.any() else grey.ravel()


def _flatten(light):
    """Measures how much darker than the paper each pixel is, also in uneven light.

    Args:
      light: `[H, W]` uint8, dark ink on light paper.

    Returns:
      `[H, W]` float32, grey levels.
    """
    small = images.shrink(light[..., None], _LIGHT_SIDE)[..., 0]
    ring = _find_paper(small)
    paper = np.median(ring)
    darkest_paper = (paper + np.quantile(small, 0.001)) / 2
    varies = (np.abs(ring - paper) > _UNEVEN) & (ring > darkest_paper)
    if varies.mean() < 0.1 or max(light.shape) < _PHOTO_SIDE:
        return np.float32(paper) - light
    width = int(_STROKE * max(small.shape)) | 1
    closed = ndimage.grey_closing(ndimage.median_filter(small, 3), width)
    smooth = ndimage.gaussian_filter(np.float32(closed), width / 4, mode="nearest")
    smooth = Image.fromarray(smooth).resize(light.shape[::-1])
    return np.asarray(smooth) - light


def _label(ink):
    """Labels connected components of the ink from 1 `[H, W]`, and counts them."""
    return ndimage.label(ink > styles.INK, np.ones((3, 3)))


def _drop_edges(ink):
    """Erases a frame around the image, and the dark edges of a scan."""
    labels, count = _label(ink)
    height, width = ink.shape
    near = int(_EDGE * min(ink.shape)) + 1
    is_line, is_ring, is_thin = np.zeros((3, count + 1), bool)
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        tall, wide = rows.stop - rows.start, columns.stop - columns.start
        across = rows.start < near or rows.stop > height - near
        along = columns.start < near or columns.stop > width - near
        is_line[number] = (across and tall <= near and wide > 0.3 * width) or (
            along and wide <= near and tall > 0.3 * height
        )
        spans = tall > height - 2 * near and wide > width - 2 * near
        if spans:  # rare, while a noisy scan has thousands of components
            mask = labels == number
            is_ring[number] = not mask[near:-near, near:-near].any()
            thickness = mask.sum() / (2 * (tall + wide))
            is_thin[number] = thickness < _THIN * min(ink.shape)
    drops = is_line | is_ring
    rest = np.where(drops[labels], 0, ink)
    if _find_extent(rest) > _SMALL:  # lines at the edge may belong to the drawing
        rest = np.where((is_ring & is_thin)[labels], 0, ink)
    return rest if _find_extent(rest) else ink


def _find_extent(ink):
    """Returns the share of a side that the ink spans, the larger of both sides."""
    spans = [np.flatnonzero((ink > styles.INK).any(axis)) for axis in (1, 0)]
    pairs = zip(spans, ink.shape, strict=True)
    return max((np.ptp(span) + 1) / side if len(span) else 0 for span, side in pairs)


def _drop_specks(ink):
    """Erases components that are small next to the largest one, such as dust."""
    labels, count = _label(ink)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    stays = areas >= _SPECK * areas[1:].max(initial=0)
    stays[0] = False
    # Soft edges of a stroke are below the threshold: they stay with their neighbours.
    return np.where(ndimage.maximum_filter(stays[labels], 3), ink, 0)


def _draw(ink, size, style):
    """Renders traced ink in a style: centred, as large and as dark as its images."""
    drawn = np.zeros((size, size), np.float32)
    if ink is not None:
        square = _centre(ink, round(max(ink.shape) / style.middle.extent))
        fine = _resize(square, _FINE * size)
        distance = ndimage.distance_transform_edt(fine < styles.INK * fine.max())
        for radius in range(_FINE):
            thick = np.clip(radius + 1 - distance, 0, 1) if radius else fine
            drawn = _resize(thick, size)
            if styles.find_darkness(drawn) >= style.middle.darkness - 0.03:
                break
    full = 0 if style.background > 127 else 255
    image = style.background + drawn * (full - style.background)
    return image.round().clip(0, 255).astype(np.uint8)[..., None]


def _centre(ink, side):
    return images.pad(ink[..., None], max(side, *ink.shape), 0)[..., 0]


def _resize(ink, size):
    resized = Image.fromarray(np.float32(ink)).resize(
        (size, size), Image.Resampling.BILINEAR
    )
    return np.asarray(resized)
