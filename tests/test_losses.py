import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from figr_jax import losses

REAL = jax.random.normal(jax.random.key(0), (4, 8, 8, 1))
FAKE = jax.random.normal(jax.random.key(1), (4, 8, 8, 1))
MIX = jax.random.uniform(jax.random.key(2), (4,))
WEIGHTS = jax.random.normal(jax.random.key(3), (8, 8, 1))


def linear(images):
    """D(x) = <w, x>: its gradient is w at every image."""
    return jnp.einsum("...hwc,hwc->...", images, WEIGHTS)


def test_penalty_of_a_linear_critic():
    expected = (jnp.linalg.norm(WEIGHTS) - 1) ** 2
    got = losses.gradient_penalty(linear, REAL, FAKE, MIX)
    assert float(got) == pytest.approx(float(expected), rel=1e-5)


def test_published_penalty_of_a_linear_critic_pulls_each_pixel_to_one():
    expected = ((jnp.abs(WEIGHTS) - 1) ** 2).mean()
    _, got = losses.wgan_gp_published().critic(linear, REAL, FAKE, MIX)
    assert float(got) == pytest.approx(float(expected), rel=1e-5)


def test_penalty_is_taken_between_real_and_fake():
    square = lambda images: 0.5 * jnp.sum(images**2, (1, 2, 3))  # noqa: E731
    between = MIX[:, None, None, None] * REAL + (1 - MIX[:, None, None, None]) * FAKE
    norms = jnp.linalg.norm(between.reshape(4, -1), axis=1)  # grad D(x) = x
    got = losses.gradient_penalty(square, REAL, FAKE, MIX)
    assert float(got) == pytest.approx(float(((norms - 1) ** 2).mean()), rel=1e-5)


def test_penalty_has_a_derivative_where_the_gradient_is_zero():
    def penalty(scale):
        return losses.gradient_penalty(
            lambda x: scale * x.sum((1, 2, 3)), REAL, FAKE, MIX
        )

    assert float(penalty(0.0)) == 1.0
    assert np.isfinite(jax.grad(penalty)(0.0))


def test_wgan_gp():
    loss = losses.wgan_gp(penalty_weight=10.0)
    value, penalty = loss.critic(linear, REAL, FAKE, MIX)
    expected = linear(FAKE).mean() - linear(REAL).mean() + 10 * penalty
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
    assert float(loss.generator(linear, REAL, FAKE)) == -float(linear(FAKE).mean())


def test_published_loss_differs_in_sign_and_weight():
    loss = losses.wgan_gp_published(penalty_weight=10.0)
    value, penalty = loss.critic(linear, REAL, FAKE, MIX)
    expected = (linear(REAL).mean() - linear(FAKE).mean()) / 2 + 10 * penalty
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
    assert float(loss.generator(linear, REAL, FAKE)) == float(linear(FAKE).mean())


def test_non_saturating_of_an_undecided_critic():
    loss = losses.non_saturating()
    undecided = lambda images: jnp.zeros(images.shape[:-3])  # noqa: E731
    value, penalty = loss.critic(undecided, REAL, FAKE, MIX)
    assert float(value) == pytest.approx(2 * math.log(2))
    assert float(penalty) == 0
    assert float(loss.generator(undecided, REAL, FAKE)) == pytest.approx(math.log(2))


def test_relativistic_compares_each_real_image_with_a_fake_one():
    loss = losses.relativistic(penalty_weight=3.0)
    value, penalty = loss.critic(linear, REAL, FAKE, MIX)
    difference = linear(REAL) - linear(FAKE)
    # The gradient of a linear critic is w at real and at fake images.
    assert float(penalty) == pytest.approx(2 * float(jnp.sum(WEIGHTS**2)), rel=1e-5)
    expected = jnp.log1p(jnp.exp(-difference)).mean() + 1.5 * penalty
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
    expected = jnp.log1p(jnp.exp(difference)).mean()
    got = loss.generator(linear, REAL, FAKE)
    assert float(got) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_the_critic_learns_the_side_that_real_images_are_on(name):
    """One descent step on the distance moves real values to that side of fake ones."""
    loss = losses.LOSSES[name](0.0)

    def gap(weights):
        critic = lambda x: jnp.einsum("...hwc,hwc->...", x, weights)  # noqa: E731
        return critic, (critic(REAL) - critic(FAKE)).mean()

    gradient = jax.grad(lambda w: loss.critic(gap(w)[0], REAL, FAKE, MIX)[0])(WEIGHTS)
    change = gap(WEIGHTS - 0.01 * gradient)[1] - gap(WEIGHTS)[1]
    assert (float(change) > 0) == loss.real_is_high
