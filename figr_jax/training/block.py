"""The compiled block: many meta-steps as one program, and its episodes."""

import contextlib
import itertools
import math
import time

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from jax.experimental import multihost_utils
from jax.sharding import PartitionSpec as P

from figr_jax import adaptation, build, reptile
from figr_jax.common import compilation, memory
from figr_jax.common.errors import BadInput, say
from figr_jax.data import episodes, feed, images

COPIES = 6  # of the parameters: slow, two moments, fast, gradient, difference


def make_mesh(tasks):
    """Returns a mesh of devices that share the tasks of a meta-step evenly.

    Raises:
      BadInput: if the processes cannot share them evenly.
    """
    processes = jax.process_count()
    if tasks % processes:
        raise BadInput(
            f"--config.outer.tasks={tasks}: must be a multiple of the {processes} "
            "processes, which take equal numbers of tasks"
        )
    own = min(len(jax.local_devices(i)) for i in range(processes))
    each = math.gcd(tasks // processes, own)
    devices = [d for i in range(processes) for d in jax.local_devices(i)[:each]]
    kinds = (jax.sharding.AxisType.Auto,)
    # Not jax.make_mesh, which may reject a subset of a machine's devices.
    return jax.sharding.Mesh(np.array(devices), (reptile.AXIS,), axis_types=kinds)


def list_blocks(run, step):
    """Yields the first meta-step and the count of each block, from `step` on.

    Args:
      run: the config's section `run`.
      step: meta-steps done.
    """
    while step < run.meta_steps:
        # Blocks end at multiples of log_every, also after a resume in between.
        count = min(run.log_every - step % run.log_every, run.meta_steps - step)
        yield step, count
        step += count


@contextlib.contextmanager
def open_sources(cfg, bank, classes, mesh, seed, step):
    """Opens the source of episodes for each block of meta-steps.

    Args:
      cfg: the run's config.
      bank: `bank.Bank`.
      classes: `[allowed]` indices of the training classes.
      mesh: `jax.sharding.Mesh` of the devices that share the tasks.
      seed: seed of the episodes.
      step: meta-steps done.

    Yields:
      An iterator of `feed.Resident` or `feed.Streamed`, one for each block.
    """
    fits = _agree(feed.fits(bank, jax.local_devices()[0]))
    if cfg.run.bank == "device" or (cfg.run.bank == "auto" and fits):
        yield itertools.repeat(feed.put(bank, classes, mesh))
        return
    say(f"streaming episodes from the host: the bank has {bank.images.nbytes:,} bytes")
    starts = (start for start, _ in list_blocks(cfg.run, step))
    with feed.stream(
        bank,
        classes,
        mesh,
        seed,
        starts,
        size=cfg.run.log_every,
        tasks=cfg.outer.tasks,
        shots=cfg.inner.shots,
        others=cfg.inner.others,
    ) as sources:
        yield sources


def _agree(value):
    """Returns the first process's value, so that all compile the same program."""
    if jax.process_count() == 1:
        return value
    return multihost_utils.broadcast_one_to_all(np.array(value))


def make_block(networks, inner, optimizer, tasks, shots, mesh, *, others=0, group=1):
    """Builds a function of arrays that takes many meta-steps, to be jitted.

    Args:
      networks: `networks.Networks`.
      inner: `adaptation.Inner`.
      optimizer: optax transform of the outer update.
      tasks: tasks in a meta-step.
      shots: support images in a task.
      mesh: `jax.sharding.Mesh` of the devices that share the tasks.
      others: further images of the class in a task, for the critic.
      group: tasks that a device adapts to in parallel.

    Returns:
      A function `(state, count, seed, source) -> (state, metrics)`. It takes `count`
      meta-steps from a `ReptileState`, with the episodes of a `feed.Resident` or
      `feed.Streamed`. The metrics are the means of `reptile.Metrics` over the
      meta-steps. The count is a traced scalar, so one program serves every block, and
      the results do not depend on how a run is cut into blocks.
    """
    axis = reptile.AXIS if mesh.size > 1 else None

    def one(state, i, seed, source):
        episode_key, adapt_key = episodes.keys(seed, state.step)
        numbers = reptile.task_numbers(tasks // mesh.size, axis)
        drawn = source.draw(episode_key, i, numbers, shots, others)
        drawn = images.to_float(drawn)
        further = drawn[:, shots:] if others else None
        return reptile.meta_step(
            networks,
            state,
            adaptation.Episode(drawn[:, :shots], further),
            adapt_key,
            inner,
            optimizer,
            group,
            axis,
        )

    def block(state, count, seed, source):
        def body(i, carry):
            state, total = carry
            state, metrics = one(state, i, seed, source)
            return state, jax.tree.map(jnp.add, total, metrics)

        zeros = reptile.Metrics(*(jnp.zeros(()) for _ in reptile.Metrics._fields))
        state, total = lax.fori_loop(0, count, body, (state, zeros))
        return state, jax.tree.map(lambda x: x / count, total)

    def shared_block(state, count, seed, source):
        specs = (P(), P(), P(), source.spec(axis))
        shared = reptile.share_tasks(block, mesh, specs)
        return shared(state, count, seed, source)

    return shared_block if axis else block


def compile_block(cfg, state, mesh, source):
    """Compiles the block of a config for arrays like `state` and `source`."""
    block = make_block(
        build.networks(cfg),
        build.inner(cfg),
        build.outer(cfg),
        cfg.outer.tasks,
        cfg.inner.shots,
        mesh,
        others=cfg.inner.others,
        group=_choose_group(cfg, mesh),
    )
    say("compiling the meta-step (up to a minute on two CPU cores)")
    begin = time.perf_counter()
    jitted = jax.jit(block, donate_argnums=0, compiler_options=compilation.options())
    compiled = jitted.lower(state, cfg.run.log_every, cfg.run.seed, source).compile()
    say(f"compiled in {time.perf_counter() - begin:.0f} s")
    return compiled


def _choose_group(cfg, mesh):
    """Returns how many tasks a device adapts to in parallel.

    This is the largest divisor of the device's tasks within the limit.
    """
    tasks, limit = cfg.outer.tasks // mesh.size, cfg.outer.group
    if not limit:
        device = mesh.local_devices[0]
        limit = 1 if device.platform == "cpu" else max(1, _fitting(cfg, device))
        limit = int(_agree(limit))
    return max(n for n in range(1, tasks + 1) if tasks % n == 0 and n <= limit)


def _fitting(cfg, device):
    """Returns how many adaptations fit in a device's memory.

    Half of the memory is for their parameters and gradients, half for activations.
    """
    return int(memory.of_device(device) / 2 / _count_bytes(cfg))


def check_memory(cfg):
    """Raises `BadInput` if the device's memory cannot hold the parameters."""
    needed, device = _count_bytes(cfg), jax.local_devices()[0]
    limit = memory.of_device(device)
    if needed > limit:
        raise BadInput(
            f"--config.networks.width={cfg.networks.width}: training takes at least "
            f"{needed / 1e9:,.1f} GB for {COPIES} copies of the parameters, and "
            f"{device.device_kind} has {limit / 1e9:,.1f} GB"
        )


def _count_bytes(cfg):
    """Returns the bytes of `COPIES` copies of the parameters."""
    shapes = jax.eval_shape(build.networks(cfg).init, jax.random.key(0))
    parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))
    return COPIES * 4 * parameters
