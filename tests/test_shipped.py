import jax
import numpy as np
import pytest
from conftest import run_command

import figr_jax
from figr_jax import shipped
from figr_jax.common.errors import FailedWork


@pytest.fixture
def tiny(workdir, tmp_path, monkeypatch):
    """The tiny run's weights, shipped as `tiny`; the model that they are from."""
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    model = figr_jax.load(workdir)
    shipped.write(tmp_path / "tiny.npz", model.slow, model.info)
    return model


def test_weights_are_those_of_the_run_in_half_precision(tiny):
    model = figr_jax.load("tiny")
    for ours, theirs in zip(
        *map(jax.tree.leaves, (model.slow, tiny.slow)), strict=True
    ):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)
    assert model.info["split"] == tiny.info["split"]
    support = np.zeros((4, 8, 8, 1), np.uint8)
    ours, theirs = (each.adapt(support).generate(8) for each in (model, tiny))
    far = ours.astype(int) - theirs
    assert np.abs(far).mean() < 2  # grey levels


@pytest.mark.parametrize("place", [0.3, 0.9])
def test_damaged_weights_are_told(tiny, place):
    path = shipped.FOLDER / "tiny.npz"
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1
    path.write_bytes(data)
    with pytest.raises(FailedWork, match="tiny: damaged"):
        figr_jax.load("tiny")


def test_what_ships_is_small_and_says_whose_images_it_saw():
    for name in shipped.names():
        path = shipped.FOLDER / f"{name}.npz"
        assert path.stat().st_size <= 8e6
        model, card = figr_jax.load(name), path.with_suffix(".md").read_text()
        assert "Licence" in card and model.info["licence"] and model.info["examples"]
        assert f"{model.info['step']:,}" in card


def test_a_newcomer_samples_at_once(tmp_path):
    name = "sketch-32"
    model = figr_jax.load(name)
    from figr_jax import recipe
    from figr_jax.common import pictures

    texts = next(iter(model.info["examples"].values()))[:4]
    for i, text in enumerate(texts):
        pictures.save(tmp_path / f"{i}.png", recipe.decode(text, 1))
    run_command(
        "sample",
        f"--checkpoint={name}",
        f"--support={tmp_path}",
        f"--out={tmp_path}/out",
    )
    assert (tmp_path / "out/grid.png").exists()
