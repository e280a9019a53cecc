"""Outlines of images: the SVG files, and the PNG files rendered from them."""

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import run_command
from PIL import Image, ImageDraw

from figr_jax import vectors
from figr_jax.data import images, styles

SIZE = 32
FINE = 16  # points per pixel at which a shape is drawn


def grid():
    """Returns x and y of the points of a fine grid, in pixels."""
    along = (np.arange(SIZE * FINE) + 0.5) / FINE
    return along, along[:, None]


def disc(x, y, radius):
    across, down = grid()
    return np.hypot(across - x, down - y) < radius


def box(left, top, right, bottom):
    x, y = grid()
    return (left < x) & (x < right) & (top < y) & (y < bottom)


def draw(shape, ink=0, paper=255):
    """Renders a shape to an image, antialiased."""
    share = shape.reshape(SIZE, FINE, SIZE, FINE).mean((1, 3))
    return (paper + (ink - paper) * share).round().astype(np.uint8)[..., None]


def overlap(image, shape, paper=255):
    """Returns the intersection over union of the rendered ink and a shape."""
    ink = vectors.render(image, SIZE * FINE, paper) > 127
    return (ink & shape).sum() / (ink | shape).sum()


def trace(image, paper=255):
    """Returns the commands of the only path of the SVG of an image."""
    root = ElementTree.fromstring(vectors.to_svg(image, paper))
    assert root.get("viewBox") == "0 0 24 24"
    (path,) = root.findall("{*}path")
    assert path.get("fill") == "currentColor"
    return re.sub("[^MLCZ]", "", path.get("d"))


@pytest.mark.parametrize("colours", [(0, 255), (255, 0), (60, 200)])
def test_a_disc_is_one_smooth_outline_of_few_nodes(colours):
    shape = disc(16, 15, 9)
    image = draw(shape, *colours)
    assert re.fullmatch("MC{2,6}Z", trace(image, colours[1]))
    assert overlap(image, shape, colours[1]) > 0.95


def test_a_box_has_four_sharp_corners():
    shape = box(5.3, 8, 26, 22.5)
    assert trace(draw(shape)) == "MLLLZ"
    assert overlap(draw(shape), shape) > 0.95


def test_curves_do_not_loop_at_corners():
    rng = np.random.default_rng(0)
    for _ in range(20):
        corners = rng.uniform(4, 28, (6, 2)).repeat(2, 0).ravel()[2:-2]
        strokes = Image.new("L", (SIZE * FINE,) * 2)
        for line in corners.reshape(-1, 4):
            ImageDraw.Draw(strokes).line([*(line * FINE)], 255, width=FINE * 3 // 2)
        for outline in vectors.trace(draw(np.array(strokes) > 0), 255):
            for ends in outline:
                chord = abs(ends[-1] - ends[0])
                handles = np.abs(ends[[1, -2]] - ends[[0, -1]])
                assert len(ends) == 2 or max(handles) < 1.5 * chord + 0.1


def test_a_ring_has_a_hole():
    shape = disc(16, 16, 12) & ~disc(16, 16, 6)
    assert trace(draw(shape)).count("M") == 2
    assert overlap(draw(shape), shape) > 0.95


def test_shapes_end_at_the_border():
    shape = box(-1, 10, 40, 22)
    assert overlap(draw(shape), shape) > 0.95


def test_ink_may_cover_the_border():
    shape = ~disc(16, 16, 10)
    assert overlap(draw(shape), shape) > 0.95


def test_a_speck_is_dropped_and_the_dot_of_an_i_is_not():
    letter = box(14, 12, 18, 28) | disc(16, 7, 2)
    assert trace(draw(letter)).count("M") == 2
    large = disc(16, 16, 9)
    speck, pinhole = disc(29, 3, 0.8), disc(16, 16, 0.8)
    assert trace(draw(large | speck)).count("M") == 1
    assert trace(draw(large & ~pinhole)).count("M") == 1


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_blank_image_has_no_outline(grey):
    noise = np.random.default_rng(0).integers(-9, 9, (SIZE, SIZE, 1))
    image = (grey + noise).clip(0, 255).astype(np.uint8)
    root = ElementTree.fromstring(vectors.to_svg(image, grey))
    assert root.get("viewBox") and not len(root)
    assert not vectors.render(image, 64, grey).any()


@pytest.mark.parametrize("size", [8, 32])
def test_noise_is_traced(size):
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 1)).astype(np.uint8)
    ElementTree.fromstring(vectors.to_svg(noise, 255))
    assert vectors.render(noise, 100, 255).shape == (100, 100)


def test_an_opaque_svg_has_the_colours_of_the_image():
    for ink, paper, names in ((0, 255, "black white"), (255, 0, "white black")):
        svg = vectors.to_svg(
            draw(disc(16, 16, 9), ink, paper), paper, transparent=False
        )
        root = ElementTree.fromstring(svg)
        assert f"{root.get('color')} {root[0].get('fill')}" == names


def test_the_svg_renders_like_the_png():
    resvg = pytest.importorskip("resvg_py", reason="needs the extra [icons]")
    image = draw(disc(12, 12, 10) & ~disc(12, 12, 5) | box(18, 18, 30, 22))
    svg = vectors.to_svg(image, 255, transparent=False)
    png = resvg.svg_to_bytes(svg_string=svg, width=256, height=256)
    dark = images.from_pil(Image.open(io.BytesIO(bytes(png))), 1) < 128
    assert np.mean(dark[..., 0] == (vectors.render(image, 256, 255) > 127)) > 0.995


def test_the_studio_exports_colours_and_either_polarity():
    pytest.importorskip("vtracer", reason="the extra `studio` is not installed")
    from figr_jax.studio import exports

    def read(image, paper, transparent):
        style = styles.plain(paper)
        svg = exports.to_svg(image, style, transparent)
        assert ElementTree.fromstring(svg).get("viewBox") == "0 0 24 24"
        png = exports.to_png(image, 64, style, transparent)
        return np.asarray(Image.open(io.BytesIO(png)))

    dark, light = draw(disc(16, 16, 9)), draw(disc(16, 16, 9), 255, 0)
    red = np.concatenate([np.full_like(dark, 255), dark, dark], axis=-1)
    for image, paper, ink in ((dark, 255, 0), (light, 0, 255), (red, 255, (255, 0, 0))):
        opaque, clear = read(image, paper, False), read(image, paper, True)
        assert np.all(opaque[0, 0] == paper) and np.all(opaque[32, 32] == ink)
        assert clear[0, 0, 3] == 0 and clear[32, 32, 3] == 255
    sheet = exports.to_sheet(np.stack([dark] * 3), 64, styles.plain(255))
    assert Image.open(io.BytesIO(sheet)).width > 3 * 64


def test_the_studio_keeps_the_tones_of_photos():
    pytest.importorskip("vtracer", reason="the extra `studio` is not installed")
    from figr_jax.studio import exports

    tones = np.tile(np.arange(0, 256, 8, np.uint8)[:, None], (SIZE, 1, 1))
    png = exports.to_png(tones, 64, styles.Style(128), False)
    assert len(np.unique(np.asarray(Image.open(io.BytesIO(png))))) > 32


def test_sample_writes_svg_files(workdir, tmp_path):
    Image.fromarray(draw(disc(16, 16, 9))[..., 0]).save(tmp_path / "disc.png")
    args = f"--checkpoint={workdir}", f"--support={tmp_path / 'disc.png'}"
    out = tmp_path / "out"
    run_command(
        "sample", *args, f"--out={out}", "--inner_steps=0", "--count=2", "--svg"
    )
    names = sorted(path.name for path in out.glob("generated_*"))
    assert names == [f"generated_00{i}.{x}" for i in (0, 1) for x in ("png", "svg")]
    image = images.decode(out / "generated_001.png", 1)
    assert (out / "generated_001.svg").read_text() == vectors.to_svg(image, 255)
