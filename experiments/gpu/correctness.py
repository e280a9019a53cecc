"""Comparison of an adaptation on this device with the same one on the CPU.

python experiments/gpu/correctness.py --out=FILE.json

Uses float32 at the highest precision and inner SGD. The reference is the CPU with the
lowering `xla`. Prints the relative error of the movement `fast - slow` for each
lowering, with one task and with two at once, and fails if one exceeds 1e-3.
"""

import concurrent.futures

import jax
import optax
from absl import flags
from jax import flatten_util
from jax import numpy as jnp

from figr_jax import adaptation, losses, networks
from figr_jax.common import command, compilation, errors, files, provenance

_OUT = flags.DEFINE_string("out", None, "JSON file to write.", required=True)
_WIDTH = flags.DEFINE_integer("width", 16, "Channels at full resolution.")
_STAGES = flags.DEFINE_integer("stages", 2, "Up- and downsamplings by 2.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 32, "Height and width, pixels.")

SHOTS, OTHERS, STEPS, RATE, MOST = 4, 8, 3, 1e-2, 1e-3


def build(lowering):
    """Builds the networks with one lowering, and the inner loop."""
    nets = networks.build(
        "fusion",
        image_size=_IMAGE_SIZE.value,
        width=_WIDTH.value,
        stages=_STAGES.value,
        convolution=lowering,
    )
    return nets, adaptation.Inner(losses.wgan_gp(), optax.sgd(RATE), STEPS)


def draw_inputs(cpu):
    """Samples slow parameters, images and noise, the same for every device."""
    nets, inner = build("xla")
    with jax.default_device(cpu):
        init = jax.jit(nets.init, compiler_options=compilation.options())
        shape = (SHOTS + OTHERS, _IMAGE_SIZE.value, _IMAGE_SIZE.value, 1)
        pixels = jax.random.uniform(jax.random.key(1), shape, minval=-1, maxval=1)
        noise = adaptation.draw_noise(jax.random.key(2), nets, SHOTS, inner, OTHERS)
        return init(jax.random.key(0)), pixels, noise


def make_movement(lowering, tasks, device, inputs):
    """Compiles a function that returns the movement of one of `tasks` equal tasks."""
    nets, inner = build(lowering)

    def movement(slow, pixels, noise):
        def one(pixels):
            episode = adaptation.Episode(pixels[:SHOTS], pixels[SHOTS:])
            fast, _ = adaptation.adapt_with_noise(nets, slow, episode, noise, inner)
            return flatten_util.ravel_pytree(jax.tree.map(jnp.subtract, fast, slow))[0]

        if tasks == 1:
            return one(pixels)
        return jax.vmap(one)(jnp.broadcast_to(pixels, (tasks, *pixels.shape)))[0]

    inputs = jax.device_put(inputs, device)
    options = compilation.options() if device.platform == "cpu" else {}
    with jax.default_matmul_precision("highest"):
        jitted = jax.jit(movement, compiler_options=options)
        compiled = jitted.lower(*inputs).compile()
    return lambda: jax.device_get(compiled(*inputs))


def main():
    """Compares all cases, prints and writes the errors."""
    device, cpu = jax.devices()[0], jax.devices("cpu")[0]
    inputs = draw_inputs(cpu)
    cases = {"reference": ("xla", 1, cpu)} | {
        f"{lowering}, {tasks} tasks": (lowering, tasks, device)
        for lowering in ("xla", "patches")
        for tasks in (1, 2)
    }
    with concurrent.futures.ThreadPoolExecutor() as pool:
        movements = {
            name: pool.submit(make_movement, *case, inputs)
            for name, case in cases.items()
        }
    reference = movements.pop("reference").result()()
    errors_by_case = {}
    for name, future in movements.items():
        moved = future.result()()
        error = jnp.linalg.norm(moved - reference) / jnp.linalg.norm(reference)
        errors_by_case[name] = float(error)
        print(f"{name}: relative error of the movement {float(error):.1e}", flush=True)
    files.write_json(
        _OUT.value, {"relative_error": errors_by_case} | provenance.describe()
    )
    wrong = [name for name, error in errors_by_case.items() if not error < MOST]
    if wrong:
        raise errors.FailedWork(f"{wrong[0]}: the relative error exceeds {MOST:g}")


if __name__ == "__main__":
    command.run(main)
