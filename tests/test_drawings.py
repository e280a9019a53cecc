"""Drawings of users reach the model as they were drawn."""

import io
import pathlib

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from figr_jax import kinds
from figr_jax.common import outputs
from figr_jax.common.errors import BadInput
from figr_jax.data import drawings, images, inputs, styles

SIZE = 32
STYLE = styles.plain(255.0)
CASES = pathlib.Path(__file__).parent.parent.parent / "shared" / "cases"
GUISES = {}


def guise(function):
    GUISES[function.__name__] = function
    return function


def cup(side=400, width=20, shift=0, paper=255, ink=0):
    """A cup that fills most of a square."""
    image = Image.new("L", (side, side), paper)
    pen, unit = ImageDraw.Draw(image), side / 100
    corners = [(20 + shift, 30), (24, 80), (62, 80 - shift), (66, 30)]
    corners = [(x * unit, y * unit) for x, y in [*corners, corners[0]]]
    pen.line(corners, fill=ink, width=width, joint="curve")
    handle = [x * unit for x in (55, 38, 84, 66 + shift)]
    pen.arc(handle, -90, 90, fill=ink, width=width)
    return image


def fish(side=400, width=20):
    image = Image.new("L", (side, side), 255)
    pen, unit = ImageDraw.Draw(image), side / 100
    pen.ellipse([x * unit for x in (10, 35, 65, 65)], outline=0, width=width)
    pen.line([x * unit for x in (65, 50, 90, 35, 90, 65, 65, 50)], fill=0, width=width)
    return image


def place(image, width, height, left, top):
    page = Image.new("L", (width, height), 255)
    page.paste(image, (left, top))
    return page


def save(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return images.decode(io.BytesIO(file.getvalue()), 1)


def add_noise(image, deviation):
    noise = np.random.default_rng(0).normal(0, deviation, (image.height, image.width))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


@guise
def small_pen_drawing_on_a_scanned_page():
    page = place(cup(400, 5), 2480, 3508, 1700, 300).filter(ImageFilter.GaussianBlur(1))
    return save(add_noise(page, 3), "JPEG", quality=85)


@guise
def in_a_corner():
    return save(place(cup(200, 8), 2000, 1400, 10, 20))


@guise
def thin_lines():
    return save(cup(2000, 8))


@guise
def white_ink_on_transparency():
    ink = Image.new("RGBA", (256, 256), (255, 255, 255, 0))
    ink.putalpha(ImageOps.invert(cup(256, 12)))
    return save(ink)


@guise
def black_ink_on_transparency():
    ink = Image.new("RGBA", (256, 256), (0, 0, 0, 0))
    ink.putalpha(ImageOps.invert(cup(256, 12)))
    return save(ink)


@guise
def framed():
    return save(ImageOps.expand(cup(), 3, fill=0))


@guise
def dark_edges_of_a_scanner():
    page = place(cup(), 1200, 1000, 300, 300)
    ImageDraw.Draw(page).rectangle((0, 0, 12, 1000), fill=40)
    return save(page)


def lay_on_desk(angle):
    sheet = place(cup(300, 14), 600, 800, 150, 260)
    desk = Image.new("L", (1400, 1200), 60)
    turned = sheet.rotate(angle, expand=True, fillcolor=0)
    whole = Image.new("L", sheet.size, 255).rotate(angle, expand=True, fillcolor=0)
    desk.paste(turned, (300, 120), whole)
    return save(add_noise(desk.filter(ImageFilter.GaussianBlur(1)), 3))


@guise
def sheet_on_a_dark_desk():
    return lay_on_desk(0)


@guise
def crooked_sheet_on_a_dark_desk():
    return lay_on_desk(4)


@guise
def white_chalk_on_a_board():
    return save(add_noise(cup(800, 24, paper=30, ink=230), 4))


@guise
def grey_pencil():
    return save(add_noise(cup(800, 20, paper=240, ink=150), 4))


@guise
def photographed_in_uneven_light():
    ink = np.asarray(cup(1000, 14, paper=255, ink=60), np.float32) / 255
    y, x = np.mgrid[0:1, 0:1:1000j][0], np.linspace(0, 1, 1000)
    light = 230 - 90 * x[None] - 40 * np.linspace(0, 1, 1000)[:, None] + 0 * y
    return save(add_noise(Image.fromarray((ink * light).astype(np.uint8)), 3), "JPEG")


@guise
def twelve_bits():
    deep = np.asarray(cup(), np.uint16) * 16
    return save(Image.fromarray(deep))


@guise
def dust():
    page = cup(1000, 30)
    spots = np.random.default_rng(0).integers(0, 1000, (40, 2))
    for x, y in spots.tolist():
        ImageDraw.Draw(page).ellipse((x, y, x + 4, y + 4), fill=0)
    return save(page)


def normalize(image):
    return drawings._draw(drawings.trace(image).ink, SIZE, STYLE)


def similarity(first, second):
    """Share of the ink of two blurred images that lies in the same place."""
    blur = ImageFilter.GaussianBlur(1)
    pair = [Image.fromarray(x[..., 0]).filter(blur) for x in (first, second)]
    inks = [255.0 - np.asarray(image) for image in pair]
    return 2 * np.minimum(*inks).sum() / np.sum(inks)


@pytest.mark.parametrize("name", GUISES)
def test_every_guise_of_a_drawing_is_seen_alike(name):
    prepared = drawings.prepare([GUISES[name]()], SIZE, STYLE)
    assert not prepared.blank.any() and not prepared.photo.any()
    seen, clean = normalize(prepared.support[0]), normalize(save(cup()))
    assert similarity(seen, clean) > 0.7 > similarity(normalize(save(fish())), clean)


@pytest.mark.parametrize(
    "name", ["thin_lines", "in_a_corner", "photographed_in_uneven_light"]
)
def test_only_preparing_saves_them(name):
    prepared = drawings.prepare([GUISES[name]()], SIZE, STYLE, redraw=False)
    assert similarity(prepared.support[0], normalize(save(cup()))) < 0.6


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (10_000, 20), (7, 400)])
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_any_size_is_prepared(size, grey):
    prepared = drawings.prepare([np.full((*size, 1), grey, np.uint8)], SIZE, STYLE)
    assert prepared.support.shape == (1, SIZE, SIZE, 1) and prepared.blank.all()


def test_a_solid_shape_that_fills_the_image_stays_dark():
    image = Image.new("L", (400, 400), 255)
    ImageDraw.Draw(image).ellipse((10, 10, 390, 390), fill=0)
    prepared = drawings.prepare([np.asarray(image)[..., None]], SIZE, STYLE)
    assert not prepared.swapped.any()
    assert prepared.support[0, 16, 16] == 0 and prepared.support[0, 0, 0] == 255


def test_a_square_at_the_border_is_part_of_a_tight_crop():
    image = Image.new("L", (400, 400), 255)
    pen = ImageDraw.Draw(image)
    pen.rectangle((2, 2, 397, 397), outline=0, width=10)
    for x in (100, 300):
        pen.ellipse((x - 40, x - 40, x + 40, x + 40), fill=0)
    seen = drawings.trace(np.asarray(image)[..., None]).ink
    assert seen.shape[0] > 380 and seen[:5].max() == 1


def test_lighter_lines_and_many_dots_are_kept():
    image = cup(600, 20)
    ImageDraw.Draw(image).line((250, 250, 250, 400), fill=160, width=20)
    both = drawings.prepare([image_of(image)], SIZE, STYLE).support
    alone = drawings.prepare([image_of(cup(600, 20))], SIZE, STYLE).support
    assert both.sum() < alone.sum() - 5 * 60
    dots = Image.new("L", (900, 900), 255)
    for x in range(50, 850, 40):
        for y in range(50, 850, 40):
            ImageDraw.Draw(dots).ellipse((x, y, x + 12, y + 12), fill=0)
    assert not drawings.prepare([image_of(dots)], SIZE, STYLE).blank.any()


def image_of(image):
    return np.asarray(image)[..., None]


def test_drawings_for_white_on_black_data_become_white_on_black():
    style = styles.plain(0.0)
    first = drawings.prepare([thin_lines()], SIZE, style)
    second = drawings.prepare([thin_lines()], SIZE, STYLE)
    assert first.swapped.all() and not second.swapped.any()
    np.testing.assert_array_equal(first.support, 255 - second.support)


def test_what_looks_like_the_data_stays_as_it_is():
    rng = np.random.default_rng(0)
    exact = rng.integers(0, 256, (2, SIZE, SIZE, 1), np.uint8)
    exact[:, [0, -1]] = exact[:, :, [0, -1]] = 255
    prepared = drawings.prepare(list(exact), SIZE, STYLE)
    np.testing.assert_array_equal(prepared.support, exact)
    larger = [save(cup(105, 6, shift)) for shift in (0, 5)]
    prepared = drawings.prepare(larger, SIZE, STYLE)
    assert not prepared.redrawn.any()
    for image, seen in zip(larger, prepared.support, strict=True):
        np.testing.assert_array_equal(images.fit(image, SIZE), seen)


def test_photos_of_data_that_is_no_drawings_stay_as_they_are():
    noise = np.random.default_rng(0).integers(0, 256, (20, SIZE, SIZE, 1), np.uint8)
    style = styles.measure(noise)
    assert style.low is None
    assert not drawings.prepare([thin_lines()], SIZE, style).redrawn.any()


def test_colour_is_cropped_centred_and_inverted_on_request():
    image = Image.new("RGB", (600, 400), "white")
    ImageDraw.Draw(image).ellipse((20, 20, 80, 80), fill="red")
    prepared = drawings.prepare([np.asarray(image)], SIZE, STYLE)
    assert prepared.redrawn.all()
    np.testing.assert_array_equal(prepared.support[0, 16, 16], (255, 0, 0))
    inverted = drawings.prepare([np.asarray(image)], SIZE, STYLE, invert=True)
    assert inverted.swapped.all()
    np.testing.assert_array_equal(inverted.support, 255 - prepared.support)


def test_faults_are_named(tmp_path, capsys):
    cup().save(tmp_path / "a.png")
    Image.new("L", (50, 50), 255).save(tmp_path / "empty.png")
    _, prepared = inputs.prepare(tmp_path, SIZE, 1, STYLE)
    assert prepared.blank.tolist() == [False, True]
    warned = capsys.readouterr().err
    assert "1 of 2 images are almost blank" in warned and "empty.png" in warned
    with pytest.raises(BadInput, match="1 of 1 images are almost blank"):
        inputs.prepare(tmp_path / "empty.png", SIZE, 1, STYLE)


@pytest.mark.parametrize(
    "given, expected",
    [
        ([cup()] * 3, "all 3 images are the same"),
        ([cup(), cup(shift=3), fish(), cup(shift=5)], "(image 3 unlike the rest)"),
        ([cup(), cup(shift=3), cup(shift=5)], None),
    ],
)
def test_supports_that_may_be_mistakes_are_named(given, expected, capsys):
    inputs.prepare(given, SIZE, 1, STYLE, find_odd=kinds.find_odd)
    warned = capsys.readouterr().err
    assert expected in warned if expected else not warned


def test_photos_of_things_are_named(capsys):
    y, x = np.mgrid[:600, :600] / 600
    thing = 128 + 100 * np.sin(9 * x + 3 * np.cos(7 * y)) * np.cos(5 * y)
    inputs.prepare([np.uint8(thing)], SIZE, 1, STYLE)
    assert "seem to be no drawings on plain paper" in capsys.readouterr().err


def test_images_of_pil_and_arrays_are_read():
    given = [cup(), np.asarray(cup()), np.asarray(cup().convert("RGB"))]
    read, names = inputs.read(given, 1)
    assert len(read) == 3 and names[0] == "image 1"
    for image in read[1:]:
        np.testing.assert_array_equal(image, read[0])
    (alone,), _ = inputs.read(cup(), 1)
    np.testing.assert_array_equal(alone, read[0])
    assert len(inputs.read((image for image in given), 1)[0]) == 3
    for wrong in (np.zeros((3, 4, 4, 1)), np.zeros((9, 9, 5), np.uint8)):
        with pytest.raises(BadInput, match="must be uint8"):
            inputs.read(wrong, 1)
    for wrong in (None, [None], [b"bytes"]):
        with pytest.raises(BadInput, match="give"):
            inputs.read(wrong, 1)


@pytest.mark.parametrize("suffix", [".bmp", ".tif", ".jfif", ".avif", ".ppm", ".TIFF"])
def test_formats_that_pillow_reads_are_read(suffix, tmp_path):
    format = "JPEG" if suffix == ".jfif" else None
    try:
        cup().save(tmp_path / f"a{suffix}", format)
    except (KeyError, OSError, ValueError):
        pytest.skip(f"this Pillow does not write {suffix}")
    (image,), _ = inputs.read(tmp_path, 1)
    assert np.abs(image[..., 0].astype(int) - np.asarray(cup())).mean() < 3


def test_files_that_are_ignored_are_named(tmp_path, capsys):
    cup().save(tmp_path / "a.png")
    (tmp_path / "phone.HEIC").write_bytes(b"")
    assert len(inputs.list_files(tmp_path)) == 1
    assert "phone.HEIC" in capsys.readouterr().err


def test_pictures_of_an_earlier_call_are_no_support(tmp_path):
    cup().save(tmp_path / "mine.png")
    outputs.write(tmp_path, {"grid.png": b"1", "generated_000.png": b"2"}, "sample")
    assert [path.name for path in inputs.list_files(tmp_path)] == ["mine.png"]


def test_a_large_colour_profile_is_no_obstacle(tmp_path):
    profile = np.random.default_rng(0).bytes(2**21)
    cup().save(tmp_path / "a.png", icc_profile=profile)
    assert len(inputs.read(tmp_path, 1)[0]) == 1


@pytest.mark.skipif(not CASES.is_dir(), reason="the drawings of users are not here")
def test_drawings_of_users_are_all_seen_as_cups(capsys):
    reference, _ = inputs.read(CASES / "reference", 1)
    wanted = [normalize(image) for image in reference]
    folders = [path for path in sorted(CASES.iterdir()) if path.is_dir()]
    assert len(folders) > 5
    for folder in folders:
        if folder.name == "mixed":  # drawings of two things
            inputs.prepare(folder, SIZE, 1, STYLE, find_odd=kinds.find_odd)
            assert "seem to show two kinds of things" in capsys.readouterr().err
            continue
        _, prepared = inputs.prepare(folder, SIZE, 1, STYLE)
        for image, expected in zip(prepared.support, wanted, strict=True):
            assert similarity(normalize(image), expected) > 0.65, folder.name
