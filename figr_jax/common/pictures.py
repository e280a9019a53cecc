"""Image grids in the layout of the paper's figures, and plots."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from figr_jax.common import files
from figr_jax.data import images

_GAP = 1  # pixels around each image
_BETWEEN = 16  # pixels between panels
_RED = (220, 30, 30)
_BLUE = (40, 90, 220)
_GREY = (190, 190, 190)
_PAPER = (255, 255, 255)
_SMALLEST = 64  # pixels; smaller images are enlarged in a grid
_LARGE = 128  # pixels of an image before preparation


def _to_colour(pixels):
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels


def _tile(pixels, columns, frame):
    """Arranges images `[N, H, W, 3]` in rows of `columns`, each with a frame."""
    n, height, width, _ = pixels.shape
    rows = -(-n // columns)
    cell_height, cell_width = height + 2 * _GAP, width + 2 * _GAP
    sheet = np.full((rows * cell_height, columns * cell_width, 3), _PAPER, np.uint8)
    for i, image in enumerate(pixels):
        top, left = i // columns * cell_height, i % columns * cell_width
        sheet[top : top + cell_height, left : left + cell_width] = frame
        top, left = top + _GAP, left + _GAP
        sheet[top : top + height, left : left + width] = image
    return sheet


def panel(support, generated, columns):
    """Renders one class as in the paper: support framed in red, generated below.

    Args:
      support: `[shots, H, W, C]` uint8.
      generated: `[count, H, W, C]` uint8.
      columns: images in a row.

    Returns:
      `[height, width, 3]` uint8.
    """
    zoom = max(1, _SMALLEST // support.shape[1])
    support, generated = (
        _to_colour(pixels).repeat(zoom, axis=1).repeat(zoom, axis=2)
        for pixels in (support, generated)
    )
    return np.concatenate(
        [_tile(support, columns, _RED), _tile(generated, columns, _GREY)]
    )


def before_and_after(originals, support, columns):
    """Renders images before preparation (grey frames) and as the model sees them (red).

    Args:
      originals: list of `[H, W, C]` uint8, of any sizes.
      support: `[shots, size, size, C]` uint8.
      columns: images in a row.

    Returns:
      `[height, width, 3]` uint8.
    """
    before = np.stack([images.fit(original, _LARGE) for original in originals])
    zoom = max(1, _LARGE // support.shape[1])
    after = support.repeat(zoom, axis=1).repeat(zoom, axis=2)
    before, after = map(_to_colour, (before, after))
    columns = min(columns, len(support))
    return stack([_tile(before, columns, _GREY), _tile(after, columns, _RED)])


def compare(support, generated, nearest):
    """Renders one class: support (red), generated images (grey), nearest images (blue).

    Args:
      support: `[shots, H, W, C]` uint8.
      generated: `[count, H, W, C]` uint8.
      nearest: `[count, H, W, C]` uint8, for each the support image nearest to it.

    Returns:
      `[height, width, 3]` uint8, two rows of images.
    """
    support, generated, nearest = map(_to_colour, (support, generated, nearest))
    both = np.concatenate(
        [_tile(generated, len(generated), _GREY), _tile(nearest, len(nearest), _BLUE)]
    )
    return side_by_side([_tile(support, -(-len(support) // 2), _RED), both])


def stack(rows):
    """Stacks pictures, with white between them: `[height, width, 3]` uint8."""
    turned = [row.transpose(1, 0, 2) for row in rows]
    return side_by_side(turned).transpose(1, 0, 2)


def side_by_side(panels):
    """Joins panels in a row on white: `[height, width, 3]` uint8."""
    height = max(panel.shape[0] for panel in panels)
    width = sum(panel.shape[1] + _BETWEEN for panel in panels) - _BETWEEN
    row, left = np.full((height, width, 3), _PAPER, np.uint8), 0
    for panel in panels:
        row[: panel.shape[0], left : left + panel.shape[1]] = panel
        left += panel.shape[1] + _BETWEEN
    return row


def sheet(pixels, columns):
    """Arranges images in rows: `[N, H, W, C]` uint8 to `[height, width, 3]` uint8."""
    return _tile(_to_colour(pixels), min(columns, len(pixels)), _GREY)


def _draw(figure):
    """Renders a matplotlib figure as `[height, width, 3]` uint8."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def cumulative_density(values, quantity, title):
    """Plots the share of values that are at most x, over x.

    Args:
      values: `[n]` positive numbers.
      quantity: name of the values, for the x axis.
      title: title of the plot.

    Returns:
      `[height, width, 3]` uint8.
    """
    figure = Figure(figsize=(6.4, 4), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.ecdf(values)
    if max(values) > 20 * min(values):
        axes.set_xscale("log")
    else:
        axes.set_xlim(0, 1.1 * max(values))
    axes.set(xlabel=quantity, ylabel="share of classes", title=title)
    axes.grid(alpha=0.3)
    return _draw(figure)


def plane(points, anchors, x, y):
    """Plots named points in a plane.

    Args:
      points: dict of name to (x, y), the measured points.
      anchors: dict of name to (x, y), points to compare with.
      x: title of the x axis.
      y: title of the y axis.

    Returns:
      `[height, width, 3]` uint8.
    """
    figure = Figure(figsize=(9, 5), dpi=100, layout="constrained")
    axes = figure.subplots()
    # Points may overlap, so a legend names them.
    for i, (name, where) in enumerate(points.items()):
        axes.plot(*where, "osD^vPX*"[i % 8], color=f"C{i}", label=name, alpha=0.8)
    for i, (name, where) in enumerate(anchors.items()):
        axes.plot(*where, "x+1234|_"[i % 8], color="0.4", label=name)
    axes.set(xlabel=x, ylabel=y)
    axes.margins(0.1)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=8)
    return _draw(figure)


def curves(lines, x, title=""):
    """Plots several quantities over x, one plot each, with intervals.

    Args:
      lines: dict of the title of a quantity to a dict of the name of a line to its
        points, a list of (x, mean, low, high).
      x: title of the shared x axis.
      title: title of the whole picture.

    Returns:
      `[height, width, 3]` uint8.
    """
    columns = min(3, len(lines))
    rows = -(-len(lines) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.4 * rows), dpi=100, layout="constrained")
    plots = np.ravel(figure.subplots(rows, columns, squeeze=False))
    figure.suptitle(title, fontsize=10)
    for axes, (quantity, named) in zip(plots, lines.items(), strict=False):
        for name, line in named.items():
            where, mean, low, high = map(np.asarray, zip(*line, strict=True))
            axes.plot(where, mean, ".-", markersize=3, linewidth=1, label=name)
            axes.fill_between(where, low, high, alpha=0.2)
        axes.set(title=quantity, xlabel=x)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.title.set_size(9)
        axes.grid(alpha=0.3)
        if len(named) > 1:
            axes.legend(fontsize=7)
    for axes in plots[len(lines) :]:
        axes.axis("off")
    return _draw(figure)


def save(path, image):
    """Writes `[H, W, C]` uint8, C = 1 or 3, as a PNG, atomically."""
    files.write_bytes(path, images.encode(image))
