"""Low-data accuracy: classifiers of few real images, alone or with generated ones."""

import numpy as np
import pytest
from conftest import quick

import figr_jax
from experiments import low_data
from figr_jax import training
from figr_jax.common.errors import BadInput
from figr_jax.data import bank as banks

OPTIONS = low_data.Options(generated=6, steps=60, batch=16)


@pytest.fixture(scope="module")
def trained(data_dir, tmp_path_factory):
    """A model of 16x16 images with few held-out classes, and its bank."""
    cfg = quick(meta_steps=2)
    cfg.dataset.update(image_size=16, heldout=8)
    workdir = tmp_path_factory.mktemp("low")
    training.train(cfg, workdir, data_dir)
    return figr_jax.load(workdir), banks.load("glyphs", 16, 1, data_dir)


def test_good_images_help_and_noise_does_not(trained, monkeypatch):
    model, bank = trained
    drawn = []

    def generate(model, known, options):
        """Real images that were not known: what a perfect model would draw."""
        classes = [bank.images[i] for i in _rest(bank, known)]
        drawn.append([len(images) for images in classes])
        return np.stack([images[: min(drawn[-1])] for images in classes])

    def noise(model, known, options):
        shape = (len(known), 6, *known.shape[2:])
        return np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    found = {}
    for name, function in {"perfect": generate, "noise": noise}.items():
        monkeypatch.setattr(low_data, "_generate", function)
        _, found[name] = low_data.measure(model, bank, 4, OPTIONS)
    arms = {
        name: {arm: value["mean"] for arm, value in arms.items()}
        for name, arms in found.items()
    }
    assert arms["perfect"].keys() == low_data.ARMS.keys()
    assert arms["perfect"]["generated"] > arms["perfect"]["no augmentation"]
    for arm in ("generated", "generated, traditional augmentation"):
        assert arms["noise"][arm] < arms["perfect"][arm]
    # The other arms see no generated image.
    for arm in ("no augmentation", "traditional augmentation"):
        assert found["noise"][arm] == found["perfect"][arm]
        assert found["noise"][arm]["mean"] > 1.5 / 8


def _rest(bank, known):
    """For each class of known images the rows of its others."""
    bytes_of = [image.tobytes() for image in np.asarray(bank.images)]
    for images in known:
        shown = {image.tobytes() for image in images}
        index = bytes_of.index(images[0].tobytes())
        label = np.searchsorted(bank.class_start, index, side="right") - 1
        rows = range(bank.class_start[label], bank.class_start[label + 1])
        yield [row for row in rows if bytes_of[row] not in shown]


def test_generated_images_are_of_disjoint_supports(trained, monkeypatch):
    model, _ = trained
    seen = []

    def adapt(networks, options, slow, supports, seed, count, label):
        seen.append(supports)
        return np.zeros((len(supports), 1, count, 16, 16, 1), np.uint8), 0.0

    monkeypatch.setattr(low_data.samples, "adapt_and_draw", adapt)
    known = np.arange(3 * 10 * 256, dtype=np.uint32).astype(np.uint8)
    known = known.reshape(3, 10, 16, 16, 1)
    options = OPTIONS._replace(generated=7)
    assert low_data._generate(model, known, options).shape == (3, 7, 16, 16, 1)
    np.testing.assert_array_equal(np.concatenate(seen, axis=1), known[:, :8])
    # Fewer than the model was trained with.
    assert low_data._generate(model, known[:, :3], options).shape == (3, 7, 16, 16, 1)
    np.testing.assert_array_equal(seen[-1], known[:, :3])


def test_low_data_accuracy_with_too_few_images(trained):
    model, bank = trained
    with pytest.raises(BadInput, match="0 held-out classes with more than 999 images"):
        low_data.measure(model, bank, 999, OPTIONS)
