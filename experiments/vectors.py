"""Compares the outlines of generated icons with those of vtracer and potrace.

python experiments/vectors.py

Generates four icons of each of the 50 report classes of open_icons-32 and traces them
with figr_jax.vectors, and with the defaults of vtracer and of potrace, from the 32
pixels as they are and from 512 pixels (Lanczos). Needs the extras `icons` and `studio`,
and the command potrace, whose rows are left out without it.

nodes: points at which segments of a path meet. bytes: of the SVG file. iou:
intersection over union of the ink of the SVG, rendered by resvg at 512 x 512 pixels,
with the ink of the image enlarged to the same size, where ink is darker than halfway
between background and darkest pixel. The image is enlarged by splines, as
figr_jax.vectors does, and by three other filters, so that the measure favours no
tracer. soft iou: of grey levels, where the rendering is reduced to the size of the
image: the sum of the lesser ink over the sum of the greater. It needs no threshold, and
stays below 1 where the image is grey. CPU seconds: per icon, of this process, which
leaves out potrace's own.

Writes experiments/results/vectors.json, and vectors.png: the first icon of each of the
first twelve classes, and to its right the SVG.
"""

import io
import shutil
import subprocess
import time
from xml.etree import ElementTree

import numpy as np
import records
import resvg_py
import tqdm
import vtracer
from absl import flags
from fontTools.pens import recordingPen
from fontTools.svgLib import path as svg_paths
from PIL import Image
from scipy import ndimage

from figr_jax import generation, vectors
from figr_jax.common import command, compilation, pictures
from figr_jax.data import bank as banks
from figr_jax.data import episodes, images

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where prepared data sets live.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of supports, adaptation and latents.")

CHECKPOINT = "open_icons-32"
COUNT = 4  # icons of a class
LARGE = 512  # pixels
SHOWN, SHOWN_SIZE, COLUMNS = 12, 256, 6
PAPER = 255  # grey level of the background of all icons
MANY = 60  # nodes


def generate(model):
    """Generates `COUNT` icons of each report class: `[classes, COUNT, H, W, 1]`."""
    config = model.config
    bank = banks.load(
        config.dataset.name, config.dataset.image_size, 1, _DATA_DIR.value
    )
    split = model.split(bank)
    drawn = []
    for index in tqdm.tqdm(split.find(split.report, bank.names), unit=" classes"):
        support = episodes.support(bank, index, config.inner.shots, _SEED.value)
        drawn.append(model.adapt(support, _SEED.value).generate(COUNT, _SEED.value))
    return np.stack(drawn)


def enlarge(image, resampling):
    """Enlarges `[H, W, 1]` uint8 to `[LARGE, LARGE]` uint8 by a filter of Pillow."""
    pixels = Image.fromarray(image[..., 0])
    return np.asarray(pixels.resize((LARGE, LARGE), Image.Resampling[resampling]))


def find_ink(image, resampling):
    """Returns the ink of an image enlarged by a filter: `[LARGE, LARGE]` bool."""
    if resampling == "SPLINE":
        grey, zoom = image[..., 0].astype(float), LARGE // len(image)
        large = ndimage.zoom(grey, zoom, order=3, mode="nearest", grid_mode=True)
    else:
        large = enlarge(image, resampling)
    return large < (PAPER + float(image.min())) / 2


def run_vtracer(pixels):
    """Traces `[H, W]` uint8 with vtracer's defaults for black and white."""
    return vtracer.convert_raw_image_to_svg(
        images.encode(np.stack([pixels] * 3, axis=-1)),
        img_format="png",
        colormode="binary",
    )


def run_potrace(pixels):
    """Traces `[H, W]` uint8 with potrace's defaults."""
    header = b"P5 %d %d 255\n" % pixels.shape[::-1]
    given = header + pixels.tobytes()
    arguments = ["potrace", "--svg", "--output=-", "-"]
    return subprocess.run(
        arguments, input=given, capture_output=True, check=True
    ).stdout


TRACERS = {
    "figr_jax": lambda image: vectors.to_svg(image, PAPER),
    "vtracer, 32 pixels": lambda image: run_vtracer(image[..., 0]),
    "vtracer, 512 pixels": lambda image: run_vtracer(enlarge(image, "LANCZOS")),
    "potrace, 32 pixels": lambda image: run_potrace(image[..., 0]),
    "potrace, 512 pixels": lambda image: run_potrace(enlarge(image, "LANCZOS")),
}
FILTERS = "SPLINE", "LANCZOS", "BICUBIC", "BILINEAR"


def render(svg, size):
    """Renders an SVG with resvg to `[size, size, 1]` uint8."""
    root = ElementTree.fromstring(svg)
    if not root.get("viewBox"):
        root.set("viewBox", f"0 0 {root.get('width')} {root.get('height')}")
    root.attrib.pop("width", None), root.attrib.pop("height", None)
    text = ElementTree.tostring(root, "unicode")
    png = resvg_py.svg_to_bytes(
        svg_string=text, width=size, height=size, background="white"
    )
    return images.decode(io.BytesIO(bytes(png)), 1)


def count_nodes(svg):
    """Counts the nodes of all paths of an SVG."""
    count = 0
    for path in ElementTree.fromstring(svg).iter():
        if path.tag.endswith("}path"):
            pen = recordingPen.RecordingPen()
            svg_paths.parse_path(path.get("d"), pen)
            count += _count_nodes(pen.value)
    return count


def _count_nodes(drawn):
    """Counts the nodes of a path; one that closes a loop at its start is no other."""
    count, start = 0, None
    for verb, points in drawn:
        if verb == "moveTo":
            start = points[-1]
        elif verb in ("lineTo", "curveTo"):
            last = points[-1]
            count += 1
        elif verb == "closePath" and not np.allclose(last, start, atol=1e-3):
            count += 1
    return count


def measure(tracer, drawn):
    """Measures a tracer on icons `[n, H, W, 1]`.

    Returns:
      A dict, and the SVG files.
    """
    begin = time.process_time()
    traced = [tracer(image) for image in drawn]
    seconds = (time.process_time() - begin) / len(drawn)
    nodes = np.array([count_nodes(svg) for svg in traced])
    rendered = [render(svg, LARGE)[..., 0] < 128 for svg in traced]
    overlaps = {}
    for resampling in FILTERS:
        inks = [find_ink(image, resampling) for image in drawn]
        both = zip(rendered, inks, strict=True)
        overlaps[resampling.lower()] = [
            (x & y).sum() / max((x | y).sum(), 1) for x, y in both
        ]
    measured = {
        "nodes, median": float(np.median(nodes)),
        "nodes, 90th percentile": float(np.quantile(nodes, 0.9)),
        f"share of at most {MANY} nodes": float(np.mean(nodes <= MANY)),
        "bytes, median": float(np.median([len(svg) for svg in traced])),
        "CPU seconds": seconds,
        "iou, mean": {
            resampling: float(np.mean(x)) for resampling, x in overlaps.items()
        },
        "iou, 5th percentile": {
            resampling: float(np.quantile(x, 0.05))
            for resampling, x in overlaps.items()
        },
        "soft iou, mean": float(np.mean(list(map(compare_grey, drawn, traced)))),
    }
    return measured, traced


def compare_grey(image, svg):
    """Returns the soft IoU of an icon and its SVG."""
    side, zoom = len(image), LARGE // len(image)
    grey = render(svg, LARGE).reshape(side, zoom, side, zoom).mean((1, 3))
    inks = np.stack([PAPER - grey, PAPER - image[..., 0]])
    return inks.min(0).sum() / max(inks.max(0).sum(), 1)


def show(drawn, traced):
    """Renders icons, each with its SVG at the right: `[height, width, 3]` uint8."""
    zoom = SHOWN_SIZE // drawn.shape[1]
    cells = []
    for image, svg in zip(drawn, traced, strict=True):
        cells += [image.repeat(zoom, 0).repeat(zoom, 1), render(svg, SHOWN_SIZE)]
    return pictures.sheet(np.stack(cells), COLUMNS)


def main():
    """Generates, traces, measures, writes."""
    compilation.keep_programs()
    drawn = generate(generation.load(CHECKPOINT))
    drawn = drawn.reshape(-1, *drawn.shape[2:])
    rows = {}
    for name, tracer in TRACERS.items():
        if name.startswith("potrace") and not shutil.which("potrace"):
            rows[name] = "left out: no command potrace"
            continue
        rows[name], traced = measure(tracer, drawn)
        print(name, rows[name], flush=True)
        if name == "figr_jax":
            shown = slice(0, SHOWN * COUNT, COUNT)
            picture = show(drawn[shown], traced[shown])
            pictures.save(records.RESULTS / "vectors.png", picture)
    record = {"checkpoint": CHECKPOINT, "seed": _SEED.value, "icons": len(drawn)}
    records.write("vectors.json", record | {"tracers": rows})


if __name__ == "__main__":
    command.run(main)
