import collections
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from figr_jax.data import bank as banks
from figr_jax.data import episodes, images, splits
from figr_jax.errors import BadInput


def encoded(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    file.seek(0)
    return file


def test_floats_and_back():
    values = np.arange(256, dtype=np.uint8)
    floats = images.to_float(values)
    assert floats.dtype == jnp.float32
    assert (float(floats.min()), float(floats.max())) == (-1, 1)
    np.testing.assert_array_equal(images.to_uint8(floats), values)


@pytest.mark.parametrize(
    "image, expected",
    [
        (Image.new("1", (2, 2), 1), 255),
        (Image.new("L", (2, 2), 100), 100),
        (Image.new("LA", (2, 2), (0, 0)), 255),
        (Image.new("RGB", (2, 2), (100, 100, 100)), 100),
        (Image.new("RGBA", (2, 2), (0, 0, 0, 0)), 255),
        (Image.new("RGBA", (2, 2), (0, 0, 0, 255)), 0),
        (Image.fromarray(np.full((2, 2), 0x8080, np.uint16)), 128),
        (Image.fromarray(np.full((2, 2), 200, np.uint16)), 1),  # very dark, not 200
    ],
    ids=lambda x: getattr(x, "mode", None),
)
def test_decode_every_mode_with_transparency_white(image, expected):
    pixels = images.decode(encoded(image), 1)
    assert pixels.shape == (2, 2, 1)
    np.testing.assert_array_equal(pixels, expected)


def test_decode_palette_with_transparency():
    image = Image.new("P", (2, 2), 0)
    image.putpalette([10, 10, 10, 20, 20, 20])
    image.putpixel((0, 0), 1)
    pixels = images.decode(encoded(image, transparency=0), 1)[..., 0]
    np.testing.assert_array_equal(pixels, [[20, 255], [255, 255]])


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "GIF"])
def test_decode_other_formats(format):
    frames = [Image.new("L", (16, 16), grey) for grey in (200, 10)]
    options = {} if format == "JPEG" else {"save_all": True}
    if options:
        options["append_images"] = frames[1:]
    pixels = images.decode(encoded(frames[0], format, **options), 3)
    assert pixels.shape == (16, 16, 3)
    assert abs(int(pixels[8, 8, 0]) - 200) < 4  # the first frame


def test_decode_turns_as_the_camera_was_held():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    assert images.decode(encoded(Image.new("L", (4, 2)), exif=exif), 1).shape == (
        4,
        2,
        1,
    )


def test_fit_pads_with_the_background_and_keeps_the_proportions():
    image = np.full((10, 30, 1), 255, np.uint8)
    image[2:8, 2:28] = 0
    square = images.fit(image, 15)[..., 0]
    assert square.shape == (15, 15)
    assert (square[:4] == 255).all() and (square[-4:] == 255).all()
    assert square[7, 7] == 0


def test_fit_pads_with_a_colour():
    image = np.full((4, 8, 3), (200, 10, 10), np.uint8)
    np.testing.assert_array_equal(images.fit(image, 8), np.full((8, 8, 3), image[0, 0]))


def test_support_is_drawn_without_replacement_and_evenly():
    draws = jax.vmap(lambda key: episodes.draw_support(key, 5, 3))(
        jax.random.split(jax.random.key(0), 3000)
    )
    subsets = collections.Counter(tuple(sorted(map(int, draw))) for draw in draws)
    assert all(len(set(subset)) == 3 for subset in subsets)
    assert len(subsets) == 10  # 5 choose 3; 300 of each are expected
    assert max(abs(n - 300) for n in subsets.values()) < 5 * 300**0.5


def test_episodes_stay_in_one_allowed_class():
    class_start = jnp.array([0, 8, 20, 28])
    classes = jnp.array([0, 2])
    draw = jax.vmap(lambda key: episodes.draw(key, class_start, classes, 2, 8))
    chosen = np.asarray(draw(jax.random.split(jax.random.key(0), 200)))
    found = np.searchsorted(class_start, chosen, side="right") - 1
    assert (found == found[..., :1]).all()
    assert set(np.unique(found)) == {0, 2}
    assert all(len(set(row)) == 8 for row in chosen.reshape(-1, 8))


def test_a_split_depends_on_seed_and_names_alone():
    names = [f"class {i}" for i in range(100)]
    first = splits.draw("d", "1", names, 10, seed=0)
    assert first == splits.draw("d", "1", names[::-1], 10, seed=0)
    assert first != splits.draw("d", "1", names, 10, seed=1)
    training, heldout = first.indices(names)
    assert sorted([*training, *heldout]) == list(range(100))
    assert [names[i] for i in heldout] == list(first.heldout)
    with pytest.raises(BadInput, match="below the 100 classes"):
        splits.draw("d", "1", names, 100, seed=0)


def test_bank_holds_the_data_set(data_dir):
    bank = banks.load("glyphs", 8, 1, data_dir)
    assert bank.images.dtype == np.uint8
    assert bank.images.shape == (bank.class_start[-1], 8, 8, 1)
    assert len(bank.class_start) == len(bank.names) + 1
    assert np.diff(bank.class_start).min() >= 8
    assert images.background(bank.images[::100]) == 255


def test_an_interrupted_bank_is_built_anew(data_dir, tmp_path, monkeypatch):
    def fail(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(images, "fit", fail)
        with pytest.raises(KeyboardInterrupt):
            banks.load("glyphs", 16, 1, data_dir)
    folder = next(data_dir.glob("glyphs/*/"))
    assert not list(folder.glob("*bank-16*"))
    assert json.loads((folder / "bank-8x1/classes.json").read_text())["names"]
