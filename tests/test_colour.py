"""Colour from end to end: a run on images of 3 channels, its samples, its report."""

import base64
import io

import numpy as np
import pytest
from conftest import ROOT, SHRINK, run_command
from PIL import Image, ImageDraw

import figr_jax
from figr_jax.common.errors import BadInput
from figr_jax.data import bank as banks
from figr_jax.data import inputs, styles
from figr_jax.evaluation import embedding_training, measurement, report

RED = (220, 30, 30)


def disc(colour, radius=6):
    """A disc on white."""
    image = Image.new("RGB", (20, 20), "white")
    box = (10 - radius, 10 - radius, 10 + radius, 10 + radius)
    ImageDraw.Draw(image).ellipse(box, fill=colour)
    return image


def write_discs(folder, colours):
    folder.mkdir(parents=True)
    for i, colour in enumerate(colours):
        disc(colour, radius=3 + i / 2).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A folder of 12 classes of 8 discs of any colours."""
    folder = tmp_path_factory.mktemp("own")
    colours = np.random.default_rng(0).integers(0, 200, (12, 8, 3)).tolist()
    for label, some in enumerate(colours):
        write_discs(folder / f"class {label:02}", map(tuple, some))
    return folder


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def workdir(own, data_dir, tmp_path_factory):
    """The folder of a finished tiny run of configs/colour.py on the discs."""
    path = tmp_path_factory.mktemp("run")
    run_command(
        "main",
        f"--config={ROOT / 'configs/colour.py'}",
        *(f"--workdir={path}", f"--data_dir={data_dir}", *SHRINK),
        f"--config.dataset.name=folder:{own}",
        *("--config.dataset.split=random", "--config.dataset.heldout=4"),
    )
    return path


def sample(workdir, support, out):
    args = f"--checkpoint={workdir}", f"--support={support}", f"--out={out}"
    return run_command("sample", *args, "--count=3")


def test_samples_of_a_colour_model_are_in_colour(workdir, own, tmp_path):
    printed = sample(workdir, own / "class 00", tmp_path / "out")
    assert "grey" not in printed
    for name in ("generated_000.png", "grid.png", "support.png"):
        assert Image.open(tmp_path / "out" / name).mode == "RGB"


def test_a_grey_support_of_a_colour_model_is_converted(workdir, tmp_path):
    grey = write_discs(tmp_path / "grey", [(90, 90, 90)] * 4)
    printed = sample(workdir, grey, tmp_path / "out")
    assert "all 4 images are grey: converted to 3 equal channels\n" in printed


def test_a_colour_support_of_a_grey_model_is_converted(capsys):
    given = [disc(RED), disc((90, 90, 90)), disc((40, 40, 43))]
    style = styles.plain(255.0)
    originals, prepared = inputs.prepare(given, 8, 1, style)
    assert prepared.support.shape == (3, 8, 8, 1)
    assert capsys.readouterr().out == "1 of 3 images are in colour: converted to grey\n"
    expected = np.asarray(given[0].convert("L"))[..., None]
    np.testing.assert_array_equal(originals[0], expected)
    inputs.prepare(given[1:], 8, 1, style)
    inputs.prepare(given, 8, 3, style)
    assert not capsys.readouterr().out


def test_a_report_of_a_colour_model(workdir, own, data_dir, tmp_path, monkeypatch):
    steps = {"prototypical": 3, "simclr": 3}
    monkeypatch.setattr(embedding_training, "STEPS", steps)
    monkeypatch.setattr(embedding_training, "_BATCH", 8)
    bank = banks.load(f"folder:{own}", 8, 3, data_dir)
    options = measurement.Options(draws=1, count=16, curve_classes=0, scratch=0)
    made = report.make(figr_jax.load(workdir), bank, tmp_path / "out", options)
    assert np.isfinite([v["mean"] for v in made["arms"]["model"].values()]).all()
    assert Image.open(tmp_path / "out/random_classes.png").mode == "RGB"


def test_the_studio_keeps_the_colours_of_uploads(workdir):
    pytest.importorskip("fastapi", reason="the extra `studio` is not installed")
    from figr_jax.studio import models
    from figr_jax.studio.routers import common

    file = io.BytesIO()
    disc(RED).save(file, "PNG")
    decoded, _ = common.decode([base64.b64encode(file.getvalue()).decode()], 3)
    prepared, hints = models.Model("discs", workdir).prepare(decoded * 2)
    assert prepared.support.shape == (2, 8, 8, 3)
    np.testing.assert_array_equal(prepared.support[0, 4, 4], RED)
    assert len(hints) == 1 and "the same" in hints[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_mix_of_grey_and_colour_is_refused(channels, tmp_path):
    name = "mix:omniglot,open_icons/colour"
    with pytest.raises(BadInput, match="omniglot is grey, open_icons/colour is in col"):
        banks.load(name, 8, channels, tmp_path)
    assert not list(tmp_path.iterdir())
