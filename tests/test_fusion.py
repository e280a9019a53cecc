"""The family fusion: a generator that sees its support."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import quick

from figr_jax import adaptation, build, generation, losses, networks, sampling
from figr_jax.networks import fusion, layers


def make(**options):
    sizes = dict(image_size=8, width=2, stages=1, latent=7)
    return networks.build("fusion", **sizes, **options)


@pytest.fixture(scope="module")
def model():
    """An untrained model with fusion networks, as if loaded."""
    cfg = quick()
    cfg.networks.update(family="fusion")
    cfg.sampling.update(critic_steps=1, best_of=3)
    slow = jax.jit(build.networks(cfg).init)(jax.random.key(0))
    return generation.FewShotGenerator(slow, {"config": cfg.to_dict()})


@pytest.mark.parametrize("shots", [1, 3])
def test_any_number_of_support_images_is_fused(shots):
    nets = make(channels=3)
    slow = jax.eval_shape(nets.init, jax.random.key(0))
    latents = jax.ShapeDtypeStruct((5, 7), jnp.float32)
    support = jax.ShapeDtypeStruct((shots, 8, 8, 3), jnp.float32)
    images = jax.eval_shape(nets.generate, slow.generator, latents, support)
    assert images.shape == (5, 8, 8, 3)


def test_mixing_logits_are_standard_normal_and_apart_for_each_support_image():
    latents = jax.random.normal(jax.random.key(0), (4000, 100))
    logits = fusion.mixing_logits(latents, 8)
    np.testing.assert_allclose(logits.std(0), 1, atol=0.05)
    assert abs(jnp.corrcoef(logits.T) - jnp.eye(8)).max() < 0.4
    # More support images leave the logits of the first ones as they are.
    fewer = fusion.mixing_logits(latents, 3)
    np.testing.assert_allclose(fewer, logits[:, :3], atol=1e-5)


def test_steering_raises_one_mixing_logit_alone():
    latents = np.random.default_rng(0).standard_normal((5, 100), np.float32)
    before = fusion.mixing_logits(latents, 4)
    for taken, change in enumerate(networks.build("fusion", image_size=16).steering(4)):
        after = fusion.mixing_logits(latents + change, 4)
        np.testing.assert_allclose(after - before, [np.eye(4)[taken]] * 5, atol=1e-5)
    assert len(networks.build("dcgan", image_size=16).steering(4)) == 0


def test_low_pass_smooths_and_keeps_constants_up_to_the_edge():
    impulse = jnp.zeros((1, 5, 5, 1)).at[0, 2, 2, 0].set(1)
    binomial = np.outer([0, 1, 2, 1, 0], [0, 1, 2, 1, 0]) / 16
    np.testing.assert_allclose(layers.low_pass(impulse)[0, :, :, 0], binomial)
    constant = jnp.full((2, 4, 6, 3), 0.7)
    np.testing.assert_allclose(layers.low_pass(constant), constant, rtol=1e-6)


def test_low_pass_takes_the_parameters_of_a_model_without_it():
    plain, smooth = make(), make(low_pass=True)
    slow = plain.init(jax.random.key(0))
    latents, support = jnp.ones((2, 7)), jnp.zeros((1, 8, 8, 1)).at[0, 4].set(1)
    images = [x.generate(slow.generator, latents, support) for x in (plain, smooth)]
    assert abs(images[0] - images[1]).max() > 1e-4


def test_features_are_mixed():
    maps = jnp.arange(3.0)[:, None, None, None] * jnp.ones((3, 4, 4, 2))
    still = jnp.zeros((3, 3, 2, 2, 2))
    for taken, image in enumerate(fusion.mix(maps, jnp.eye(3), still)):
        np.testing.assert_allclose(image, taken)
    even = fusion.mix(maps, jnp.full((3, 3), 1 / 3), still)
    np.testing.assert_allclose(even, 1, rtol=1e-6)


def test_features_are_read_at_displaced_positions():
    maps = jax.random.normal(jax.random.key(0), (2, 6, 6, 3))
    weights = jnp.eye(2)
    still = jnp.zeros((2, 2, 6, 6, 2))
    np.testing.assert_allclose(fusion.mix(maps, weights, still), maps, atol=1e-6)
    right = fusion.mix(maps, weights, still.at[..., 1].set(1 / 6))
    np.testing.assert_allclose(right[:, :, :5], maps[:, :, 1:], atol=1e-5)
    half_up = fusion.mix(maps, weights, still.at[..., 0].set(-0.5 / 6))
    between = (maps[:, 1:] + maps[:, :-1]) / 2
    np.testing.assert_allclose(half_up[:, 1:], between, atol=1e-5)


def test_the_critic_chooses_among_candidates():
    nets = make()
    fast = jax.jit(nets.init)(jax.random.key(0))
    support = jax.random.uniform(jax.random.key(1), (3, 8, 8, 1), minval=-1)
    candidates = jax.random.normal(jax.random.key(2), (6, 4, 7))
    for name in ("wgan_gp", "wgan_gp_published"):  # which values real images low
        inner = adaptation.Inner(losses.LOSSES[name](10.0), optax.sgd(1e-3))
        options = sampling.Sampling(inner)
        chosen = sampling.choose_candidates(nets, options, fast, support, candidates)
        images = nets.generate(fast.generator, candidates.reshape(24, 7), support)
        values = nets.criticize(fast.critic, images).reshape(6, 4)
        best = values.argmax(1) if name == "wgan_gp" else values.argmin(1)
        np.testing.assert_array_equal(chosen, best)


def test_an_image_depends_on_seed_and_number_alone(model):
    support = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    adapted = model.adapt(support)
    many = adapted.generate(40)
    np.testing.assert_array_equal(adapted.generate(3), many[:3])
    np.testing.assert_array_equal(adapted.draw(adapted.best_latents(2)), many[:2])
    assert (adapted.generate(3, seed=1) != many[:3]).any()


def test_the_images_change_with_the_support(model):
    supports = np.random.default_rng(1).integers(0, 256, (2, 2, 8, 8, 1), np.uint8)
    drawn = []
    for support in supports:  # no inner step: the generator sees it all the same
        drawn.append(model.adapt(support, inner_steps=0).generate(2))
    assert (drawn[0] != drawn[1]).any()
