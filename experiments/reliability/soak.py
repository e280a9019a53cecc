"""Soak test: long training with frequent saves, watching memory, files and disk.

python experiments/reliability/soak.py --minutes=30

Trains configs/subpixel.py in a separate process, with a save and a sample grid every
few seconds. Prints one JSON line: resident memory, open files, and the disk usage of
checkpoints and snapshots, after the warm-up and at the end. Exit code 1 if the median
of one grew by more than 5 % (a save in progress takes more for a moment), or if too
many checkpoints and snapshots were kept.
"""

import atexit
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import flags

from figr_jax import checkpoints
from figr_jax.common import command, errors, provenance

_MINUTES = flags.DEFINE_float("minutes", 30.0, "Duration after the first block.")
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of prepared data sets; the default is that of TFDS."
)

ROOT = pathlib.Path(__file__).parent.parent.parent  # of the project
# About a save and a grid per 5 s on two cores. TensorStore leaks 0.5 KB per array that
# it writes (in Spec.to_json, which orbax 0.11.40 and later call): with this network,
# 0.1 MB per save.
PERIODS = {"log_every": 3, "save_every": 12, "sample_every": 12, "meta_steps": 10**9}
WARM_UP = 0.2  # share of the duration
SECONDS = 5  # between two measurements


def start(workdir):
    """Starts the run and waits for its first block."""
    command = [
        *(sys.executable, "-m", "figr_jax.main"),
        f"--config={ROOT / 'configs/subpixel.py'}",
        f"--workdir={workdir}",
        *(f"--config.run.{name}={value}" for name, value in PERIODS.items()),
    ]
    if _DATA_DIR.value:
        command.append(f"--data_dir={_DATA_DIR.value}")
    log = workdir.with_name("log")
    process = subprocess.Popen(command, stdout=open(log, "w"), cwd=ROOT)
    while "\nmeta-step " not in log.read_text():
        if process.poll() is not None:
            raise errors.FailedWork("the run ended before its first block")
        time.sleep(1)
    return process


def look(process, workdir):
    """Measures resident memory, open files, and bytes and number of saved steps."""
    with open(f"/proc/{process.pid}/status") as file:
        (line,) = (line for line in file if line.startswith("VmRSS"))
    steps = [*workdir.glob("checkpoints/*"), *workdir.glob("snapshots/*")]
    # Steps may be replaced meanwhile; du still reports the rest.
    du = subprocess.run(["du", "-sbc", *steps], capture_output=True, text=True)
    size = int(du.stdout.splitlines()[-1].split()[0])
    return {
        "resident_bytes": int(line.split()[1]) * 1024,
        "open_files": len(os.listdir(f"/proc/{process.pid}/fd")),
        "saved_bytes": size,
        "saved_steps": len(steps),
    }


def main():
    """Trains, measures, prints."""
    with tempfile.TemporaryDirectory() as folder:
        workdir = pathlib.Path(folder, "run")
        process = start(workdir)
        atexit.register(process.kill)
        looks, begin = [], time.monotonic()
        while time.monotonic() - begin < 60 * _MINUTES.value:
            time.sleep(SECONDS)
            if process.poll() is not None:
                raise errors.FailedWork(
                    f"the run ended early with exit code {process.returncode}"
                )
            looks.append(look(process, workdir))
        process.send_signal(signal.SIGTERM)
        if process.wait():
            raise errors.FailedWork(
                f"the run ended with exit code {process.returncode}"
            )
        lines = (workdir / "metrics.jsonl").read_text().splitlines()
        grids = len(list((workdir / "samples").iterdir()))
    cut = int(WARM_UP * len(looks))
    window = max(1, len(looks) // 10)
    result, good = {"minutes": _MINUTES.value, "looks": len(looks)}, True
    for name in looks[0]:
        values = np.array([look[name] for look in looks])
        first, last = np.median(values[cut : cut + window]), np.median(values[-window:])
        result[name] = {
            "after_warm_up": float(first),
            "at_the_end": float(last),
            "most": int(values.max()),
        }
        good &= last <= 1.05 * first
    kept = sum(checkpoints.KEEP.values())
    # One more checkpoint and one more snapshot may be in progress.
    good &= result["saved_steps"]["most"] <= kept + 2
    result |= {
        "flat": bool(good),
        "meta_steps": json.loads(lines[-1])["step"],
        "saves": len(lines) * PERIODS["log_every"] // PERIODS["save_every"],
        "sample_grids": grids,
        **provenance.describe(),
    }
    print(json.dumps(result))
    if not good:
        raise errors.FailedWork(
            "memory, open files or disk usage grew; see the JSON line"
        )


if __name__ == "__main__":
    command.run(main)
