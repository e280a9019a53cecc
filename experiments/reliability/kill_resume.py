"""Test that runs killed at random moments resume to a bit-identical end.

python experiments/reliability/kill_resume.py --kills=30

Trains tiny runs, which differ in the place of the bank, the block size and the saving
period. Each run is trained once without interruption, and once while SIGKILL kills it
repeatedly. Prints one JSON line: the number of kills, the number of kills during a
save, the most meta-steps that one kill lost, and whether slow parameters, optimizer
state and metrics are bit-identical. Exit code 1 if not.
"""

import json
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import flags

from figr_jax import checkpoints
from figr_jax.common import command, errors, provenance

_KILLS = flags.DEFINE_integer("kills", 30, "Kills in total.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the moments.")
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of prepared data sets; the default is that of TFDS."
)
_RUNS = flags.DEFINE_integer("runs", 4, "Number of runs.", lower_bound=1, upper_bound=4)
_META_STEPS = flags.DEFINE_integer("meta_steps", 1200, "Meta-steps of each run.")

ROOT = pathlib.Path(__file__).parent.parent.parent  # of the project
TINY = (
    "dataset.image_size=8 networks.width=2 networks.stages=1 networks.latent=3 "
    "inner.steps=2 run.sample_every=120"
).split()
# Place of the bank, block size, saving period.
RUNS = [("host", 4, 12), ("device", 4, 12), ("device", 15, 15), ("host", 6, 60)]
START_SECONDS = 6  # about the time to the first block; a kill may come before it


def start(workdir, bank, log_every, save_every):
    """Starts or resumes a run."""
    fields = [
        *TINY,
        f"run.bank={bank}",
        f"run.log_every={log_every}",
        f"run.save_every={save_every}",
        f"run.meta_steps={_META_STEPS.value}",
    ]
    command = [
        *(sys.executable, "-m", "figr_jax.main"),
        f"--config={ROOT / 'configs/subpixel.py'}",
        f"--workdir={workdir}",
        *(f"--config.{field}" for field in fields),
    ]
    if _DATA_DIR.value:
        command.append(f"--data_dir={_DATA_DIR.value}")
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def finish(process):
    """Waits for the end of an uninterrupted run, returns its output."""
    out, _ = process.communicate()
    if process.returncode:
        raise errors.FailedWork(f"a run ended with exit code {process.returncode}")
    return out


def time_whole(process):
    """Waits for a run like `finish`, returns its seconds after the first block."""
    list(iter_until(process.stdout, "meta-step "))
    begun = time.monotonic()
    finish(process)
    return time.monotonic() - begun


def kill(process, at_most, rng):
    """Kills a run at a random moment, returns its output.

    Args:
      process: the run.
      at_most: latest moment of the kill, seconds after the first block.
      rng: `random.Random`.
    """
    if rng.random() < 0.2:  # during the start
        time.sleep(rng.uniform(0, START_SECONDS))
        lines = []
    else:
        lines = list(iter_until(process.stdout, "meta-step "))
        time.sleep(rng.uniform(0, at_most))
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    return "".join(lines) + rest


def iter_until(lines, beginning):
    """Yields lines up to the first that starts with `beginning`."""
    for line in lines:
        yield line
        if line.startswith(beginning):
            return


def read_steps(workdir):
    """Reads the meta-step of the last logged block."""
    path = workdir / "metrics.jsonl"
    steps = (
        re.findall(r'^{"step": (\d+)', path.read_text(), re.M) if path.exists() else []
    )
    return int(steps[-1]) if steps else 0


def read_end(workdir):
    """Reads what must be equal at the end: checksums of the state, and metrics."""
    info = checkpoints.read_info(workdir / "checkpoints" / str(_META_STEPS.value))
    snapshot = checkpoints.read_info(workdir / "snapshots" / str(_META_STEPS.value))
    records = [
        json.loads(line)
        for line in (workdir / "metrics.jsonl").read_text().splitlines()
    ]
    for record in records:
        for clock in (
            "meta_steps_per_second",
            "waiting_for_episodes",
            "between_blocks",
        ):
            del record[clock]
    return info["checksums"], snapshot["checksums"], records


def interrupt(workdir, settings, kills, seconds, rng):
    """Kills a run `kills` times, then lets it finish; returns counts.

    Args:
      workdir: folder of the run.
      settings: one of `RUNS`.
      kills: number of kills.
      seconds: training time of the uninterrupted run.
      rng: `random.Random`.
    """
    at_most = seconds / (kills + 1)  # so that the run does not end before the last kill
    counts = {"kills": 0, "kills_inside_a_save": 0, "resumes": 0, "lost_at_most": 0}
    lost_from = 0
    while True:
        started = time.time()
        process = start(workdir, *settings)
        last = counts["kills"] == kills
        output = finish(process) if last else kill(process, at_most, rng)
        resumed = re.search(r"resuming from \S*/checkpoints/(\d+)", output)
        if resumed or "initializing" in output:
            begun = int(resumed[1]) if resumed else 0
            counts["resumes"] += bool(resumed)
            counts["lost_at_most"] = max(counts["lost_at_most"], lost_from - begun)
            lost_from = 0
        if last:
            return counts
        if process.returncode != -signal.SIGKILL:
            raise errors.FailedWork(
                f"a run ended with exit code {process.returncode} before all kills; "
                "give more --meta_steps"
            )
        counts["kills"] += 1
        temporary = [*workdir.glob("*/*tmp*"), *workdir.glob(".*tmp")]
        # Ignore files that an earlier kill left behind.
        new = [path for path in temporary if path.stat().st_ctime > started]
        counts["kills_inside_a_save"] += bool(new)
        lost_from = max(lost_from, read_steps(workdir))
        print(f"{settings}: {counts}, meta-step {lost_from}", file=sys.stderr)


def main():
    """Trains each run with and without kills, compares, prints."""
    rng = random.Random(_SEED.value)
    runs = RUNS[: _RUNS.value]
    shares = np.diff(np.linspace(0, _KILLS.value, len(runs) + 1).astype(int))
    total, equal = {}, True
    with tempfile.TemporaryDirectory() as folder:
        for i, (settings, kills) in enumerate(zip(runs, shares, strict=True)):
            whole, killed = pathlib.Path(folder, f"{i}"), pathlib.Path(folder, f"{i}k")
            seconds = time_whole(start(whole, *settings))
            counts = interrupt(killed, settings, kills, seconds, rng)
            equal &= read_end(whole) == read_end(killed)
            total = {
                name: (max if name == "lost_at_most" else sum)([n, total.get(name, 0)])
                for name, n in counts.items()
            }
    result = {
        **total,
        "bit_equal": equal,
        "runs": runs,
        "meta_steps": _META_STEPS.value,
        "seed": _SEED.value,
        **provenance.describe(),
    }
    print(json.dumps(result))
    if not equal:
        raise errors.FailedWork(
            "a killed run is not bit-identical to an uninterrupted one"
        )


if __name__ == "__main__":
    command.run(main)
