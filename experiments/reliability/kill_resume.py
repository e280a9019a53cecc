"""Kills a run with SIGKILL at random moments, resumes it, and compares the end.

python experiments/reliability/kill_resume.py --kills=30

Tiny runs, one for each way that episodes reach the device and each pair of block size
and saving period, are first made without interruption, then killed again and again.
Prints one JSON line: how many kills, how many of them inside a save, the most
meta-steps that one lost, and whether slow parameters, optimizer state and metrics ended
bit-equal. Exit code 1 if not.
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

from figr_jax import checkpoints, command, errors, provenance

_KILLS = flags.DEFINE_integer("kills", 30, "How many in all.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Of the moments.")
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where the prepared glyphs live; by default that of TFDS."
)
_RUNS = flags.DEFINE_integer(
    "runs", 4, "How many of the runs.", lower_bound=1, upper_bound=4
)
_META_STEPS = flags.DEFINE_integer("meta_steps", 1200, "Of each run.")

ROOT = pathlib.Path(__file__).parent.parent.parent  # of the project
TINY = (
    "dataset.image_size=8 networks.width=2 networks.stages=1 networks.latent=3 "
    "inner.steps=2 run.sample_every=120"
).split()
# Where the bank lies, block size, saving period.
RUNS = [("host", 4, 12), ("device", 4, 12), ("device", 15, 15), ("host", 6, 60)]
START_SECONDS = 6  # a kill may come before the first block; about how long that takes


def start(workdir, bank, log_every, save_every):
    """Starts the run, or goes on with it."""
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
    """Waits for a run that nobody interrupts, returns what it printed."""
    out, _ = process.communicate()
    if process.returncode:
        raise errors.FailedWork(f"a run ended with exit code {process.returncode}")
    return out


def time_whole(process):
    """Waits for a run as `finish`, returns its seconds after the first block."""
    list(iter_until(process.stdout, "meta-step "))
    begun = time.monotonic()
    finish(process)
    return time.monotonic() - begun


def kill(process, at_most, draw):
    """Kills a run at a random moment, returns what it had printed.

    Args:
      process: the run.
      at_most: seconds after its first block.
      draw: `random.Random`.
    """
    if draw.random() < 0.2:  # while it starts
        time.sleep(draw.uniform(0, START_SECONDS))
        said = []
    else:
        said = list(iter_until(process.stdout, "meta-step "))
        time.sleep(draw.uniform(0, at_most))
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    return "".join(said) + rest


def iter_until(lines, beginning):
    """Lines up to one that begins so."""
    for line in lines:
        yield line
        if line.startswith(beginning):
            return


def read_steps(workdir):
    """Meta-steps of the last logged block."""
    path = workdir / "metrics.jsonl"
    steps = (
        re.findall(r'^{"step": (\d+)', path.read_text(), re.M) if path.exists() else []
    )
    return int(steps[-1]) if steps else 0


def read_end(workdir):
    """All that must be equal at the end of a run: checksums of its state, metrics."""
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


def interrupt(workdir, settings, kills, seconds, draw):
    """Kills a run so often, then lets it end; returns counts.

    Args:
      workdir: its folder.
      settings: one of `RUNS`.
      kills: how many.
      seconds: that the run trains if nobody interrupts it.
      draw: `random.Random`.
    """
    at_most = seconds / (kills + 1)  # else it might end before the last
    counts = {"kills": 0, "kills_inside_a_save": 0, "resumes": 0, "lost_at_most": 0}
    lost_from = 0
    while True:
        started = time.time()
        process = start(workdir, *settings)
        last = counts["kills"] == kills
        said = finish(process) if last else kill(process, at_most, draw)
        resumed = re.search(r"resuming from \S*/checkpoints/(\d+)", said)
        if resumed or "initialising" in said:
            begun = int(resumed[1]) if resumed else 0
            counts["resumes"] += bool(resumed)
            counts["lost_at_most"] = max(counts["lost_at_most"], lost_from - begun)
            lost_from = 0
        if last:
            return counts
        if process.returncode != -signal.SIGKILL:
            raise errors.FailedWork(
                f"a run ended by itself, with exit code {process.returncode}, before "
                "all kills: give more --meta_steps"
            )
        counts["kills"] += 1
        temporary = [*workdir.glob("*/*tmp*"), *workdir.glob(".*tmp")]
        # An earlier kill's may lie there still.
        new = [path for path in temporary if path.stat().st_ctime > started]
        counts["kills_inside_a_save"] += bool(new)
        lost_from = max(lost_from, read_steps(workdir))
        print(f"{settings}: {counts}, meta-step {lost_from}", file=sys.stderr)


def main():
    """Runs, kills, compares, prints."""
    draw = random.Random(_SEED.value)
    runs = RUNS[: _RUNS.value]
    shares = np.diff(np.linspace(0, _KILLS.value, len(runs) + 1).astype(int))
    total, equal = {}, True
    with tempfile.TemporaryDirectory() as folder:
        for i, (settings, kills) in enumerate(zip(runs, shares, strict=True)):
            whole, killed = pathlib.Path(folder, f"{i}"), pathlib.Path(folder, f"{i}k")
            seconds = time_whole(start(whole, *settings))
            counts = interrupt(killed, settings, kills, seconds, draw)
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
            "a run that was killed ended otherwise than a whole one"
        )


if __name__ == "__main__":
    command.run(main)
