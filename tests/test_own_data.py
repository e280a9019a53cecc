"""Data sets of one's own: a folder of classes, and sets that TFDS has prepared."""

import io
import shutil
import unicodedata

import numpy as np
import pytest
import tensorflow_datasets as tfds
from conftest import encode, png, quick, write_folder
from PIL import Image

from figr_jax import training
from figr_jax.common.errors import BadInput
from figr_jax.data import bank as banks
from figr_jax.data import datasets, splits


def own_folder(path):
    files = {f"{name}/{i}.png": png(i) for name in ("cat", "dog") for i in range(4)}
    return write_folder(path, files | {"cat/notes.txt": b"", ".git/1.png": b""})


def test_a_folder_of_ones_own_is_prepared_anew_when_it_changes(tmp_path):
    path = own_folder(tmp_path / "own")
    name, data = f"folder:{path}", tmp_path / "data"
    old = banks.load(name, 8, 1, data)
    assert old.names == ("cat", "dog") and len(old.images) == 8
    assert banks.load(name, 8, 1, data).version == old.version
    shutil.copytree(path, tmp_path / "copy")
    assert banks.load(f"folder:{tmp_path}/copy", 8, 1, data).version == old.version

    (path / "dog/9.png").write_bytes(png(9))
    new = banks.load(name, 8, 1, data)
    assert len(new.images) == 9 and new.version != old.version


def test_what_moves_between_classes_changes_the_version(tmp_path):
    path = own_folder(tmp_path / "own")
    name, data = f"folder:{path}", tmp_path / "data"
    old = banks.load(name, 8, 1, data)
    (path / "cat/3.png").rename(path / "dog/-.png")
    new = banks.load(name, 8, 1, data)
    np.testing.assert_array_equal(new.images, old.images)
    assert new.version != old.version


@pytest.mark.parametrize("channels", [1, 3])
def test_the_version_of_a_folder_is_of_grey_levels(tmp_path, channels):
    versions = []
    for name, mode, ink in (
        *(("red", "RGB", (200, 0, 0)), ("grey", "L", 60)),
        *(("as colour", "RGB", (60, 60, 60)), ("darker", "RGB", (190, 0, 0))),
    ):
        image = Image.new(mode, (9, 9), ink)
        files = {f"{label}/1.png": encode(image) for label in ("cat", "dog")}
        path = write_folder(tmp_path / name, files)
        bank = banks.load(f"folder:{path}", 8, channels, tmp_path / "data")
        versions.append(bank.version)
    assert len(set(versions[:3])) == 1 and versions[3] != versions[0]


def test_a_changed_folder_that_will_not_do_keeps_what_was_prepared(tmp_path):
    path = own_folder(tmp_path / "own")
    name, data = f"folder:{path}", tmp_path / "data"
    banks.load(name, 8, 1, data)
    before = set(data.rglob("*.*"))
    (path / "cat").rename(tmp_path / "cat")
    with pytest.raises(BadInput, match="images: 1;"):
        banks.load(name, 8, 1, data)
    assert set(data.rglob("*.*")) == before
    (tmp_path / "cat").rename(path / "cat")
    (path / "cat/none.txt").symlink_to("nowhere")  # no image: of no concern
    assert len(banks.load(name, 8, 1, data).images) == 8


@pytest.mark.parametrize("bad", [" cat", "cat ", "two\nlines", "a\rb", " "])
def test_class_names_that_a_line_cannot_hold(tmp_path, bad):
    path = write_folder(own_folder(tmp_path / "own"), {f"{bad}/1.png": png(1)})
    with pytest.raises(BadInput, match="a name must not be empty, begin or end"):
        datasets.prepare(f"folder:{path}", tmp_path / "data")


def test_a_name_that_is_not_utf8(tmp_path):
    path = own_folder(tmp_path / "own")
    (path / "cat/1.png").rename(path / "cat/\udcff.png")
    with pytest.raises(BadInput, match="not a UTF-8 name"):
        datasets.prepare(f"folder:{path}", tmp_path / "data")


def test_names_are_the_same_at_every_size(tmp_path):
    names = ["a, b", "Ünïcode 漢字", "100%", "x:y", "#1", "'q'", "tab\there"]
    files = {f"{name}/{i}.png": png(i) for name in names for i in range(2)}
    path = write_folder(tmp_path / "own", files)
    first = banks.load(f"folder:{path}", 8, 1, tmp_path / "data")
    second = banks.load(f"folder:{path}", 16, 1, tmp_path / "data")
    assert first.names == second.names == tuple(sorted(names))


def test_a_folder_with_one_class(tmp_path):
    path = write_folder(tmp_path / "own", {"cat/1.png": png(1), "2.png": png(2)})
    with pytest.raises(BadInput, match="own: classes with 1 or more images: 1;"):
        datasets.prepare(f"folder:{path}", tmp_path / "data")
    with pytest.raises(BadInput, match="no such folder"):
        datasets.prepare(f"folder:{path}/none", tmp_path / "data")


COLOURS = np.array([[200, 0, 0], [0, 200, 0], [0, 0, 200]], np.uint8)


class Colours(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """As TFDS's own builders are: shuffled, in two splits, with more than a label."""

    VERSION = tfds.core.Version("3.0.2")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Text(),
                    "image": tfds.features.Image(shape=(32, 32, 3)),
                    "coarse_label": tfds.features.ClassLabel(names=["all"]),
                    "label": tfds.features.ClassLabel(names=["red", "green", "blue"]),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(9), "test": self._generate_examples(3)}

    def _generate_examples(self, count):
        for i in range(count):
            image = np.full((32, 32, 3), COLOURS[i % 3])
            labels = {"label": i % 3 if i < 8 else -1, "coarse_label": 0}
            data = encode(Image.fromarray(image))
            yield i, {"id": str(i), "image": io.BytesIO(data), **labels}


@pytest.fixture
def prepared(tmp_path):
    builder = Colours(data_dir=tmp_path, file_format="array_record")
    builder.download_and_prepare()
    return builder


def test_a_set_of_tfds_is_sorted_and_keeps_its_colours(tmp_path, prepared):
    bank = banks.load("tfds:colours", 8, 3, tmp_path)
    assert bank.names == ("red", "green", "blue") and bank.version == "3.0.2"
    assert bank.class_start.tolist() == [1, 5, 9, 12]  # both splits, one not labelled
    for label, colour in enumerate(COLOURS):
        assert (bank.class_images(label) == colour).all()


def test_a_set_of_tfds_that_is_not_there_or_needs_tensorflow(tmp_path, prepared):
    with pytest.raises(
        BadInput, match="tfds build cifar100 --file_format=array_record"
    ):
        datasets.prepare("tfds:cifar100", tmp_path)
    info = prepared.data_path / "dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    with pytest.raises(BadInput, match="prepared as tfrecord, which needs TensorFlow"):
        datasets.prepare("tfds:colours", tmp_path)


@pytest.mark.parametrize("name", ["cats", "folder:", "tfds:", "glyphs/none"])
def test_an_unknown_data_set_is_answered_with_the_list(tmp_path, name):
    with pytest.raises(BadInput, match="glyphs"):
        datasets.prepare(name, tmp_path)


def own_config(path, **run):
    cfg = quick(meta_steps=2, sample_every=2, **run)
    cfg.dataset.update(name=f"folder:{path}", heldout=1)
    cfg.inner.update(shots=2, others=0)
    return cfg


def test_a_run_whose_folder_was_moved_is_resumed(tmp_path, capfd):
    path, data = own_folder(tmp_path / "own"), tmp_path / "data"
    training.train(own_config(path), tmp_path / "run", data)
    moved = path.rename(tmp_path / "moved")
    cfg = own_config(moved)
    cfg.run.meta_steps = 4
    state = training.train(cfg, tmp_path / "run", data)
    assert int(state.step) == 4
    assert "changed since the last save: dataset.name from" in capfd.readouterr().out


def test_a_run_whose_folder_has_grown_says_how_to_go_on(tmp_path):
    path, data = own_folder(tmp_path / "own"), tmp_path / "data"
    training.train(own_config(path), tmp_path / "run", data)
    (path / "dog/9.png").write_bytes(png(9))
    with pytest.raises(BadInput, match="its images have changed since"):
        training.train(own_config(path), tmp_path / "run", data)
    cfg = own_config(path, init_from=str(tmp_path / "run"))
    assert int(training.train(cfg, tmp_path / "another", data).step) == 2


def test_accents_that_were_typed_on_another_system(tmp_path):
    decomposed = unicodedata.normalize("NFD", "café")
    files = {f"{name}/{i}.png": png(i) for name in (decomposed, "b") for i in range(2)}
    path = write_folder(tmp_path / "own", files)
    bank = banks.load(f"folder:{path}", 8, 1, tmp_path / "data")
    split = splits.choose(bank, "classes:café", 0, 0)
    assert split.indices(bank.names)[1].tolist() == [bank.names.index(decomposed)]


def test_a_run_says_why_there_is_no_sample_grid(tmp_path, capfd):
    path = own_folder(tmp_path / "own")
    for image in sorted((path / "cat").glob("*.png"))[1:]:
        image.unlink()
    cfg = own_config(path)
    cfg.dataset.split = "classes:cat"
    training.train(cfg, tmp_path / "run", tmp_path / "data")
    expected = "no sample grid: no held-out class has 2 images"
    assert expected in capfd.readouterr().out


def test_files_that_are_no_images_are_counted(tmp_path, capfd):
    path = own_folder(tmp_path / "own")
    banks.load(f"folder:{path}", 8, 1, tmp_path / "data")
    assert "1 files are not images (cat/notes.txt)" in capfd.readouterr().err


def test_drawings_are_prepared_as_those_given_to_sample(tmp_path):
    files = {}
    for name in ("a", "b"):
        for i in range(2):
            image = Image.new("L", (400, 300), 255)
            image.paste(0, (10, 10, 40 + i, 40))
            files[f"{name}/{i}.png"] = encode(image)
    path, data = write_folder(tmp_path / "own", files), tmp_path / "data"
    plain = banks.load(f"folder:{path}", 32, 1, data).images
    prepared = banks.load(f"drawings:{path}", 32, 1, data).images
    assert (plain[:, 16, 16] == 255).all() and (prepared[:, 16, 16] == 0).all()
