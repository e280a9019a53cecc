"""Timing of several tasks on one device: sequential or all at once.

python experiments/speed/tasks.py --network=dcgan --stages=3 --tasks=4

Times both in alternation, for each lowering of the convolutions, and prints one JSON
line: seconds, and the speed-up of all at once (under `jax.vmap`). Under vmap each task
has its own kernels: XLA's convolution becomes a grouped one with a group per task, the
patches become a batched matrix product.
"""

import json
import time

import jax
import meta_step
import numpy as np
import optax
from absl import flags
from jax import lax

from figr_jax import adaptation, losses
from figr_jax.common import command, compilation, provenance
from figr_jax.networks import convolution

FLAGS = flags.FLAGS  # the flags of meta_step


def make(lowering, batched):
    """Compiles a function that adapts to all tasks."""
    nets = meta_step.with_lowering(meta_step.build_networks(), lowering)
    inner = adaptation.Inner(
        losses.wgan_gp(), optax.sgd(meta_step.INNER_RATE), FLAGS.inner_steps
    )
    slow = jax.jit(nets.init)(jax.random.key(0))
    shape = (FLAGS.tasks, FLAGS.shots, nets.image_size, nets.image_size, 1)
    supports = jax.random.uniform(jax.random.key(1), shape, minval=-1, maxval=1)
    keys = jax.random.split(jax.random.key(2), FLAGS.tasks)

    def run(slow, supports, keys):
        def one(support, key):
            fast, _ = adaptation.adapt(
                nets, slow, adaptation.Episode(support), key, inner
            )
            return jax.tree.map(lambda slow, fast: slow - fast, slow, fast)

        if batched:
            changes = jax.vmap(one)(supports, keys)
        else:
            changes = lax.map(lambda task: one(*task), (supports, keys))
        return jax.tree.map(lambda x: x.mean(0), changes)

    jitted = jax.jit(run, compiler_options=compilation.options())
    compiled = jitted.lower(slow, supports, keys).compile()
    return lambda: jax.block_until_ready(compiled(slow, supports, keys))


def main():
    """Times both ways in each lowering, prints the result."""
    given = "network", "width", "stages", "image_size", "shots", "tasks", "inner_steps"
    result = {name: FLAGS[name].value for name in given}
    result |= provenance.describe()
    for lowering in convolution.LOWERINGS:
        runs = [make(lowering, batched) for batched in (False, True)]
        seconds = np.zeros((FLAGS.pairs + 1, 2))
        for pair in seconds:
            for i, run in enumerate(runs):
                begin = time.perf_counter()
                run()
                pair[i] = time.perf_counter() - begin
        seconds = seconds[1:]  # the first run of each is a warm-up
        result[lowering] = {
            "one_after_another": float(np.median(seconds[:, 0])),
            "all_at_once": float(np.median(seconds[:, 1])),
            "times_faster": float(np.median(seconds[:, 0] / seconds[:, 1])),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    command.run(main)
