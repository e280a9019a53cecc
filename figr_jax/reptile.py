"""The outer update of Reptile (Nichol et al. 2018; FIGR, algorithm 2).

Slow parameters move along the pseudo-gradient `mean over tasks of (slow - fast)`, given
to any optax transform. This module is the only one that maps over tasks.
"""

from typing import Any, NamedTuple

import jax
import optax
from jax import lax
from jax import numpy as jnp

from figr_jax import adaptation
from figr_jax.networks import GanParams


class ReptileState(NamedTuple):
    """All that meta-training carries from one meta-step to the next."""

    step: jax.Array  # shape=(), int32: meta-steps done
    slow: GanParams
    optimizer: Any  # optax state


class Record(NamedTuple):
    """What a meta-step reports: scalars, means over tasks and inner steps."""

    critic_loss: jax.Array
    generator_loss: jax.Array
    gradient_penalty: jax.Array  # unweighted
    pseudo_gradient_norm: jax.Array  # global norm of the mean of slow - fast
    update_norm: jax.Array  # global norm of the change of the slow parameters
    slow_norm: jax.Array  # global norm of the slow parameters


def init(networks, key, optimizer):
    """The `ReptileState` before the first meta-step.

    Args:
      networks: `Networks`.
      key: PRNG key of the initial parameters.
      optimizer: optax transform of the outer update.
    """
    slow = networks.init(key)
    return ReptileState(jnp.zeros((), jnp.int32), slow, optimizer.init(slow))


def meta_step(networks, state, supports, key, inner, optimizer):
    """Adapts to each task, then moves the slow parameters (algorithm 2).

    Args:
      networks: `Networks`.
      state: `ReptileState`.
      supports: `[tasks, shots, H, W, C]` float32 in [-1, 1].
      key: PRNG key of this meta-step; each task folds in its index.
      inner: `adaptation.Inner`.
      optimizer: optax transform on the pseudo-gradient, both networks in one pytree.

    Returns:
      The next `ReptileState` and a `Record`.
    """
    tasks = supports.shape[0]
    keys = jax.vmap(lambda task: jax.random.fold_in(key, task))(jnp.arange(tasks))

    # One task after another: memory stays that of one, and the convolutions stay plain
    # ones (under vmap, XLA's would become grouped convolutions).
    def add_task(total, episode):
        support, task_key = episode
        fast, trace = adaptation.adapt(networks, state.slow, support, task_key, inner)
        difference = jax.tree.map(jnp.subtract, state.slow, fast)
        return jax.tree.map(jnp.add, total, difference), trace

    zeros = jax.tree.map(jnp.zeros_like, state.slow)
    total, traces = lax.scan(add_task, zeros, (supports, keys))
    pseudo_gradient = jax.tree.map(lambda x: x / tasks, total)

    updates, optimizer_state = optimizer.update(
        pseudo_gradient, state.optimizer, state.slow
    )
    slow = optax.apply_updates(state.slow, updates)
    record = Record(
        critic_loss=traces.critic_loss.mean(),
        generator_loss=traces.generator_loss.mean(),
        gradient_penalty=traces.gradient_penalty.mean(),
        pseudo_gradient_norm=optax.tree.norm(pseudo_gradient),
        update_norm=optax.tree.norm(updates),
        slow_norm=optax.tree.norm(slow),
    )
    return ReptileState(state.step + 1, slow, optimizer_state), record
