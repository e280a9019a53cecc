"""The speed table of an accelerator: seconds a meta-step, ours and the PyTorch peer's.

python experiments/gpu/speed_table.py --out=FILE.json --seconds=120

Compiles all rows side by side, then times one after another until the time is over. The
file is written after each row, so that nothing is lost if the command is stopped.
"""

import concurrent.futures
import importlib.util
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import optax
from absl import flags

from figr_jax import adaptation, errors, files, losses, networks, provenance

sys.path.append(str(Path(__file__).parent.parent / "speed"))
import meta_step  # noqa: E402

_OUT = flags.DEFINE_string("out", None, "JSON file to write.", required=True)
_SECONDS = flags.DEFINE_float("seconds", 120, "Stop after this time.")
_TINY = flags.DEFINE_boolean("tiny", False, "Tiny sizes, to rehearse on a CPU.")

REPEATS = 5  # timed meta-steps of a row; the median is taken


class Row(NamedTuple):
    """One program: networks, tasks of a meta-step (all at once), lowering, dtype."""

    family: str
    width: int
    stages: int
    tasks: int
    convolution: str
    dtype: str
    peer: bool = False

    @property
    def name(self):
        """What the table calls it."""
        return " ".join(str(x) for x in self[:6])


ROWS = [
    Row("fusion", 16, 3, 16, "patches", "float32"),
    Row("fusion", 16, 3, 64, "patches", "float32"),
    Row("fusion", 16, 3, 16, "xla", "float32"),
    Row("fusion", 16, 3, 16, "patches", "bfloat16"),
    Row("resnet", 64, 4, 1, "xla", "float32", peer=True),
    Row("fusion", 32, 3, 16, "patches", "float32"),
    Row("fusion", 16, 3, 1, "patches", "float32"),
    Row("resnet", 64, 4, 1, "patches", "float32"),
    Row("resnet", 64, 4, 8, "patches", "float32"),
    Row("resnet", 64, 4, 8, "patches", "bfloat16"),
    Row("dcgan", 64, 4, 1, "xla", "float32", peer=True),
]


def shrink(row):
    """The same row at a size that a CPU compiles and runs in seconds."""
    return row._replace(width=2, stages=1, tasks=min(row.tasks, 2))


def prepare(row):
    """Compiles a row: its networks, sizes, function and what compiling tells."""
    nets = networks.build(
        row.family,
        image_size=8 if _TINY.value else 32,
        width=row.width,
        stages=row.stages,
        convolution=row.convolution,
        dtype=row.dtype,
    )
    inner_steps = 2 if _TINY.value else 10
    sizes = meta_step.Sizes(4, row.tasks, inner_steps, row.tasks)
    if row.family != "fusion":  # the paper's algorithm
        return nets, sizes, *meta_step.make_ours(nets, sizes)
    inner = adaptation.Inner(losses.wgan_gp(), optax.adam(1e-3, b1=0.0), inner_steps)
    return nets, sizes, *meta_step.make_ours(nets, sizes, inner, others=8)


def time_run(run):
    """Median seconds of a function, after one run that warms up."""
    seconds = []
    for _ in range(REPEATS + 1):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds[1:]))


def measure(row, prepared):
    """The figures of one row, a dict."""
    nets, sizes, run, compiled = prepared
    seconds = time_run(run)
    flop = meta_step.count_flop(nets, sizes)
    found = row._asdict() | compiled | {"seconds": seconds, "flop": flop}
    found["adaptations_per_second"] = row.tasks / seconds
    if row.peer and importlib.util.find_spec("torch"):
        device = "cpu" if jax.default_backend() == "cpu" else "cuda"
        peer, version = meta_step.make_torch(row.family, nets, sizes, device)
        found["torch"], found["torch_seconds"] = version, time_run(peer)
        found["times_faster_than_torch"] = found["torch_seconds"] / seconds
    return found


def main():
    """Compiles, times, prints, writes."""
    begin, made = time.perf_counter(), provenance.describe()
    rows = [shrink(row) for row in (ROWS[0], ROWS[4])] if _TINY.value else ROWS
    result = {"rows": [], "failed": {}}
    pool = concurrent.futures.ThreadPoolExecutor(len(rows))
    waiting = {row: pool.submit(prepare, row) for row in dict.fromkeys(rows)}
    for row, future in waiting.items():
        left = _SECONDS.value - (time.perf_counter() - begin)
        try:
            found = measure(row, future.result(timeout=max(0, left)))
        except Exception as error:  # one row must not cost the others
            reason = str(error).splitlines()[:1] or [type(error).__name__]
            result["failed"][row.name] = f"{type(error).__name__}: {reason[0][:300]}"
            print(f"{row.name}: {result['failed'][row.name]}", flush=True)
        else:
            result["rows"].append(found)
            peer = found.get("times_faster_than_torch")
            print(
                f"{row.name}: {1000 * found['seconds']:,.1f} ms a meta-step, "
                f"{found['adaptations_per_second']:,.0f} adaptations/s, compiled in "
                f"{found['compile_seconds']:.0f} s"
                + (f", {peer:.1f} times the PyTorch peer" if peer else ""),
                flush=True,
            )
        files.write_json(_OUT.value, result | made)
    if not all(future.done() for future in waiting.values()):
        os._exit(0)  # Python would wait for what is still being compiled


if __name__ == "__main__":
    errors.run(main)
