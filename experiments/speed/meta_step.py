"""Timing of a meta-step, a PyTorch peer and a large matrix product.

python experiments/speed/meta_step.py --network=resnet --width=16 --vs_torch

Runs our meta-step, the peer's (eager, with the same number of threads, networks, shots
and inner steps) and a large matrix product in alternation. Prints one JSON line:
medians in seconds, ratios of each pair, the arithmetic of the step, and its rate as a
share of the rate of the product. Only the ratios carry over to another machine.
"""

import copy
import importlib.metadata
import importlib.util
import json
import os
import time
from typing import NamedTuple

import jax
import numpy as np
import optax
from absl import flags
from jax import numpy as jnp

from figr_jax import adaptation, losses, networks, reptile
from figr_jax.common import command, compilation, errors, provenance

_NETWORK = flags.DEFINE_enum("network", "resnet", list(networks.FAMILIES), "Family.")
_WIDTH = flags.DEFINE_integer("width", 16, "Channels at full resolution.")
_STAGES = flags.DEFINE_integer("stages", 4, "Up- and downsamplings by 2.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 32, "Height and width, pixels.")
_SHOTS = flags.DEFINE_integer("shots", 4, "Support images per task.")
_TASKS = flags.DEFINE_integer("tasks", 1, "Tasks per meta-step.")
_GROUP = flags.DEFINE_integer("group", 1, "Tasks adapted to at once.")
_INNER_STEPS = flags.DEFINE_integer("inner_steps", 10, "Inner steps.")
_CONVOLUTION = flags.DEFINE_string("convolution", "auto", "Lowering of convolutions.")
_DTYPE = flags.DEFINE_enum(
    "dtype",
    "float32",
    networks.DTYPES,
    "Dtype of our arithmetic; the peer's is float32.",
)
_PAIRS = flags.DEFINE_integer("pairs", 5, "Number of timed runs of each.")
_VS_TORCH = flags.DEFINE_boolean("vs_torch", False, "Also run the PyTorch peer.")

PEERS = "resnet", "dcgan"  # families of the published code
INNER_RATE, OUTER_RATE = 1e-4, 1e-5  # the paper's
PRODUCT = 3072  # height and width of the matrices of the product

# Passes over an image per shot in an inner step. The derivative with respect to the
# input is another pass, and so is that with respect to the weights. Critic step:
# generator 1; critic 3 over real, 3 over fake, 6 for the penalty. Generator step:
# critic 2, since its weights are fixed; generator 3.
GENERATOR_PASSES, CRITIC_PASSES = 4, 14


class Sizes(NamedTuple):
    """Sizes of a meta-step, see the flags; `group` tasks are adapted to at once."""

    shots: int
    tasks: int
    inner_steps: int
    group: int = 1


def build_networks():
    """Builds our networks from the flags."""
    return networks.build(
        _NETWORK.value,
        image_size=_IMAGE_SIZE.value,
        width=_WIDTH.value,
        stages=_STAGES.value,
        convolution=_CONVOLUTION.value,
        dtype=_DTYPE.value,
    )


def read_sizes():
    """Reads the `Sizes` from the flags."""
    return Sizes(_SHOTS.value, _TASKS.value, _INNER_STEPS.value, _GROUP.value)


def with_lowering(nets, lowering):
    """Returns the networks with another lowering of the convolutions."""
    return nets._replace(
        generator=nets.generator.copy(convolution=lowering),
        critic=nets.critic.copy(convolution=lowering),
    )


def count_flop(nets, sizes):
    """Counts the floating-point operations of convolutions and products in a step."""
    slow = jax.eval_shape(nets.init, jax.random.key(0))
    size, shape = nets.image_size, jax.ShapeDtypeStruct
    plain = with_lowering(nets, "xla")

    def forward(function, *arguments):
        # On the CPU, because not every back end counts before compilation.
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            return jax.jit(function).lower(*arguments).cost_analysis()["flops"]

    image = shape((1, size, size, 1), "float32")
    latent = shape((1, nets.latent), "float32")
    generator = forward(plain.generate, slow.generator, latent, image)
    critic = forward(plain.criticize, slow.critic, image)
    shot = GENERATOR_PASSES * generator + CRITIC_PASSES * critic
    return shot * sizes.shots * sizes.inner_steps * sizes.tasks


def make_ours(nets, sizes, inner=None, others=0):
    """Compiles our meta-step; the default is the paper's: inner SGD, no others.

    Returns:
      A function that runs the meta-step once, and a dict: seconds of compilation, bytes
      of the parameters, and bytes of the program's arguments (slow parameters,
      optimizer state, supports) and temporaries.
    """
    inner = inner or adaptation.Inner(
        losses.wgan_gp(), optax.sgd(INNER_RATE), sizes.inner_steps
    )
    optimizer = optax.adam(OUTER_RATE)
    state = jax.jit(lambda key: reptile.init(nets, key, optimizer))(jax.random.key(0))
    size = nets.image_size
    shape = (sizes.tasks, sizes.shots + others, size, size, 1)
    pixels = jax.random.uniform(jax.random.key(1), shape, minval=-1, maxval=1)
    support, further = pixels[:, : sizes.shots], pixels[:, sizes.shots :]
    drawn = adaptation.Episode(support, further if others else None)

    def step(state, drawn, key):
        return reptile.meta_step(nets, state, drawn, key, inner, optimizer, sizes.group)

    begin = time.perf_counter()
    jitted = jax.jit(step, donate_argnums=0, compiler_options=compilation.options())
    step = jitted.lower(state, drawn, jax.random.key(2)).compile()
    memory = step.memory_analysis()
    compiled = {
        "compile_seconds": time.perf_counter() - begin,
        "parameter_bytes": sum(x.nbytes for x in jax.tree.leaves(state.slow)),
        "argument_bytes": memory.argument_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
    }

    def run():
        nonlocal state
        state, _ = step(state, drawn, jax.random.fold_in(jax.random.key(2), 0))
        jax.block_until_ready(state)

    return run, compiled


def read_memory(name):
    """Reads the resident bytes of this process: now ("VmRSS") or peak ("VmHWM")."""
    with open("/proc/self/status") as file:
        (line,) = (line for line in file if line.startswith(name))
    return int(line.split()[1]) * 1024


def measure_peak(run):
    """Measures the peak bytes of our meta-step, beyond its arguments.

    The result is approximate: on the CPU it includes the threads of the process, on
    other devices everything that ran before.
    """
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        before = read_memory("VmRSS")
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # resets the peak, which the compiler set
        run()
        return read_memory("VmHWM") - before
    before = device.memory_stats()["bytes_in_use"]
    run()
    return device.memory_stats()["peak_bytes_in_use"] - before


def make_torch(family, nets, sizes, device):
    """Makes a function that runs the peer's meta-step; also returns the version."""
    import torch
    import torch_peer

    torch.manual_seed(0)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    size, shots = nets.image_size, sizes.shots
    critic = nets.critic
    slow = torch_peer.build(family, size, width=critic.width, stages=critic.stages)
    slow = torch.nn.ModuleList(slow).to(device)
    optimizer = torch.optim.Adam(slow.parameters(), OUTER_RATE)
    support = torch.rand(shots, 1, size, size, device=device) * 2 - 1

    def draw(*shape):
        return torch.randn(*shape, device=device)

    def run():
        optimizer.zero_grad()
        for _ in range(sizes.tasks):
            fast = copy.deepcopy(slow)
            noise = [
                (draw(shots, 100), torch.rand(shots, device=device), draw(shots, 100))
                for _ in range(sizes.inner_steps)
            ]
            torch_peer.adapt(*fast, support, noise, "wgan_gp", INNER_RATE)
            for p, q in zip(slow.parameters(), fast.parameters(), strict=True):
                difference = (p.detach() - q.detach()) / sizes.tasks
                p.grad = difference if p.grad is None else p.grad + difference
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return run, torch.__version__


def time_median(run, repeats=5):
    """Measures the median seconds of a function, after a warm-up run."""
    seconds = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds[1:]))


def make_product():
    """Makes a function that multiplies two large matrices once."""
    a = jnp.ones((PRODUCT, PRODUCT))
    product = jax.jit(lambda a: a @ a)
    return lambda: product(a).block_until_ready()


def main():
    """Times all in alternation, prints the result."""
    if _VS_TORCH.value and not importlib.util.find_spec("torch"):
        raise errors.BadInput("--vs_torch: needs `pip install -e '.[torch]'`")
    if _VS_TORCH.value and _NETWORK.value not in PEERS:
        raise errors.BadInput(
            f"--vs_torch: no peer of {_NETWORK.value}; give {' or '.join(PEERS)}"
        )
    nets, sizes = build_networks(), read_sizes()
    ours, compiled = make_ours(nets, sizes)
    peak = measure_peak(ours)  # of the first run; later runs reuse its memory
    runs = {"ours": ours, "product": make_product()}
    versions = {n: importlib.metadata.version(n) for n in ("jaxlib", "numpy")}
    if _VS_TORCH.value:
        device = "cpu" if jax.default_backend() == "cpu" else "cuda"
        peer = make_torch(_NETWORK.value, nets, sizes, device)
        runs["torch"], versions["torch"] = peer
    for run in runs.values():  # warm up
        run()
    seconds = {name: [] for name in runs}
    for _ in range(_PAIRS.value):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begin)

    flop = count_flop(nets, sizes)
    rates = flop / np.array(seconds["ours"])
    product_rates = 2 * PRODUCT**3 / np.array(seconds["product"])
    result = {
        "network": _NETWORK.value,
        "width": _WIDTH.value,
        "stages": _STAGES.value,
        "image_size": _IMAGE_SIZE.value,
        "shots": _SHOTS.value,
        "tasks": _TASKS.value,
        "group": _GROUP.value,
        "inner_steps": _INNER_STEPS.value,
        "convolution": _CONVOLUTION.value,
        "dtype": _DTYPE.value,
        "seconds": {name: float(np.median(times)) for name, times in seconds.items()},
        **compiled,
        "measured_temporary_bytes": peak,
        "gflop": flop / 1e9,
        "gflop_per_second": float(np.median(rates)) / 1e9,
        "product_gflop_per_second": float(np.median(product_rates)) / 1e9,
        "share_of_product_rate": float(np.median(rates / product_rates)),
    }
    if _VS_TORCH.value:
        ratios = np.array(seconds["torch"]) / np.array(seconds["ours"])
        result["times_faster_than_torch"] = {
            "median": float(np.median(ratios)),
            "least": float(ratios.min()),
            "most": float(ratios.max()),
        }
    result |= {
        "pairs": _PAIRS.value,
        "cores": len(os.sched_getaffinity(0)),
        "versions": versions,
        **provenance.describe(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    command.run(main)
