"""A meta-step, timed beside a PyTorch peer and beside a large matrix product.

python experiments/speed/meta_step.py --network=resnet --width=16 --vs_torch

Runs our meta-step, the peer's (eager, as many threads, the same networks, shots and
inner steps) and a large matrix product in turn, several times, and prints one JSON
line: medians in seconds, ratios pair by pair, the arithmetic of the step, and its rate
as a share of that of the product. Only the ratios carry over to another machine.
"""

import copy
import importlib.metadata
import importlib.util
import json
import os
import platform
import time
from typing import NamedTuple

import jax
import numpy as np
import optax
from absl import flags
from jax import numpy as jnp

from figr_jax import (
    adaptation,
    command,
    compilation,
    errors,
    losses,
    networks,
    provenance,
    reptile,
)

_NETWORK = flags.DEFINE_enum("network", "resnet", list(networks.FAMILIES), "Family.")
_WIDTH = flags.DEFINE_integer("width", 16, "Channels at full resolution.")
_STAGES = flags.DEFINE_integer("stages", 4, "Up- and downsamplings by 2.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 32, "Height and width, pixels.")
_SHOTS = flags.DEFINE_integer("shots", 4, "Support images of a task.")
_TASKS = flags.DEFINE_integer("tasks", 1, "Tasks of a meta-step.")
_GROUP = flags.DEFINE_integer("group", 1, "Of these, adapted to at once.")
_INNER_STEPS = flags.DEFINE_integer("inner_steps", 10, "Inner steps.")
_CONVOLUTION = flags.DEFINE_string("convolution", "auto", "Lowering of convolutions.")
_DTYPE = flags.DEFINE_enum(
    "dtype", "float32", networks.DTYPES, "Of our arithmetic; the peer's is float32."
)
_PAIRS = flags.DEFINE_integer("pairs", 5, "Times that each is run.")
_VS_TORCH = flags.DEFINE_boolean("vs_torch", False, "Run the PyTorch peer too.")

PEERS = "resnet", "dcgan"  # what the published code has
INNER_RATE, OUTER_RATE = 1e-4, 1e-5  # the paper's
PRODUCT = 3072  # height and width of the matrices of the product

# Passes over an image that an inner step makes for each shot; the derivative in the
# input is another pass, that in the weights too. Critic step: the generator 1; the
# critic 3 over real, 3 over fake, 6 for the penalty. Generator step: the critic 2,
# since its weights stay, the generator 3.
GENERATOR_PASSES, CRITIC_PASSES = 4, 14


class Sizes(NamedTuple):
    """Sizes of a meta-step, see the flags; `group` tasks are adapted to at once."""

    shots: int
    tasks: int
    inner_steps: int
    group: int = 1


def build_networks():
    """Our networks of the flags."""
    return networks.build(
        _NETWORK.value,
        image_size=_IMAGE_SIZE.value,
        width=_WIDTH.value,
        stages=_STAGES.value,
        convolution=_CONVOLUTION.value,
        dtype=_DTYPE.value,
    )


def read_sizes():
    """The `Sizes` of the flags."""
    return Sizes(_SHOTS.value, _TASKS.value, _INNER_STEPS.value, _GROUP.value)


def with_lowering(nets, lowering):
    """The same networks with another lowering of the convolutions."""
    return nets._replace(
        generator=nets.generator.copy(convolution=lowering),
        critic=nets.critic.copy(convolution=lowering),
    )


def count_flop(nets, sizes):
    """Floating-point operations of the convolutions and products of a meta-step."""
    slow = jax.eval_shape(nets.init, jax.random.key(0))
    size, shape = nets.image_size, jax.ShapeDtypeStruct
    plain = with_lowering(nets, "xla")

    def forward(function, *arguments):
        # On the CPU: not every back end counts before it has compiled.
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            return jax.jit(function).lower(*arguments).cost_analysis()["flops"]

    image = shape((1, size, size, 1), "float32")
    latent = shape((1, nets.latent), "float32")
    generator = forward(plain.generate, slow.generator, latent, image)
    critic = forward(plain.criticize, slow.critic, image)
    shot = GENERATOR_PASSES * generator + CRITIC_PASSES * critic
    return shot * sizes.shots * sizes.inner_steps * sizes.tasks


def make_ours(nets, sizes, inner=None, others=0):
    """A function that runs our meta-step once; what compiling it took and foretells.

    By default it is the paper's meta-step: inner SGD, no other images.

    The latter is a dict: seconds, bytes of the parameters, and bytes of the program's
    arguments (slow parameters, optimizer state, supports) and temporaries.
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
    """Bytes that this process has ("VmRSS") or had at most ("VmHWM")."""
    with open("/proc/self/status") as file:
        (line,) = (line for line in file if line.startswith(name))
    return int(line.split()[1]) * 1024


def measure_peak(run):
    """Most bytes that our meta-step takes while it runs, above its arguments.

    About: on the CPU of the whole process, so with what its threads take; elsewhere of
    all that has run so far.
    """
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        before = read_memory("VmRSS")
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # forget the peak of the compiler
        run()
        return read_memory("VmHWM") - before
    before = device.memory_stats()["bytes_in_use"]
    run()
    return device.memory_stats()["peak_bytes_in_use"] - before


def make_torch(family, nets, sizes, device):
    """A function that runs the peer's meta-step once; the version of PyTorch."""
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


def make_product():
    """A function that multiplies two large matrices once."""
    a = jnp.ones((PRODUCT, PRODUCT))
    product = jax.jit(lambda a: a @ a)
    return lambda: product(a).block_until_ready()


def main():
    """Times, prints."""
    if _VS_TORCH.value and not importlib.util.find_spec("torch"):
        raise errors.BadInput("--vs_torch: needs `pip install -e '.[torch]'`")
    if _VS_TORCH.value and _NETWORK.value not in PEERS:
        raise errors.BadInput(
            f"--vs_torch: the peer has {' and '.join(PEERS)}, not {_NETWORK.value}"
        )
    nets, sizes = build_networks(), read_sizes()
    ours, compiled = make_ours(nets, sizes)
    peak = measure_peak(ours)  # of the first run: later ones find its memory again
    runs = {"ours": ours, "product": make_product()}
    versions = {n: importlib.metadata.version(n) for n in ("jax", "jaxlib", "numpy")}
    if _VS_TORCH.value:
        device = "cpu" if jax.default_backend() == "cpu" else "cuda"
        peer = make_torch(_NETWORK.value, nets, sizes, device)
        runs["torch"], versions["torch"] = peer
    for run in runs.values():  # the first run of each warms up
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
        "device": jax.devices()[0].device_kind,
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": versions,
        "commit": provenance.read_commit(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    command.run(main)
