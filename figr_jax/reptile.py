"""The outer update of Reptile (Nichol et al. 2018; FIGR, algorithm 2).

Slow parameters move against the pseudo-gradient `mean over tasks of (slow - fast)`; any
optax transform may compute the update from it. In meta-training this is the only module
that handles several tasks.
"""

from typing import Any, NamedTuple

import jax
import optax
from jax import flatten_util, lax
from jax import numpy as jnp
from jax.sharding import PartitionSpec

from figr_jax import adaptation
from figr_jax.networks import GanParams

AXIS = "task"  # of the mesh of devices that share the tasks of a meta-step


class ReptileState(NamedTuple):
    """The state that meta-training carries from one meta-step to the next."""

    step: jax.Array  # shape=(), int32: meta-steps done
    slow: GanParams
    optimizer: Any  # optax state


class Metrics(NamedTuple):
    """Metrics of a meta-step, scalars.

    The losses and the penalty are means over tasks and inner steps.
    """

    critic_loss: jax.Array
    generator_loss: jax.Array
    gradient_penalty: jax.Array  # unweighted
    pseudo_gradient_norm: jax.Array  # global norm of the mean of slow - fast
    update_norm: jax.Array  # global norm of the change of the slow parameters
    slow_norm: jax.Array  # global norm of the slow parameters


def init(networks, key, optimizer):
    """Makes the `ReptileState` before the first meta-step.

    Args:
      networks: `Networks`.
      key: PRNG key of the initial parameters.
      optimizer: optax transform of the outer update.
    """
    slow = networks.init(key)
    return ReptileState(jnp.zeros((), jnp.int32), slow, optimizer.init(slow))


def task_numbers(tasks, axis=None):
    """Returns the numbers of this device's `tasks` tasks in a meta-step."""
    first = lax.axis_index(axis) * tasks if axis else 0
    return first + jnp.arange(tasks)


def share_tasks(function, mesh, specs):
    """Maps a function over the devices that share the tasks of a meta-step.

    Args:
      function: function of arrays, which calls `meta_step` with `AXIS`. All devices
        return the same.
      mesh: `jax.sharding.Mesh` with the axis `AXIS`.
      specs: `PartitionSpec` of each argument.

    Returns:
      A function of the same arrays, undivided.
    """
    return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=PartitionSpec())


def _mean(tree):
    return jax.tree.map(jnp.mean, tree)


def _split_groups(tree, group):
    """Reshapes each leaf from `[tasks, ...]` to `[tasks / group, group, ...]`."""
    return jax.tree.map(lambda x: x.reshape(-1, group, *x.shape[1:]), tree)


def meta_step(networks, state, episodes, key, inner, optimizer, group=1, axis=None):
    """Adapts to each task, then moves the slow parameters (algorithm 2).

    Args:
      networks: `Networks`.
      state: `ReptileState`.
      episodes: `adaptation.Episode` with a leading axis [tasks], of this device.
      key: PRNG key of this meta-step; each task folds in its number.
      inner: `adaptation.Inner`.
      optimizer: optax transform on the pseudo-gradient, both networks in one pytree.
      group: tasks to adapt to in parallel, by `jax.vmap`; a divisor of their number.
        Groups run one after another, so memory is that of one group.
      axis: `AXIS` inside a `jax.shard_map`, else None.

    Returns:
      The next `ReptileState` and its `Metrics`.
    """
    pseudo_gradient, trace = _average_tasks(
        networks, state.slow, episodes, key, inner, group, axis
    )
    updates, optimizer_state = optimizer.update(
        pseudo_gradient, state.optimizer, state.slow
    )
    slow = optax.apply_updates(state.slow, updates)
    metrics = Metrics(
        critic_loss=trace.critic_loss,
        generator_loss=trace.generator_loss,
        gradient_penalty=trace.gradient_penalty,
        pseudo_gradient_norm=optax.tree.norm(pseudo_gradient),
        update_norm=optax.tree.norm(updates),
        slow_norm=optax.tree.norm(slow),
    )
    return ReptileState(state.step + 1, slow, optimizer_state), metrics


def _average_tasks(networks, slow, episodes, key, inner, group, axis):
    """Adapts to each task and averages the results.

    Inside a `jax.shard_map` over `AXIS` each device adapts to its own tasks, and one
    all-reduce averages the results; there is no other communication.

    Returns:
      The pseudo-gradient, `GanParams`, and a mean `adaptation.Trace` of scalars.
    """
    numbers = task_numbers(len(episodes.support), axis)
    keys = jax.vmap(lambda task: jax.random.fold_in(key, task))(numbers)
    if axis:
        # Without this, each inner step would sum its gradients over devices.
        slow = lax.pcast(slow, axis, to="varying")

    def adapt(episode, task_key):
        fast, trace = adaptation.adapt(networks, slow, episode, task_key, inner)
        return jax.tree.map(jnp.subtract, slow, fast), trace

    def add_group(total, tasks):
        # No vmap for one task: it would turn its convolutions into grouped ones.
        if group == 1:
            difference, trace = adapt(*jax.tree.map(lambda x: x[0], tasks))
        else:
            differences, trace = jax.vmap(adapt)(*tasks)
            difference = jax.tree.map(lambda x: x.sum(0), differences)
        return jax.tree.map(jnp.add, total, difference), trace

    zeros = adaptation.vary_like(slow, jax.tree.map(jnp.zeros_like, slow))
    groups = _split_groups((episodes, keys), group)
    total, traces = lax.scan(add_group, zeros, groups)
    means = jax.tree.map(lambda x: x / len(numbers), total), _mean(traces)
    if not axis:
        return means
    # As one vector: separate leaves would take an all-reduce each.
    flat, unravel = flatten_util.ravel_pytree(means)
    return unravel(lax.pmean(flat, axis))
