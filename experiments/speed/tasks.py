"""Adapting to several tasks on one device: one after another, or all at once.

python experiments/speed/tasks.py --network=dcgan --tasks=4

Times both in turn, in each lowering of the convolutions, and prints one JSON line:
seconds, and how many times faster all at once (under `jax.vmap`) is. Under vmap each
task has its own kernels: XLA's convolution becomes one with a group a task, the patches
a batched matrix product.
"""

import json
import time

import jax
import numpy as np
import optax
from absl import app, flags
from jax import lax

from figr_jax import adaptation, compilation, losses, networks

_NETWORK = flags.DEFINE_enum("network", "dcgan", list(networks.FAMILIES), "Family.")
_WIDTH = flags.DEFINE_integer("width", 16, "Channels at full resolution.")
_STAGES = flags.DEFINE_integer("stages", 3, "Up- and downsamplings by 2.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 32, "Height and width, pixels.")
_SHOTS = flags.DEFINE_integer("shots", 4, "Support images of a task.")
_TASKS = flags.DEFINE_integer("tasks", 4, "Tasks.")
_INNER_STEPS = flags.DEFINE_integer("inner_steps", 10, "Inner steps.")
_PAIRS = flags.DEFINE_integer("pairs", 5, "Times that each is run.")

LOWERINGS = ("xla", "patches", "auto")


def make(lowering, batched):
    """A function that adapts to all tasks."""
    nets = networks.build(
        _NETWORK.value,
        image_size=_IMAGE_SIZE.value,
        width=_WIDTH.value,
        stages=_STAGES.value,
        convolution=lowering,
    )
    inner = adaptation.Inner(losses.wgan_gp(), optax.sgd(1e-4), _INNER_STEPS.value)
    slow = jax.jit(nets.init)(jax.random.key(0))
    shape = (_TASKS.value, _SHOTS.value, nets.image_size, nets.image_size, 1)
    supports = jax.random.uniform(jax.random.key(1), shape, minval=-1, maxval=1)
    keys = jax.random.split(jax.random.key(2), _TASKS.value)

    def run(slow, supports, keys):
        def one(support, key):
            fast, _ = adaptation.adapt(nets, slow, support, key, inner)
            return jax.tree.map(lambda slow, fast: slow - fast, slow, fast)

        if batched:
            found = jax.vmap(one)(supports, keys)
        else:
            found = lax.map(lambda task: one(*task), (supports, keys))
        return jax.tree.map(lambda x: x.mean(0), found)

    jitted = jax.jit(run, compiler_options=compilation.options())
    compiled = jitted.lower(slow, supports, keys).compile()
    return lambda: jax.block_until_ready(compiled(slow, supports, keys))


def main(argv):
    """Times, prints."""
    del argv
    given = (_NETWORK, _WIDTH, _STAGES, _IMAGE_SIZE, _SHOTS, _TASKS, _INNER_STEPS)
    result = {flag.name: flag.value for flag in given}
    result |= {"device": jax.devices()[0].device_kind, "jax": jax.__version__}
    for lowering in LOWERINGS:
        runs = [make(lowering, batched) for batched in (False, True)]
        seconds = np.zeros((_PAIRS.value + 1, 2))
        for pair in seconds:
            for i, run in enumerate(runs):
                begin = time.perf_counter()
                run()
                pair[i] = time.perf_counter() - begin
        seconds = seconds[1:]  # the first of each warms up
        result[lowering] = {
            "one_after_another": float(np.median(seconds[:, 0])),
            "all_at_once": float(np.median(seconds[:, 1])),
            "times_faster": float(np.median(seconds[:, 0] / seconds[:, 1])),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)
