"""Vector graphics of images: smooth outlines of the ink, as an SVG or rendered."""

import itertools

import contourpy
import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.path import Path
from matplotlib.transforms import Affine2D
from scipy import ndimage

from figr_jax import bezier

VIEW = 24  # height and width of an SVG, in its own units
SVG = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {VIEW} {VIEW}"'
_ZOOM = 4  # samples of the smooth image per pixel, in each direction
_SAMPLES = 256  # per row; a larger image has fewer per pixel, but at least one
_TOLERANCE = 0.2  # distance from an outline to its curves, pixels of the image
_SPECK = 0.01  # share of the ink below which a part, or a hole, is dropped
_CONTRAST = 64  # grey levels that ink differs from the background


def trace(image, background):
    """Traces the outlines of the ink of a grey image.

    The image is enlarged by cubic interpolation; outlines are where the grey level is
    halfway between that of the background and that of the ink. Parts and holes of less
    than a hundredth of the ink are dropped.

    Args:
      image: `[H, W, 1]` uint8, square.
      background: grey level of the background, as in the model's `styles.Style`; the
        border of an image may be covered by ink.

    Returns:
      A list of closed outlines, each a list of segments as `bezier.fit` returns them,
      scaled to `VIEW`. Holes are wound in the opposite direction. Empty if the image is
      blank.
    """
    contrast = image[..., 0] - float(background)
    ink = contrast.flat[np.abs(contrast).argmax()]
    if abs(ink) < _CONTRAST:
        return []
    zoom = max(1, min(_ZOOM, _SAMPLES // len(image)))
    smooth = ndimage.zoom(contrast / ink, zoom, order=3, mode="nearest", grid_mode=True)
    # The frame closes outlines that touch the border.
    lines = contourpy.contour_generator(z=np.pad(smooth, 1)).lines(0.5)
    loops = [((line[:-1] - 0.5) / zoom) @ [1, 1j] for line in lines]
    areas = np.array([_area(loop) for loop in loops])
    is_large = np.abs(areas) >= _SPECK * areas.sum()
    scale = VIEW / len(image)
    return [
        [scale * segment for segment in bezier.fit(loop, _TOLERANCE)]
        for loop in itertools.compress(loops, is_large)
    ]


def _area(loop):
    """Computes the area of a polygon of complex points; negative for a hole."""
    return (loop.conj() * np.roll(loop, -1)).imag.sum() / 2


def render(image, size, background):
    """Renders the traced outlines of a grey image.

    Args:
      image: `[H, W, 1]` uint8, square.
      size: height and width, pixels.
      background: grey level of the background.

    Returns:
      `[size, size]` uint8, the share of each pixel that is ink, 255 for all of it.
    """
    renderer = RendererAgg(size, size, dpi=72)
    if outlines := trace(image, background):
        points, codes = [], []
        for outline in outlines:
            points.append(outline[0][:1])
            codes.append(Path.MOVETO)
            for segment in outline:
                points.append(segment[1:])
                codes += [Path.LINETO] if len(segment) == 2 else [Path.CURVE4] * 3
        points = np.concatenate(points)
        path = Path(np.stack([points.real, points.imag], axis=-1), codes)
        pen = renderer.new_gc()
        pen.set_linewidth(0)
        # The renderer's y axis points up.
        scale = Affine2D().scale(size / VIEW, -size / VIEW).translate(0, size)
        renderer.draw_path(pen, path, scale, (0, 0, 0))
    return np.asarray(renderer.buffer_rgba())[..., 3]


def to_svg(image, background, transparent=True):
    """Returns a grey image as an SVG with one path, whose colour is `currentColor`.

    Args:
      image: `[H, W, 1]` uint8, square.
      background: grey level of the background.
      transparent: leaves the background out; otherwise it is white if it is light, and
        black if it is dark.
    """
    path = "".join(map(_to_path, trace(image, background)))
    path = path and f'<path fill="currentColor" d="{path}"/>'
    if transparent:
        return f"{SVG}>{path}</svg>\n"
    ink, paper = ("white", "black") if background < 128 else ("black", "white")
    paper = f'<rect width="{VIEW}" height="{VIEW}" fill="{paper}"/>'
    return f'{SVG} color="{ink}">{paper}{path}</svg>\n'


def _to_path(outline):
    """Writes a closed outline in the language of SVG paths."""
    words = [f"M{_to_text(outline[0][:1])}"]
    words += ["LC"[len(x) == 4] + _to_text(x[1:]) for x in outline]
    if len(outline[-1]) == 2:
        words.pop()  # Z draws the last line
    return "".join(words) + "Z"


def _to_text(points):
    numbers = np.stack([points.real, points.imag], axis=-1).ravel()
    return " ".join(f"{x:g}" for x in numbers.round(2) + 0.0)  # not -0
