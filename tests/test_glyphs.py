"""Tests of the Glyphs data set: its drawing, its exclusions, and what it prepares."""

import unicodedata

import numpy as np
import pytest
import tensorflow_datasets as tfds

from figr_jax.data.builders.glyphs import Glyphs, glyphs


@pytest.fixture(scope="module")
def builder(data_dir):
    """Returns a fresh builder that finds the prepared data set in its folder."""
    return Glyphs(data_dir=data_dir)


@pytest.fixture(scope="module")
def examples(builder):
    """Returns all images `(n, 64, 64)`, labels `(n,)` and faces `(n,)`, in order."""
    source = builder.as_data_source("train")
    records = source.__getitems__(range(len(source)))
    images = np.stack([record["image"][..., 0] for record in records])
    labels = np.array([record["label"] for record in records])
    names = [record["id"].decode().split()[1] for record in records]
    faces = np.array([glyphs.FACES.index(name) for name in names])
    return images, labels, faces


@pytest.fixture(scope="module")
def sans():
    """Returns the face DejaVu Sans."""
    return glyphs.load_face("DejaVuSans")


def test_render_draws_black_on_white_in_the_middle(sans):
    picture = glyphs.render("E", sans)
    assert picture.shape == (64, 64) and picture.dtype == np.uint8
    assert picture.min() == 0
    rows, columns = np.nonzero(picture < 255)
    assert (rows.min(), rows.max()) == (6, 57)  # 52 rows, 6 free on either side
    assert abs(columns.min() - (63 - columns.max())) <= 1


@pytest.mark.parametrize("character", [" ", "\u200b", "\u4e00", "\uffff"])
def test_render_leaves_out_blanks_and_missing_characters(sans, character):
    assert glyphs.render(character, sans) is None


def test_render_leaves_out_the_missing_glyph_box_that_a_face_claims_to_have(sans):
    claiming = sans._replace(characters=frozenset("\u4e00"))
    assert glyphs.render("\u4e00", claiming) is None


def test_list_characters_asks_for_a_name_and_enough_faces(sans):
    few, many = [sans] * 7, [sans] * 8
    assert glyphs.list_characters(few) == []
    characters = glyphs.list_characters(many)
    assert "A" in characters and "\t" not in characters
    assert characters == sorted(characters)


def test_look_same_forgives_one_pixel():
    ink = np.zeros((4, 32, 32), bool)
    ink[0, 10:20, 10] = True
    ink[1, 10:20, 10:12] = True  # bolder
    ink[2, 10:20, 12] = True  # two to the right
    ink[3, 10:22, 10] = True  # two longer
    expected = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_array_equal(glyphs.look_same(ink), np.array(expected, bool))


def test_find_homoglyphs_takes_more_than_half_of_the_shared_faces():
    line, dot = np.zeros((2, 32, 32), bool)
    line[4:28, 16], dot[16, 16] = True, True
    ink = np.array([[line] * 4, [line, line, line, dot], [line, line, dot, dot]])
    everywhere = np.ones((3, 4), bool)
    same = glyphs.find_homoglyphs(ink, everywhere)
    assert same[0, 1] and same[1, 2] and not same[0, 2]
    has = everywhere.copy()
    has[2, 3] = False  # of three shared faces, two are the same
    assert glyphs.find_homoglyphs(ink, has)[0, 2]


def test_keep_first_compares_with_kept_items_only():
    same = np.eye(3, dtype=bool)
    same[0, 1] = same[1, 0] = same[1, 2] = same[2, 1] = True
    assert glyphs.keep_first(same) == [0, 2]


def test_size_and_order(builder, examples):
    images, labels, _ = examples
    names = builder.info.features["label"].names
    assert len(names) > 1800
    assert len(images) == builder.info.splits["train"].num_examples > 20_000
    assert len(set(names)) == len(names) == builder.info.features["label"].num_classes
    assert set(np.diff(labels)) == {0, 1}  # sorted: a class is an index range
    assert np.bincount(labels, minlength=len(names)).min() >= 8


def test_pictures_are_black_on_white_and_none_is_blank(examples):
    images, _, _ = examples
    assert images.min((1, 2)).max() < 128
    for border in images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]:
        assert (border == 255).all()


def test_no_class_holds_a_picture_twice(examples):
    images, labels, _ = examples
    pictures = {(label, i.tobytes()) for label, i in zip(labels, images, strict=True)}
    assert len(pictures) == len(images)


def test_only_the_first_homoglyph_is_a_class(builder):
    names = set(builder.info.features["label"].names)
    for first, *others in ("AΑА", "oοо", "5₅", "Kᴷ"):
        kept = [c for c in (first.upper(), *others) if unicodedata.name(c) in names]
        assert kept == [first.upper()]


def test_no_two_classes_look_the_same_in_all_shared_faces(examples):
    images, labels, faces = examples
    number = labels.max() + 1
    equal, shared = np.zeros((2, number, number), np.int8)
    for face in range(len(glyphs.FACES)):
        having = labels[faces == face]
        pairs = np.ix_(having, having)
        equal[pairs] += glyphs.look_same(glyphs.find_ink(images[faces == face]))
        shared[pairs] += 1
    twins = (equal == shared) & (shared > 0)
    assert np.argwhere(np.triu(twins, 1)).tolist() == []


def test_drawing_is_what_the_folder_holds(builder, examples, sans):
    images, labels, faces = examples
    for name in ("LATIN CAPITAL LETTER A", "GEORGIAN LETTER CHIN"):
        label = builder.info.features["label"].str2int(name)
        (index,) = np.flatnonzero((labels == label) & (faces == 0))
        picture = glyphs.render(unicodedata.lookup(name), sans)
        np.testing.assert_array_equal(images[index], picture)


def test_reads_from_the_folder_alone(data_dir, examples):
    images, _, _ = examples
    builder = tfds.builder_from_directory(data_dir / "glyphs" / "1.0.0")
    source = builder.as_data_source("train[100:108]")
    assert len(source) == 8
    np.testing.assert_array_equal(source[0]["image"][..., 0], images[100])
    assert builder.info.features["label"].names[0] == "EXCLAMATION MARK"
