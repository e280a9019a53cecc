"""U_tau^K: K inner steps that adapt slow parameters to one support (algorithm 1)."""

import functools
from typing import NamedTuple

import jax
import numpy as np
import optax
from jax import lax

from figr_jax import losses
from figr_jax.networks import GanParams


class Inner(NamedTuple):
    """Options of adaptation. Hashable: a static argument of `jax.jit`.

    Attributes:
      loss: losses of the critic and the generator.
      optimizer: any optax transform; each network has its own state, fresh at each
        adaptation.
      steps: inner steps K.
      critic_steps: critic updates in an inner step.
    """

    loss: losses.Loss
    optimizer: optax.GradientTransformation
    steps: int = 10
    critic_steps: int = 1


class Episode(NamedTuple):
    """The images of one task.

    Attributes:
      support: `[shots, H, W, C]` float32 in [-1, 1]; the generator may see it.
      others: `[others, H, W, C]`, further images of the class that the critic sees as
        real; None: it sees the support, as in the paper.
    """

    support: jax.Array
    others: jax.Array | None = None


class Noise(NamedTuple):
    """Random numbers of one inner step, or of all steps with a leading axis [steps]."""

    critic_latents: jax.Array  # [critic_steps, shots, latent], standard normal
    epsilon: jax.Array  # [critic_steps, shots], uniform in [0, 1)
    generator_latents: jax.Array  # [shots, latent], standard normal
    # [critic_steps, shots], int32: indices into the others, the critic's real images;
    # None: the support is real.
    reals: jax.Array | None = None


class Trace(NamedTuple):
    """Losses of one inner step; `adapt` stacks them to [steps].

    Attributes:
      critic_loss: scalar, before the last critic update.
      generator_loss: scalar, after the critic updates and before the generator's.
      gradient_penalty: scalar, unweighted, of the last critic update.
    """

    critic_loss: jax.Array
    generator_loss: jax.Array
    gradient_penalty: jax.Array


class InnerState(NamedTuple):
    """State between inner steps: fast parameters and their optimizer states."""

    fast: GanParams
    optimizer: GanParams  # optax states, one per network


def draw_noise(key, networks, shots, inner, others=0):
    """Draws the noise of an adaptation.

    Args:
      key: PRNG key of the adaptation.
      networks: `Networks`.
      shots: number of support images.
      inner: `Inner`.
      others: number of further images to draw the critic's real images from, without
        replacement if there are enough; 0: the support is real.

    Returns:
      `Noise` with leading axis [inner.steps].
    """
    critic_key, mix_key, generator_key = jax.random.split(key, 3)
    steps, critic_steps = inner.steps, inner.critic_steps
    reals = None
    if others:
        uniform = jax.random.uniform(
            jax.random.fold_in(key, 3), (steps, critic_steps, others)
        )
        reals = uniform.argsort(-1)[..., np.arange(shots) % others]
    return Noise(
        jax.random.normal(critic_key, (steps, critic_steps, shots, networks.latent)),
        jax.random.uniform(mix_key, (steps, critic_steps, shots)),
        jax.random.normal(generator_key, (steps, shots, networks.latent)),
        reals,
    )


def sampling_key(seed):
    """Returns the PRNG key for the noise of an adaptation to a user's support."""
    return jax.random.fold_in(jax.random.key(seed), 0)


def init_state(slow, inner):
    """Makes the `InnerState` before the first inner step.

    Args:
      slow: `GanParams`, the initial fast parameters.
      inner: `Inner`, whose optimizer gets a fresh state for each network.
    """
    optimizer = GanParams(*(inner.optimizer.init(p) for p in slow))
    return InnerState(slow, vary_like(slow, optimizer))


def vary_like(reference, tree):
    """Gives fresh arrays the type of arrays that may vary over devices.

    Inside a `jax.shard_map`, a fresh array counts as equal on all devices. As the carry
    of a scan it would change its type, which a scan forbids. Adding a zero that is
    computed from the reference sets the right type, and changes no value.

    Args:
      reference: pytree of arrays of the right type, such as parameters.
      tree: pytree of fresh arrays.

    Returns:
      The tree with the same values.
    """
    zero = jax.tree.leaves(reference)[0].ravel()[0] * 0
    return jax.tree.map(lambda x: x + zero.astype(x.dtype), tree)


def _update(inner, gradient, optimizer_state, params):
    updates, optimizer_state = inner.optimizer.update(gradient, optimizer_state, params)
    return optax.apply_updates(params, updates), optimizer_state


@functools.partial(jax.jit, static_argnums=(0, 4))
def inner_step(networks, state, episode, noise, inner):
    """Updates the critic, then the generator against the new critic (algorithm 1).

    Args:
      networks: `Networks`.
      state: `InnerState`.
      episode: `Episode`.
      noise: `Noise` of this step.
      inner: `Inner`.

    Returns:
      The next `InnerState` and the step's `Trace`.
    """
    support = episode.support

    def critic_step(carry, step_noise):
        critic, optimizer_state = carry
        latents, epsilon, reals = step_noise
        real = support if reals is None else episode.others[reals]
        fake = networks.generate(state.fast.generator, latents, support)

        def loss(critic):
            return inner.loss.critic(
                functools.partial(networks.criticize, critic), real, fake, epsilon
            )

        (value, penalty), gradient = jax.value_and_grad(loss, has_aux=True)(critic)
        return _update(inner, gradient, optimizer_state, critic), (value, penalty)

    (critic, critic_optimizer), (critic_losses, penalties) = lax.scan(
        critic_step,
        (state.fast.critic, state.optimizer.critic),
        (noise.critic_latents, noise.epsilon, noise.reals),
    )

    # A relativistic loss compares the fake images with the last real ones.
    real = support if noise.reals is None else episode.others[noise.reals[-1]]

    def generator_loss(generator):
        fake = networks.generate(generator, noise.generator_latents, support)
        criticize = functools.partial(networks.criticize, critic)
        return inner.loss.generator(criticize, real, fake)

    value, gradient = jax.value_and_grad(generator_loss)(state.fast.generator)
    generator, generator_optimizer = _update(
        inner, gradient, state.optimizer.generator, state.fast.generator
    )
    state = InnerState(
        GanParams(generator, critic), GanParams(generator_optimizer, critic_optimizer)
    )
    return state, Trace(critic_losses[-1], value, penalties[-1])


def adapt_with_noise(networks, slow, episode, noise, inner):
    """Runs `adapt` on given noise, so that a trajectory can be replayed elsewhere.

    Args:
      networks: `Networks`.
      slow: `GanParams`, unchanged.
      episode: `Episode`.
      noise: `Noise` with leading axis [inner.steps].
      inner: `Inner`.

    Returns:
      The fast parameters, `GanParams`, and a `Trace` with leading axis [inner.steps].
    """

    def step(state, step_noise):
        return inner_step(networks, state, episode, step_noise, inner)

    state, trace = lax.scan(step, init_state(slow, inner), noise)
    return state.fast, trace


def adapt(networks, slow, episode, key, inner):
    """Adapts slow parameters to one task: W_tau = U_tau^K(Phi) (algorithm 1).

    Args:
      networks: `Networks`.
      slow: `GanParams`, unchanged.
      episode: `Episode`.
      key: PRNG key of this adaptation.
      inner: `Inner`.

    Returns:
      The fast parameters, `GanParams`, and a `Trace` with leading axis [inner.steps].
    """
    others = 0 if episode.others is None else len(episode.others)
    noise = draw_noise(key, networks, len(episode.support), inner, others)
    return adapt_with_noise(networks, slow, episode, noise, inner)
