"""The losses of one task: pure functions of a critic and its images.

A critic here is a function `[..., N, H, W, C] -> [..., N]`: a value may depend on the
other images of its batch of N, not on those of other batches. Losses are minimized.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
from jax import numpy as jnp


class Loss(NamedTuple):
    """Losses of critic and generator, both minimized. Hashable.

    Attributes:
      critic: `(critic, real, fake, epsilon) -> (loss, penalty)`, two scalars; real and
        fake are `[N, H, W, C]`, epsilon is `[N]` in [0, 1]. The penalty is unweighted.
      generator: `(critic, real, fake) -> loss`, a scalar.
      real_is_high: whether the critic learns to give real images high values.
    """

    critic: Callable
    generator: Callable
    real_is_high: bool = True


def input_gradient(critic, images):
    """Computes the gradient of the summed values with respect to the images.

    Takes and returns `[..., N, H, W, C]`.

    This is the gradient of the image's own value, unless the critic compares the images
    of a batch (`minibatch_std`).
    """
    return jax.grad(lambda x: critic(x).sum())(images)


def interpolate(real, fake, epsilon):
    """Interpolates between real and fake images, with one `epsilon` for each pair.

    x_hat = epsilon * real + (1 - epsilon) * fake (Gulrajani et al. 2017, algorithm 1).
    """
    epsilon = epsilon[:, None, None, None]
    return epsilon * real + (1 - epsilon) * fake


def gradient_penalty(critic, real, fake, epsilon, axes=(1, 2, 3)):
    """Computes E (||grad D(x_hat)|| - 1)^2 (Gulrajani et al. 2017, equation 3).

    Args:
      critic: `[..., N, H, W, C] -> [..., N]`.
      real: `[N, H, W, C]`.
      fake: `[N, H, W, C]`.
      epsilon: `[N]` in [0, 1].
      axes: axes of the norm; by default the whole image.

    Returns:
      A scalar.
    """
    gradient = input_gradient(critic, interpolate(real, fake, epsilon))
    square = jnp.sum(gradient**2, axes)
    # At a zero gradient the norm has no derivative; as in PyTorch we take 0, not NaN.
    norm = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)
    return jnp.mean((norm - 1) ** 2)


def _real_and_fake(critic, real, fake):
    """Returns the values of both, from one pass of the critic: two arrays `[N]`."""
    real_values, fake_values = critic(jnp.stack([real, fake]))
    return real_values, fake_values


def wgan_gp(penalty_weight=10.0):
    """Builds the Wasserstein loss with gradient penalty, as the paper defines it.

    L_D = E D(fake) - E D(real) + weight * penalty,  L_G = -E D(fake)
    (Gulrajani et al. 2017, equation 3; FIGR, algorithm 1).

    Args:
      penalty_weight: weight of the penalty (lambda), 10 in the paper.

    Returns:
      A `Loss`.
    """

    def critic_loss(critic, real, fake, epsilon):
        real_values, fake_values = _real_and_fake(critic, real, fake)
        penalty = gradient_penalty(critic, real, fake, epsilon)
        loss = fake_values.mean() - real_values.mean() + penalty_weight * penalty
        return loss, penalty

    def generator_loss(critic, real, fake):
        del real
        return -critic(fake).mean()

    return Loss(critic_loss, generator_loss)


def wgan_gp_published(penalty_weight=10.0):
    """Builds the loss that the code published with the paper computes.

    It differs from `wgan_gp` in three ways. Real images are pushed to low values. The
    mean runs over the joined batch of 2N, so the penalty has twice the weight. The
    penalty's norm runs over the channel axis alone, so each pixel's slope is pulled
    to 1.

    Args:
      penalty_weight: weight of the penalty, 10 in the published code.

    Returns:
      A `Loss`.
    """

    def critic_loss(critic, real, fake, epsilon):
        real_values, fake_values = _real_and_fake(critic, real, fake)
        penalty = gradient_penalty(critic, real, fake, epsilon, axes=3)
        distance = jnp.mean(jnp.concatenate([real_values, -fake_values]))
        return distance + penalty_weight * penalty, penalty

    def generator_loss(critic, real, fake):
        del real
        return critic(fake).mean()

    return Loss(critic_loss, generator_loss, real_is_high=False)


def non_saturating():
    """Builds the binary cross-entropy loss of the paper's first MNIST experiment.

    L_D = E softplus(-D(real)) + E softplus(D(fake)),  L_G = E softplus(-D(fake))
    (Goodfellow et al. 2014, section 3, with D the logit). There is no penalty.

    Returns:
      A `Loss`.
    """

    def critic_loss(critic, real, fake, epsilon):
        del epsilon  # part of every loss's signature; only penalties need it
        real_values, fake_values = _real_and_fake(critic, real, fake)
        loss = (
            jax.nn.softplus(-real_values).mean() + jax.nn.softplus(fake_values).mean()
        )
        return loss, jnp.zeros(())

    def generator_loss(critic, real, fake):
        del real
        return jax.nn.softplus(-critic(fake)).mean()

    return Loss(critic_loss, generator_loss)


def relativistic(penalty_weight=1.0):
    """Builds the relativistic pairing loss with two zero-centred gradient penalties.

    L_D = E softplus(D(fake) - D(real)) + weight / 2 * penalty,
    L_G = E softplus(D(real) - D(fake)),
    penalty = E ||grad D(real)||^2 + E ||grad D(fake)||^2
    (Huang et al. 2024, "The GAN is dead; long live the GAN!", section 2).

    Args:
      penalty_weight: weight of the penalty (gamma).

    Returns:
      A `Loss`.
    """

    def critic_loss(critic, real, fake, epsilon):
        del epsilon
        both = jnp.stack([real, fake])
        square = jnp.sum(input_gradient(critic, both) ** 2, axis=(2, 3, 4))
        penalty = square.mean(1).sum()
        real_values, fake_values = critic(both)
        distance = jax.nn.softplus(fake_values - real_values).mean()
        return distance + penalty_weight / 2 * penalty, penalty

    def generator_loss(critic, real, fake):
        real_values, fake_values = _real_and_fake(critic, real, fake)
        return jax.nn.softplus(real_values - fake_values).mean()

    return Loss(critic_loss, generator_loss)


# By name: functions of the penalty weight.
LOSSES = {
    "wgan_gp": wgan_gp,
    "wgan_gp_published": wgan_gp_published,
    "relativistic": relativistic,
    "non_saturating": lambda penalty_weight: non_saturating(),
}
