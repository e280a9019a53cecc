"""Speed table of an accelerator: seconds per meta-step, ours and PyTorch's.

python experiments/gpu/speed_table.py --out=FOLDER --part=0 --parts=6

Run all parts in parallel: tracing and compilation take most of the time, one core per
row. A lock in the folder lets only one part measure at a time. Writes
FOLDER/table.PART.json after each row, so that a stopped command loses nothing.
"""

import fcntl
import importlib.util
import pathlib
import sys
from typing import NamedTuple

import jax
import optax
from absl import flags

from figr_jax import adaptation, losses, networks
from figr_jax.common import command, files, provenance

sys.path.append(str(pathlib.Path(__file__).parent.parent / "speed"))
import meta_step  # noqa: E402

_OUT = flags.DEFINE_string("out", None, "Folder for the results.", required=True)
_PART = flags.DEFINE_integer("part", 0, "Index of this part.", lower_bound=0)
_PARTS = flags.DEFINE_integer("parts", 1, "Number of parts.", lower_bound=1)
_TINY = flags.DEFINE_boolean("tiny", False, "Use tiny sizes, to rehearse on a CPU.")


class Row(NamedTuple):
    """One program: networks, tasks per meta-step (all at once), lowering, dtype."""

    family: str
    width: int
    stages: int
    tasks: int
    convolution: str
    dtype: str
    peer: bool = False

    @property
    def name(self):
        """Name of the row in the table."""
        return " ".join(str(x) for x in self[:6])


ROWS = [
    Row("fusion", 16, 3, 16, "patches", "float32"),
    Row("fusion", 16, 3, 32, "patches", "float32"),
    Row("fusion", 16, 3, 64, "patches", "float32"),
    Row("fusion", 16, 3, 16, "xla", "float32"),
    Row("fusion", 16, 3, 16, "patches", "bfloat16"),
    Row("resnet", 64, 4, 1, "xla", "float32", peer=True),
    Row("resnet", 64, 4, 1, "patches", "float32"),
    Row("resnet", 64, 4, 8, "patches", "float32"),
    Row("resnet", 64, 4, 8, "patches", "bfloat16"),
    Row("dcgan", 64, 4, 1, "xla", "float32", peer=True),
    Row("fusion", 32, 3, 16, "patches", "float32"),
    Row("fusion", 16, 3, 1, "patches", "float32"),
]


def shrink(row):
    """Returns the row at a size that a CPU compiles and runs in seconds."""
    return row._replace(width=2, stages=1, tasks=min(row.tasks, 2))


def prepare(row):
    """Compiles a row; returns networks, sizes, function and compilation figures."""
    nets = networks.build(
        row.family,
        image_size=8 if _TINY.value else 32,
        width=row.width,
        stages=row.stages,
        convolution=row.convolution,
        dtype=row.dtype,
    )
    is_paper = row.family != "fusion"
    # The inner loop of the paper, and that of configs/omniglot_fusion.py.
    inner_steps = 2 if _TINY.value else 10 if is_paper else 5
    sizes = meta_step.Sizes(4, row.tasks, inner_steps, row.tasks)
    if is_paper:
        return nets, sizes, *meta_step.make_ours(nets, sizes)
    inner = adaptation.Inner(
        losses.relativistic(), optax.adam(1e-3, b1=0.0), inner_steps
    )
    return nets, sizes, *meta_step.make_ours(nets, sizes, inner, others=8)


def measure(row):
    """Measures the figures of one row, a dict."""
    nets, sizes, run, compiled = prepare(row)
    figures = row._asdict() | compiled
    peer = None
    if row.peer and importlib.util.find_spec("torch"):
        device = "cpu" if jax.default_backend() == "cpu" else "cuda"
        peer, figures["torch"] = meta_step.make_torch(row.family, nets, sizes, device)
    with open(pathlib.Path(_OUT.value, "timing.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        seconds = figures["seconds"] = meta_step.time_median(run)
        if peer:
            figures["torch_seconds"] = meta_step.time_median(peer)
            figures["times_faster_than_torch"] = figures["torch_seconds"] / seconds
    figures["adaptations_per_second"] = row.tasks / seconds
    figures["flop"] = meta_step.count_flop(nets, sizes)
    return figures


def describe(figures):
    """Formats the figures of a row as a line of text."""
    line = (
        f"{1000 * figures['seconds']:,.1f} ms per meta-step, "
        f"{figures['adaptations_per_second']:,.0f} adaptations/s, compiled in "
        f"{figures['compile_seconds']:.0f} s"
    )
    faster = figures.get("times_faster_than_torch")
    return f"{line}, {faster:.1f} times as fast as PyTorch" if faster else line


def main():
    """Compiles and times each row, prints and writes it."""
    rows = [shrink(row) for row in (ROWS[0], ROWS[5])] if _TINY.value else ROWS
    result = {"rows": [], "failed": {}} | provenance.describe()
    for row in rows[_PART.value :: _PARTS.value]:
        try:
            result["rows"].append(measure(row))
            line = describe(result["rows"][-1])
        except Exception as error:  # one row must not stop the others
            line = f"{type(error).__name__}: {str(error)[:300]}"
            result["failed"][row.name] = line
        print(f"{row.name}: {line}", flush=True)
        files.write_json(f"{_OUT.value}/table.{_PART.value}.json", result)


if __name__ == "__main__":
    command.run(main)
