"""Prediction of meta-steps per second on 1 to 1,024 devices.

python experiments/speed/scaling.py --network=resnet --width=16

The devices share the tasks of a meta-step, and one all-reduce of the parameters ends
it. The time of a meta-step follows from the time of one task (measured here, or given
with --task_seconds), the bytes of the all-reduce and the bandwidth of the links
(flags). The number and size of the collectives are checked in the compiled programs for
1, 2 and 4 virtual devices. Writes experiments/results/scaling<suffix>.json and .png.
"""

import io
import json
import math
import os
import pathlib
import re
import subprocess
import sys

import jax
import meta_step
import numpy as np
from absl import flags
from matplotlib import figure

from figr_jax.common import command, errors, files, provenance

_TASK_SECONDS = flags.DEFINE_float(
    "task_seconds",
    None,
    "Seconds of a meta-step of one task; the default is to measure them here.",
)
_SOURCE = flags.DEFINE_string("source", "", "Source of --task_seconds.")
_FIXED_TASKS = flags.DEFINE_enum(
    "fixed_tasks",
    "32",
    [str(2**i) for i in range(11)],
    "Tasks per meta-step of the second curve.",
)
_NODE = flags.DEFINE_enum(
    "node", "8", [str(2**i) for i in range(11)], "Devices per node."
)
_LINK = flags.DEFINE_float("link", 450.0, "GB/s of a device inside its node.")
_NETWORK_LINK = flags.DEFINE_float(
    "network_link", 50.0, "GB/s of a device between nodes."
)
_DELAY = flags.DEFINE_float("delay", 5.0, "Microseconds per message inside a node.")
_NETWORK_DELAY = flags.DEFINE_float(
    "network_delay", 10.0, "Microseconds per message between nodes."
)
_SUFFIX = flags.DEFINE_string("suffix", "", "Suffix of the names of the results.")

RESULTS = pathlib.Path(__file__).parents[1] / "results"
DEVICES = [2**i for i in range(11)]
VIRTUAL = (1, 2, 4)  # numbers of virtual devices on the CPU
PAYS = 1.5  # least speed-up that makes twice the devices worthwhile

# Prints the compiled block of meta-steps on all devices, with one task on each.
PROGRAM = """
import sys
import jax, numpy as np, optax
from absl import flags
sys.path.insert(0, "experiments/speed")
import meta_step
from figr_jax import adaptation, losses, reptile
from figr_jax.data import feed
from figr_jax.training import block

flags.FLAGS(sys.argv, known_only=True)
nets = meta_step.build_networks()
tasks, size = jax.device_count(), nets.image_size
inner = adaptation.Inner(losses.wgan_gp(), optax.sgd(1e-4), 10)
outer = optax.adam(1e-5)
state = jax.eval_shape(lambda key: reptile.init(nets, key, outer), jax.random.key(0))
images = jax.ShapeDtypeStruct((1, tasks, 4, size, size, 1), np.uint8)
made = block.make_block(nets, inner, outer, tasks, 4, block.make_mesh(tasks))
low = {"xla_backend_optimization_level": 0}  # only printed
lowered = jax.jit(made).lower(state, 1, 0, feed.Streamed(images))
print(lowered.compile(compiler_options=low).as_text())
"""
COLLECTIVE = re.compile(
    r"= (.*) (?:all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute)"
    r"(?:-start)?\("
)


def count_bytes(nets):
    """Counts the bytes of the all-reduce: all parameters and three logged scalars."""
    slow = jax.eval_shape(nets.init, jax.random.key(0))
    return 4 * (sum(leaf.size for leaf in jax.tree.leaves(slow)) + 3)


def find_collectives(devices):
    """Lists the bytes of each collective in the program for some virtual devices.

    A collective that is not one float32 vector gives None.
    """
    flag = f"--xla_force_host_platform_device_count={devices}"
    text = subprocess.check_output(
        [sys.executable, "-c", PROGRAM, *sys.argv[1:]],
        env={**os.environ, "XLA_FLAGS": flag, "JAX_PLATFORMS": "cpu"},
        text=True,
    )
    vectors = [re.match(r"f32\[(\d+)\]", s) for s in COLLECTIVE.findall(text)]
    return [4 * int(vector[1]) if vector else None for vector in vectors]


def measure_task():
    """Measures the median seconds of a meta-step of one task on this device."""
    nets, sizes = meta_step.build_networks(), meta_step.read_sizes()
    run, _ = meta_step.make_ours(nets, sizes)
    return meta_step.time_median(run)


def all_reduce_seconds(size, devices):
    """Predicts the seconds of an all-reduce.

    It is a ring inside each node, then a tree between nodes for each device's share.
    Each link carries the data twice, minus the part that stays. A ring waits for one
    message per step, a tree for two per level.

    Args:
      size: bytes.
      devices: number of devices, a power of two.
    """
    node = min(devices, int(_NODE.value))
    nodes = devices // node
    inside = 2 * (node - 1) / node * size / (_LINK.value * 1e9)
    between = 2 * (nodes - 1) / nodes * size / node / (_NETWORK_LINK.value * 1e9)
    delays = 2 * (node - 1) * _DELAY.value
    delays += 2 * math.ceil(math.log2(nodes)) * _NETWORK_DELAY.value
    return inside + between + delays * 1e-6


def predict(task_seconds, size, tasks):
    """Predicts the meta-steps per second on each of `DEVICES`.

    The time of a task includes the outer update, at most a hundredth of it. Devices
    beyond the number of tasks stay idle, as in `block.make_mesh`.

    Args:
      task_seconds: seconds of one task.
      size: bytes of the all-reduce.
      tasks: function of the number of devices that returns the tasks per meta-step.
    """

    def seconds(devices):
        used = min(devices, tasks(devices))
        return tasks(devices) / used * task_seconds + all_reduce_seconds(size, used)

    return [1 / seconds(n) for n in DEVICES]


def last_that_pays(rates):
    """Returns the most devices that are `PAYS` times as fast as half as many."""
    pays = [
        n
        for n, more, less in zip(DEVICES[1:], rates[1:], rates, strict=False)
        if more >= PAYS * less
    ]
    return max(pays, default=1)


def draw(path, result):
    """Plots tasks per second against devices, for both curves."""
    picture = figure.Figure(figsize=(6, 4), layout="constrained")
    axes = picture.subplots()
    one, fixed = result["task_a_device"], result["fixed_tasks"]
    ideal = np.array(DEVICES) / result["task_seconds"]
    axes.loglog(DEVICES, ideal, ":", color="grey", label="no communication")
    axes.loglog(DEVICES, one["tasks_per_second"], "o-", label="one task per device")
    label = f"{fixed['tasks']} tasks in all"
    axes.loglog(DEVICES, fixed["tasks_per_second"], "s-", label=label)
    axes.set(xlabel="devices", ylabel="tasks adapted to per second (predicted)")
    axes.legend()
    buffer = io.BytesIO()
    picture.savefig(buffer, format="png", dpi=120)
    files.write_bytes(path, buffer.getvalue())


def main():
    """Predicts from the time of a task, checks the collectives, writes."""
    given = _TASK_SECONDS.value
    if flags.FLAGS.tasks != 1 or (given and not _SOURCE.value):
        raise errors.BadInput("--tasks must be 1, and --task_seconds needs --source")
    size = count_bytes(meta_step.build_networks())
    collectives = {n: find_collectives(n) for n in VIRTUAL}
    for n, sizes in collectives.items():
        assert sizes == ([size] if n > 1 else []), (n, sizes, size)
    task_seconds = measure_task() if given is None else given
    fixed = int(_FIXED_TASKS.value)
    one = predict(task_seconds, size, lambda n: n)
    shared = predict(task_seconds, size, lambda n: fixed)
    result = {
        "task_seconds": task_seconds,
        "task_seconds_from": _SOURCE.value or jax.devices()[0].device_kind,
        "all_reduce_bytes": size,
        "collectives_found": {str(n): sizes for n, sizes in collectives.items()},
        "devices": DEVICES,
        "all_reduce_seconds": [all_reduce_seconds(size, n) for n in DEVICES],
        "task_a_device": {
            "meta_steps_per_second": one,
            "tasks_per_second": [
                n * rate for n, rate in zip(DEVICES, one, strict=True)
            ],
            "pays_up_to": last_that_pays(
                [n * r for n, r in zip(DEVICES, one, strict=True)]
            ),
        },
        "fixed_tasks": {
            "tasks": fixed,
            "meta_steps_per_second": shared,
            "tasks_per_second": [fixed * rate for rate in shared],
            "pays_up_to": last_that_pays(shared),
        },
        **provenance.describe(),
    }
    name = f"scaling{_SUFFIX.value}"
    draw(RESULTS / f"{name}.png", result)
    files.write_json(RESULTS / f"{name}.json", result)
    print(json.dumps(result))


if __name__ == "__main__":
    command.run(main)
