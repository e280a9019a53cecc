"""The verb that prepares a data set, and what becomes of it when it is killed."""

import json
import signal
import time

import numpy as np
import pytest
from conftest import run_verb, start_verb
from PIL import Image

from figr_jax.data import bank as banks


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A folder of 30 classes of 8 to 240 images, 3,720 in all."""
    path = tmp_path_factory.mktemp("own") / "own"
    rng = np.random.default_rng(0)
    for label in range(1, 31):
        folder = path / f"class {label:02}"
        folder.mkdir(parents=True)
        for i in range(8 * label):
            pixels = rng.integers(0, 256, (16, 16), np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.png")
    return path


def test_prepare_and_report(own, tmp_path):
    args = (f"--dataset=folder:{own}", f"--data_dir={tmp_path / 'data'}")
    said = run_verb("prepare", *args, "--image_size=8", f"--report={tmp_path}")
    assert "3,720 images of 30 classes, 8 to 240 each" in said
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert counts["images_per_class"]["median"] == 124
    assert counts["counts"]["class 30"] == 240
    assert counts["figure1_largest"] == "class 30"
    # A sheet of 30 classes in rows of 12, and one of the first 120 of the largest.
    figure = np.asarray(Image.open(tmp_path / "figure1.png"))
    assert figure.shape == (10 * 10, 2 * 12 * 10 + 16, 3)
    assert Image.open(tmp_path / "figure2.png").size == (640, 400)
    again = run_verb("prepare", *args, "--image_size=8")
    assert "building" not in again and "3,720 images of 30 classes" in again


def left_of(folder):
    """What lies about that belongs to no finished data set or bank."""
    return [*folder.rglob("incomplete.*"), *folder.rglob(".bank-*")]


def test_prepare_can_be_killed_at_any_moment(own, tmp_path):
    args = ("prepare", f"--dataset=folder:{own}", f"--data_dir={tmp_path}")
    args += ("--image_size=8",)
    whole = time.monotonic()
    reference = run_verb(*args[:2], f"--data_dir={tmp_path / 'whole'}", args[3])
    whole = time.monotonic() - whole
    found = []
    for kill, share in enumerate(np.linspace(0.35, 0.95, 6)):
        process = start_verb(*args)
        time.sleep(share * whole)
        process.send_signal((signal.SIGKILL, signal.SIGINT)[kill % 2])
        process.communicate()
        found += left_of(tmp_path / "folder")
    assert found  # else no kill came while something was being written
    said = run_verb(*args)
    assert not left_of(tmp_path)
    summary = "3,720 images of 30 classes"
    assert summary in said and summary in reference
    name = f"folder:{own}"
    bank, same = (banks.load(name, 8, 1, tmp_path / d) for d in ("", "whole"))
    np.testing.assert_array_equal(bank.images, same.images)
    assert bank.version == same.version


def test_two_at_once_prepare_one(own, tmp_path):
    args = ("prepare", f"--dataset=folder:{own}", f"--data_dir={tmp_path}")
    both = [start_verb(*args, "--image_size=8") for _ in range(2)]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("another process prepares it" in out for out, _ in said) == 1
    assert not left_of(tmp_path)
