"""Sampling from an adapted model: scaled latents, and the best of several candidates.

The paper has neither: its latents are standard normal, and each gives one image.
"""

from typing import NamedTuple

from jax import numpy as jnp

from figr_jax.adaptation import Inner


class Sampling(NamedTuple):
    """Options of adaptation to a support and of sampling. Hashable.

    Attributes:
      inner: `adaptation.Inner` of the adaptation.
      latent_scale: standard deviation of the latents; inner steps take standard normal
        ones.
      best_of: candidates for each image; the adapted critic chooses one of them.
    """

    inner: Inner
    latent_scale: float = 1.0
    best_of: int = 1


def generate(networks, options, generator, support, latents):
    """Generates images from latents.

    Args:
      networks: `Networks`.
      options: `Sampling`.
      generator: fast parameters of the generator.
      support: `[shots, H, W, C]` float32 in [-1, 1].
      latents: `[N, latent]`, standard normal; scaled here.

    Returns:
      `[N, H, W, C]` float32 in [-1, 1].
    """
    return networks.generate(generator, options.latent_scale * latents, support)


def choose_candidates(networks, options, fast, support, candidates):
    """Finds, for each image, the candidate that the adapted critic prefers.

    Args:
      networks: `Networks`.
      options: `Sampling`.
      fast: fast parameters, `GanParams`.
      support: `[shots, H, W, C]` float32 in [-1, 1].
      candidates: latents `[N, best_of, latent]`, standard normal.

    Returns:
      `[N]` int32, indices of the candidates.
    """
    n, best_of, latent = candidates.shape
    if best_of == 1:
        return jnp.zeros(n, jnp.int32)
    latents = candidates.reshape(n * best_of, latent)
    fake = generate(networks, options, fast.generator, support, latents)
    values = networks.criticize(fast.critic, fake)
    sign = 1 if options.inner.loss.real_is_high else -1
    return (sign * values).reshape(n, best_of).argmax(1)


def generate_best(networks, options, fast, support, candidates):
    """Generates each image from the best of its candidates.

    Takes the arguments of `choose_candidates`.

    Returns:
      `[N, H, W, C]` float32 in [-1, 1].
    """
    best = choose_candidates(networks, options, fast, support, candidates)
    latents = candidates[jnp.arange(len(candidates)), best]
    return generate(networks, options, fast.generator, support, latents)
