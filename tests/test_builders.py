"""Data sets from archives and folders: tiny ones in the originals' layout."""

import gzip
import pathlib
import shutil
import zipfile

import numpy as np
import pytest
from conftest import encode, png, write_folder
from PIL import Image

from figr_jax.common.errors import BadInput
from figr_jax.data import bank as banks
from figr_jax.data import bank_files, datasets, images, parallel
from figr_jax.data.builders import originals, sources
from figr_jax.data.builders.figr8.figr8 import Figr8
from figr_jax.data.builders.mnist import mnist
from figr_jax.data.builders.omniglot import omniglot


def palette():
    image = Image.new("P", (12, 12), 0)
    image.putpalette([0, 0, 0, 90, 90, 90])
    return encode(image, transparency=0)


# Images whose transparency is white, and others, in every mode of PNG.
MODES = [
    (encode(Image.new("1", (9, 9), 1)), 255),
    (encode(Image.new("L", (40, 40), 7)), 7),
    (encode(Image.new("LA", (12, 12), (0, 0))), 255),
    (palette(), 255),
    (encode(Image.new("RGB", (12, 12), (50, 50, 50))), 50),
    (encode(Image.new("RGBA", (12, 12), (0, 0, 0, 0))), 255),
    (encode(Image.new("RGBA", (200, 200), (0, 0, 0, 255))), 0),
    (encode(Image.fromarray(np.full((12, 12), 0x8080, np.uint16))), 128),
]


def figr8_files():
    files = {f"Data/many/{i:03}-200.png": png(i) for i in range(90)}
    files |= {f"Data/24 hour/{i}-200.png": png(i) for i in range(5)}
    files |= {f"Data/24 Hour /{i}-200.png": png(i) for i in range(10, 16)}
    files |= {f"Data/modes/{i}.png": data for i, (data, _) in enumerate(MODES)}
    files |= {f"Data/few/{i}-200.png": png(i) for i in range(3)}
    files["Data/many/empty-200.png"] = b""
    files["Data/many/cut-200.png"] = png(0)[:-60]
    files["Data/many/text-200.png"] = b"no image"
    files["Data/modes/._0.png"] = files["__MACOSX/Data/modes/1.png"] = b"resource fork"
    files["data.csv"] = b"category,path,artist,licence"
    return files


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def figr8(tmp_path):
    """Prepares FIGR-8 from the files of an archive."""

    def prepare(files):
        write_zip(tmp_path / "Data.zip", files)
        return datasets.prepare("figr8", tmp_path / "data", tmp_path)

    return prepare


def test_figr8_folds_case_and_drops_what_is_damaged_or_too_small(figr8, capsys):
    builder = figr8(figr8_files())
    assert builder.info.features["label"].names == ["24 Hour", "many", "modes"]
    assert builder.info.splits["train"].num_examples == 11 + 90 + len(MODES)
    assert builder.info.metadata["dropped"] == ["few"]
    skipped = (builder.data_path / "skipped.txt").read_text().splitlines()
    assert {line.split(": ")[0] for line in skipped} == {
        f"Data/many/{name}-200.png" for name in ("empty", "cut", "text")
    }
    said = capsys.readouterr().out
    assert "3 of 115 images unreadable" in said
    assert "1 of 4 classes dropped: fewer than 8 images" in said


def test_figr8_reads_every_mode_and_size(figr8, tmp_path):
    figr8(figr8_files())
    bank = banks.load("figr8", 8, 1, tmp_path / "data")
    got = bank.class_images(bank.names.index("modes"))
    expected = [grey for _, grey in MODES]
    np.testing.assert_array_equal(got, np.full_like(got, 1) * expected_column(expected))


def expected_column(values):
    return np.array(values, np.uint8)[:, None, None, None]


def test_figr8_from_the_unpacked_folder_is_the_same(figr8, tmp_path):
    from_zip = figr8(figr8_files()).info.metadata["content"]
    write_folder(tmp_path / "unpacked", figr8_files())
    data = tmp_path / "other"
    builder = datasets.prepare("figr8", data, tmp_path / "unpacked")
    assert builder.info.metadata["content"] == from_zip


def test_processes_prepare_the_same_as_one(figr8, tmp_path, monkeypatch):
    alone = figr8(figr8_files()).info.metadata["content"]
    one = banks.load("figr8", 8, 1, tmp_path / "data")
    monkeypatch.setattr(parallel, "_FEW", 0)
    monkeypatch.setattr(bank_files, "_CHUNK", 16)
    builder = datasets.prepare("figr8", tmp_path / "other", tmp_path)
    many = banks.load("figr8", 8, 1, tmp_path / "other")
    assert builder.info.metadata["content"] == alone
    np.testing.assert_array_equal(many.images, one.images)
    np.testing.assert_array_equal(many.class_start, one.class_start)


@pytest.mark.parametrize("channels", [1, 3])
def test_no_image_is_decoded_twice(tmp_path, monkeypatch, channels):
    decoded, decode = [], images.decode

    def count(file, *args):
        decoded.append(file.getvalue())
        return decode(file, *args)

    monkeypatch.setattr(images, "decode", count)
    write_zip(tmp_path / "Data.zip", figr8_files())
    once = banks.load("figr8", 8, channels, tmp_path / "data", tmp_path)
    members = len(figr8_files())
    assert len(once.images) <= len(decoded) <= members
    folder = pathlib.Path(once.images.filename).parent
    assert not list(folder.parent.glob("*.decoded"))
    stored, starts = np.array(once.images), once.class_start
    shutil.rmtree(folder)  # another bank of it is decoded from the records
    again = banks.load("figr8", 8, channels, tmp_path / "data")
    np.testing.assert_array_equal(again.images, stored)
    np.testing.assert_array_equal(again.class_start, starts)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"


@pytest.mark.parametrize(
    "files, expected",
    [
        ({"Data/bird/1-200.png": POINTER}, "Data/bird/1-200.png: a Git LFS pointer"),
        ({"../evil.png": png(0)}, "'../evil.png' would be outside of the folder"),
        ({"/Data/a/1.png": png(0)}, "'/Data/a/1.png' would be outside of the folder"),
        ({"Data\\..\\..\\a\\1.png": png(0)}, "would be outside of the folder"),
        (
            {f"Data/a/{i}.png": png(i) for i in range(9)},
            "classes with 8 or more images: 1;",
        ),
        (
            {f"Data/{i}/1.png": png(i) for i in range(9)},
            "classes with 8 or more images: 0;",
        ),
        ({f"Data/a/{i}.png": b"" for i in range(9)}, "9 of 9 images unreadable"),
        ({"readme.txt": b""}, "images: 0;"),
    ],
)
def test_an_archive_that_will_not_do(figr8, tmp_path, files, expected):
    with pytest.raises(BadInput, match=expected.replace("\\", ".")):
        figr8(files)
    assert not list(tmp_path.glob("data/figr8/*1.0.0*"))


def test_a_pointer_or_half_an_archive(figr8, tmp_path):
    whole = write_zip(tmp_path / "Data.zip", figr8_files()).read_bytes()
    for data, expected in [
        (whole[: len(whole) // 2], "not a valid zip archive"),
        (POINTER, "Data.zip: a Git LFS pointer"),
    ]:
        (tmp_path / "Data.zip").write_bytes(data)
        with pytest.raises(BadInput, match=expected):
            datasets.prepare("figr8", tmp_path / "data", tmp_path)


def test_a_class_may_be_called_data(figr8):
    files = {f"FIGR-8/Data/{name}/{i}.png": png(i) for name in "ab" for i in range(8)}
    files |= {f"FIGR-8/Data/Data/{i}.png": png(i) for i in range(8)}
    files |= {"FIGR-8/Data/a/deeper/1.png": png(1), "FIGR-8/Data/1.png": png(1)}
    builder = figr8(files)
    assert builder.info.features["label"].names == ["a", "b", "Data"]
    assert builder.info.splits["train"].num_examples == 24


def test_archives_packed_in_other_ways(tmp_path):
    for options in ({"compression": zipfile.ZIP_BZIP2}, {}):
        path = tmp_path / "Data.zip"
        with zipfile.ZipFile(path, "w", **options) as archive:
            archive.writestr("Data\\a\\1.png", png(1))
        if options:
            with pytest.raises(BadInput, match="packed in a way that is not supported"):
                sources.Zips([path])
    source = sources.Zips([path])
    assert source.names == ["Data/a/1.png"] == [source.name(0)]
    assert source.read(0) == png(1)


def test_bits_flipped_in_an_archive_are_found(figr8, tmp_path):
    path = write_zip(tmp_path / "Data.zip", figr8_files())
    source = sources.Zips([path])
    item = source.names.index("Data/many/042-200.png")
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo(source.names[item]).header_offset
    data[offset + 90] ^= 1
    path.write_bytes(data)
    builder = datasets.prepare("figr8", tmp_path / "data", tmp_path)
    assert "042-200.png: damaged" in (builder.data_path / "skipped.txt").read_text()


def test_too_small_a_disk_is_told_before_the_work(figr8, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(Figr8, "_check", None)  # not reached
    with pytest.raises(BadInput, match="preparing the 115 images of figr8 needs"):
        figr8(figr8_files())


def test_a_missing_original_is_named_with_its_address(tmp_path):
    with pytest.raises(BadInput, match="train-images.*no such file.*https://"):
        datasets.prepare("mnist", tmp_path / "data", tmp_path)


def test_what_cannot_be_downloaded_is_asked_for():
    class Offline:
        def download(self, url):
            raise ConnectionError("no network")

    with pytest.raises(BadInput, match="a.zip: cannot be downloaded.*--manual_dir"):
        originals.find({"a.zip": "https://example.org/a.zip"}, None, Offline())


def idx(array):
    header = b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(header + array.tobytes(), mtime=0)


def test_mnist_is_read_as_it_is(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 28, 28), np.uint8)
    digits = np.arange(30, dtype=np.uint8) % 10
    monkeypatch.setattr(mnist, "_SHAPES", (pixels.shape, digits.shape))
    for name, array in zip(mnist._FILES, (pixels, digits), strict=True):
        (tmp_path / name).write_bytes(idx(array))
    builder = datasets.prepare("mnist", tmp_path / "data", tmp_path)
    records = builder.as_data_source("train")
    assert builder.info.features["label"].names == [str(i) for i in range(10)]
    for record in records:
        original = int(record["id"])
        assert record["label"] == digits[original]
        np.testing.assert_array_equal(record["image"][..., 0], pixels[original])


@pytest.mark.parametrize(
    "data, expected",
    [
        (idx(np.zeros((9, 28, 28), np.uint8)), "not an IDX file of 10x28x28 bytes"),
        (idx(np.zeros((10, 28, 28), np.uint8))[:-20], "not a valid gzip file"),
        (b"no gzip", "not a valid gzip file"),
    ],
)
def test_another_file_is_not_mnist(tmp_path, data, expected):
    (tmp_path / "a.gz").write_bytes(data)
    with pytest.raises(BadInput, match=expected):
        mnist.read_idx(tmp_path / "a.gz", (10, 28, 28))


@pytest.fixture
def small_omniglot(tmp_path, monkeypatch):
    """The folder of a tiny Omniglot: 2 + 1 alphabets, 4 characters each."""
    monkeypatch.setattr(
        omniglot,
        "_CHARACTERS",
        {"images_background.zip": 8, "images_evaluation.zip": 4},
    )
    alphabets = {
        "images_background": ("Greek", "Latin"),
        "images_evaluation": ("ULOG",),
    }
    for folder, names in alphabets.items():
        files = {
            f"{folder}/{alphabet}/character{c:02}/{c:04}_{d:02}.png": png(c, 105)
            for alphabet in names
            for c in range(1, 5)
            for d in range(1, 21)
        }
        write_zip(tmp_path / f"{folder}.zip", files)
    return tmp_path


def test_omniglot_knows_alphabets_and_sets(small_omniglot):
    bank = banks.load("omniglot", 8, 1, small_omniglot / "data", small_omniglot)
    assert bank.names[:2] == ("Greek/character01", "Greek/character02")
    assert np.diff(bank.class_start).tolist() == [20] * 12
    assert bank.attributes["alphabet"] == ["Greek"] * 4 + ["Latin"] * 4 + ["ULOG"] * 4
    assert bank.attributes["set"] == ["background"] * 8 + ["evaluation"] * 4


def test_omniglot_counts_its_drawings(small_omniglot, monkeypatch):
    monkeypatch.setitem(omniglot._CHARACTERS, "images_evaluation.zip", 659)
    with pytest.raises(
        BadInput, match="80 drawings of 4 characters.*20 of each of 659"
    ):
        datasets.prepare("omniglot", small_omniglot / "data", small_omniglot)
