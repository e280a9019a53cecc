import collections
import io
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from figr_jax.common.errors import BadInput
from figr_jax.data import bank as banks
from figr_jax.data import bank_files, datasets, episodes, feed, images, splits
from figr_jax.evaluation import embedding


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
        (Image.fromarray(np.full((2, 2), 200, np.uint16)), 200),  # 8 bits in 16
        (Image.fromarray(np.full((2, 2), 4095, np.uint16)), 255),  # 12 bits in 16
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


def test_decode_16_bits_with_transparency():
    image = Image.fromarray(np.array([[0, 257], [5, 65535]], np.uint16))
    pixels = images.decode(encoded(image, transparency=5), 1)[..., 0]
    np.testing.assert_array_equal(pixels, [[0, 1], [255, 255]])


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


def make_bank(counts=(8, 12, 8), dataset="d", attributes=None):
    """A bank of 8x8 images, each of which shows its own number."""
    start = np.cumsum([0, *counts])
    numbers = np.arange(start[-1], dtype=np.uint8)[:, None, None, None]
    names = tuple(f"class {i}" for i in range(len(counts)))
    pixels = np.broadcast_to(numbers, (start[-1], 8, 8, 1))
    return banks.Bank(pixels, start, names, attributes or {}, dataset, "1.0.0")


@pytest.mark.parametrize("count, others", [(7, 4), (7, 3), (7, 5), (3, 2)])
def test_others_are_not_in_the_support_while_the_class_has_enough(count, others):
    def one(key):
        support_key, others_key = jax.random.split(key)
        support = episodes.draw_support(support_key, count, 3)
        return support, episodes.draw_others(others_key, count, support, others)

    found = jax.vmap(one)(jax.random.split(jax.random.key(0), 2000))
    seen = collections.Counter()
    for support, further in zip(*map(np.asarray, found), strict=True):
        if count > 3:
            assert not set(support) & set(further)
        if count - 3 >= others:
            assert len(set(further)) == others
        seen.update(further.tolist())
    assert set(seen) == set(range(count))
    expected = 2000 * others / count
    assert max(abs(n - expected) for n in seen.values()) < 6 * expected**0.5


def test_without_others_the_support_is_the_same():
    class_start, classes = jnp.array([0, 8, 20]), jnp.array([0, 1])
    given = jax.random.key(0), class_start, classes, jnp.array([0]), jnp.arange(5), 3
    with_others = episodes.draw(*given, 4)
    assert with_others.shape == (5, 7)
    np.testing.assert_array_equal(with_others[:, :3], episodes.draw(*given))


def test_episodes_stay_in_one_allowed_class():
    class_start = jnp.array([0, 8, 20, 28])
    classes = jnp.array([0, 2])
    tasks = jnp.arange(2)
    given = class_start, classes, jnp.array([0]), tasks, 8
    draw = jax.vmap(lambda key: episodes.draw(key, *given))
    chosen = np.asarray(draw(jax.random.split(jax.random.key(0), 200)))
    found = np.searchsorted(class_start, chosen, side="right") - 1
    assert (found == found[..., :1]).all()
    assert set(np.unique(found)) == {0, 2}
    assert all(len(set(row)) == 8 for row in chosen.reshape(-1, 8))


@pytest.fixture
def mesh():
    """One device."""
    return jax.make_mesh((1,), ("task",), devices=jax.devices()[:1])


@pytest.mark.parametrize("split_at, others", [([], 0), ([1], 4), ([2, 3], 6)])
def test_episodes_from_the_host_are_those_of_the_device(split_at, others, mesh):
    bank, classes, tasks, shots = make_bank(), np.array([0, 2]), 4, 3
    resident = feed.put(bank, classes, mesh)
    on_device = [
        resident.draw(episodes.keys(7, step)[0], 0, jnp.arange(tasks), shots, others)
        for step in range(10, 15)
    ]
    # Processes that gather some of the tasks each, whatever their number.
    parts = [
        feed.gather(bank, classes, 7, np.arange(10, 15), part, shots, others)
        for part in np.split(np.arange(tasks), split_at)
    ]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), np.stack(on_device))


def make_mix():
    """A mix of 2 classes and 6 classes."""
    names = [f"d/{i}" for i in range(2)] + [f"e/{i}" for i in range(6)]
    attributes = {"dataset": ["d"] * 2 + ["e"] * 6}
    bank = make_bank([8] * 8, "mix:d,e", attributes)
    return bank._replace(names=tuple(names), version="1.0.0,2.0.0")


def test_a_mix_draws_from_each_data_set_alike():
    bank, classes = make_mix(), np.array([0, 2, 3, 4, 5, 6])
    first = episodes.first_classes(bank, classes)
    assert first.tolist() == [0, 1]
    given = jnp.asarray(bank.class_start), jnp.asarray(classes), jnp.asarray(first)
    chosen = episodes.draw(jax.random.key(0), *given, jnp.arange(4000), 3)
    counts = collections.Counter((np.asarray(chosen)[:, 0] // 8).tolist())
    assert set(counts) == set(classes.tolist())
    assert abs(counts[0] - 2000) < 6 * 1000**0.5
    assert max(abs(counts[c] - 400) for c in classes[1:].tolist()) < 6 * 400**0.5


def test_each_data_set_of_a_mix_has_its_own_split():
    bank = make_mix()
    split = splits.choose(bank, "random", 1, 0)
    assert len(split.heldout) == 2
    alone = make_bank([8] * 6, "e")._replace(names=bank.names[2:], version="2.0.0")
    assert split.of_bank(alone) == splits.choose(alone, "random", 1, 0)
    with pytest.raises(BadInput, match="f: must be d or e"):
        split.of_bank(alone._replace(dataset="f"))
    with pytest.raises(BadInput, match="e 9.0.0 is prepared"):
        split.of_bank(alone._replace(version="9.0.0"))


def test_small_classes_are_not_held_out_on_demand():
    bank = make_bank([9, 8, 7, 9, 3], "e")
    split = splits.choose(bank, "random:8", 2, 0)
    assert set(split.heldout) < {bank.names[i] for i in (0, 1, 3)}
    assert len(split.heldout) == 2
    assert len(splits.choose(bank, "random:8", 3, 0).heldout) == 3
    expected = "split='random:8': e has 3 classes with at least 8 images, 4 are to be"
    with pytest.raises(BadInput, match=expected):
        splits.choose(bank, "random:8", 4, 0)


def test_a_mix_is_measured_one_data_set_at_a_time():
    bank = make_mix()
    with pytest.raises(BadInput, match="one data set at a time can be measured"):
        embedding.load_all(bank, splits.choose(bank, "random", 1, 0))


def test_data_sets_of_a_mix_must_differ(data_dir):
    with pytest.raises(BadInput, match="two of its data sets have a class named"):
        banks.load("mix:glyphs,glyphs", 8, 1, data_dir)


def test_a_stream_gathers_block_after_block(mesh):
    bank, classes = make_bank(), np.array([0, 1])
    with feed.stream(bank, classes, mesh, 7, range(10, 30, 5), 5, 2, 3) as blocks:
        streamed = np.concatenate([block.images for block in blocks])
    steps = np.arange(10, 30)
    expected = feed.gather(bank, classes, 7, steps, np.arange(2), 3)
    np.testing.assert_array_equal(streamed, expected)


def test_what_fails_in_a_stream_is_raised(mesh):
    bank = make_bank()._replace(images=None)
    with pytest.raises(TypeError):
        with feed.stream(
            bank, np.array([0]), mesh, 7, range(9), size=1, tasks=1, shots=3
        ) as blocks:
            next(blocks)


def test_a_bank_fits_a_quarter_of_the_devices_memory():
    class Device:
        def memory_stats(self):
            return {"bytes_limit": 4 * make_bank().images.nbytes}

    assert feed.fits(make_bank(), Device())
    assert not feed.fits(make_bank((8, 12, 9)), Device())


def test_a_draw_of_names_depends_on_seed_and_names_alone():
    names = [f"class {i}" for i in range(100)]
    first = splits.draw(names, 10, seed=0)
    assert first == splits.draw(names[::-1], 10, seed=0)
    assert first != splits.draw(names, 10, seed=1)
    assert len(set(first)) == 10


@pytest.mark.parametrize("heldout, reported", [(10, 10), (30, 15), (120, 50)])
def test_a_split_is_three_sets_of_classes(heldout, reported):
    bank = make_bank([8] * 150)
    split = splits.choose(bank, "random", heldout, 0)
    training, found = split.indices(bank.names)
    assert sorted([*training, *found]) == list(range(150))
    assert [bank.names[i] for i in found] == list(split.heldout)
    assert sorted([*split.tuning, *split.report]) == sorted(split.heldout)
    assert len(split.report) == reported


def test_a_class_without_images_is_not_held_out():
    bank = make_bank((0, 8, 8, 0, 8, 0))
    assert sorted(splits.choose(bank, "random", 3, 0).heldout) == [
        bank.names[i] for i in (1, 2, 4)
    ]


def test_a_split_of_earlier_versions_gets_its_report_classes():
    bank = make_bank([8] * 150)
    split = splits.choose(bank, "random", 30, 0)
    assert split._replace(report=()).of_bank(bank) == split


ALPHABETS = {
    "alphabet": ["Greek"] * 4 + ["ULOG"] * 4,
    "set": ["background"] * 4 + ["evaluation"] * 4,
}


@pytest.mark.parametrize(
    "rule, expected",
    [
        ("alphabets", [f"ULOG/character{i:02}" for i in (1, 2, 3, 4)]),
        (
            "weak",
            [f"{a}/character{i:02}" for a in ("Greek", "ULOG") for i in (1, 2, 3)],
        ),
        ("classes:ULOG/character04, Greek/character01", None),
    ],
)
def test_rules_of_omniglot_and_names(rule, expected):
    names = tuple(
        f"{a}/character{i:02}" for a in ("Greek", "ULOG") for i in range(1, 5)
    )
    bank = make_bank([20] * 8, "omniglot", ALPHABETS)._replace(names=names)
    split = splits.choose(bank, rule, 20, 0)
    expected = expected or ["ULOG/character04", "Greek/character01"]
    assert list(split.heldout) == expected


@pytest.mark.parametrize(
    "rule, heldout, expected",
    [
        ("random", 3, "to hold out 3 of 3 classes leaves none"),
        ("alphabets", 1, "has no alphabets"),
        ("weak", 1, "has no alphabets"),
        ("classes:class 7", 1, "'class 7' is not in d"),
    ],
)
def test_a_split_that_cannot_be(rule, heldout, expected):
    with pytest.raises(BadInput, match=expected):
        splits.choose(make_bank(), rule, heldout, 0)


def test_bank_holds_the_data_set(data_dir):
    bank = banks.load("glyphs", 8, 1, data_dir)
    assert bank.images.dtype == np.uint8
    assert bank.images.shape == (bank.class_start[-1], 8, 8, 1)
    assert len(bank.class_start) == len(bank.names) + 1
    assert np.diff(bank.class_start).min() >= 8
    assert images.background(bank.images[::100]) == 255


@pytest.fixture
def own_bank(tmp_path):
    """Loads the bank of a small folder, of which tests may damage files."""
    rng = np.random.default_rng(0)
    for i in range(20):
        path = tmp_path / "own" / f"class {i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(path)
    return lambda: banks.load(f"folder:{tmp_path / 'own'}", 8, 1, tmp_path / "data")


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: flip(folder / "images.npy"),
        lambda folder: (folder / "images.npy").write_bytes(b""),
        lambda folder: (folder / "images.npy").unlink(),
        lambda folder: (folder / "classes.json").write_text("{"),
        lambda folder: (folder / "classes.json").write_text('{"format": 3}'),
        lambda folder: replace(folder / "classes.json", "class 1", "class 2"),
        lambda folder: replace(
            folder.parent / "metadata.json", '"skipped": 0', '"skipped": 1'
        ),
    ],
    ids=["bit", "empty", "missing", "cut", "fields", "name", "source"],
)
def test_a_damaged_bank_is_built_anew(own_bank, tmp_path, damage, capsys):
    before = np.array(own_bank().images)
    (folder,) = tmp_path.glob("data/folder/*/1.0.0/bank-8x1")
    capsys.readouterr()
    damage(folder)
    np.testing.assert_array_equal(own_bank().images, before)
    assert "building the bank bank-8x1 of folder: it" in capsys.readouterr().out
    own_bank()
    assert "building" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "name, expected",
    [
        ("metadata.json", "prepared data is damaged"),
        ("dataset_info.json", "prepared data is damaged"),
        ("label.labels.txt", "labels up to 1, but 1 class names"),
    ],
)
def test_damaged_records_are_told(own_bank, tmp_path, name, expected):
    own_bank()
    (file,) = tmp_path.glob(f"data/folder/*/1.0.0/{name}")
    file.write_text(file.read_text()[: -file.stat().st_size // 2])
    with pytest.raises(BadInput, match=expected):
        own_bank()


@pytest.mark.parametrize("name", ["glyphs", "mix:glyphs,mnist"])
def test_damaged_info_is_told_also_of_a_mix(tmp_path, name):
    folder = tmp_path / "glyphs/1.0.0"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{")
    with pytest.raises(BadInput, match="^glyphs: its prepared data is damaged"):
        banks.load(name, 8, 1, tmp_path)


def test_decoded_images_of_a_stopped_preparation_are_removed(own_bank, tmp_path):
    kind = bank_files.Kind(16, 1, redraws=False)
    datasets.prepare(f"folder:{tmp_path / 'own'}", tmp_path / "data", kind=kind)
    assert list(tmp_path.glob("data/folder/*/1.0.0/bank-16x1.decoded"))
    own_bank()
    assert not list(tmp_path.glob("data/folder/*/1.0.0/*.decoded"))


@pytest.mark.parametrize("how", ["flip", "empty", "missing"])
def test_records_that_cannot_be_read(own_bank, tmp_path, how):
    own_bank()
    (shard,) = tmp_path.glob("data/folder/*/1.0.0/*array_record*")
    shutil.rmtree(shard.parent / "bank-8x1")
    if how == "missing":
        shard.unlink()
    else:
        data = bytearray(shard.read_bytes())
        data[len(data) // 2] ^= 1
        shard.write_bytes(data if how == "flip" else b"")
    if how == "flip":  # perhaps where nothing lies
        try:
            own_bank()
        except BadInput as error:
            assert "its records cannot be read" in str(error)
    else:
        with pytest.raises(BadInput, match="its records cannot be read"):
            own_bank()


def test_an_interrupted_bank_is_built_anew(own_bank, tmp_path, monkeypatch):
    def fail(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(images, "fit", fail)
        with pytest.raises(KeyboardInterrupt):
            own_bank()
    assert not list(tmp_path.glob("data/folder/*/1.0.0/*bank-*"))
    assert len(own_bank().images) == 20
