"""Trains for a long time, saving and sampling every few seconds, and watches itself.

python experiments/reliability/soak.py --minutes=30

Runs configs/subpixel.py with short periods in a process of its own. Prints one JSON
line: resident memory, open files, and the disk that checkpoints and snapshots take,
after the warm-up and at the end. Exit code 1 if the median of one grew by more than 5 %
(a save in progress holds more for a moment), or more steps were kept than should be.
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

from figr_jax import checkpoints, command, errors, provenance

_MINUTES = flags.DEFINE_float("minutes", 30.0, "How long, after the first block.")
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where the prepared glyphs live; by default that of TFDS."
)

ROOT = pathlib.Path(__file__).parent.parent.parent  # of the project
# Saves and grids every 5 s or so on two cores. TensorStore loses 0.5 KB for each array
# that it is told to write (its Spec.to_json, which orbax 0.11.40 and later call): with
# this network, 0.1 MB a save.
PERIODS = {"log_every": 3, "save_every": 12, "sample_every": 12, "meta_steps": 10**9}
WARM_UP = 0.2  # share of the time
SECONDS = 5  # between two looks


def start(workdir):
    """Starts the run, waits for its first block."""
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
    """Resident memory, open files, bytes and number of what is saved."""
    with open(f"/proc/{process.pid}/status") as file:
        (line,) = (line for line in file if line.startswith("VmRSS"))
    steps = [*workdir.glob("checkpoints/*"), *workdir.glob("snapshots/*")]
    # du also says what it could: steps are replaced meanwhile.
    du = subprocess.run(["du", "-sbc", *steps], capture_output=True, text=True)
    size = int(du.stdout.splitlines()[-1].split()[0])
    return {
        "resident_bytes": int(line.split()[1]) * 1024,
        "open_files": len(os.listdir(f"/proc/{process.pid}/fd")),
        "saved_bytes": size,
        "saved_steps": len(steps),
    }


def main():
    """Runs, looks, prints."""
    with tempfile.TemporaryDirectory() as folder:
        workdir = pathlib.Path(folder, "run")
        process = start(workdir)
        atexit.register(process.kill)
        looks, begin = [], time.monotonic()
        while time.monotonic() - begin < 60 * _MINUTES.value:
            time.sleep(SECONDS)
            if process.poll() is not None:
                raise errors.FailedWork(f"the run ended: {process.returncode}")
            looks.append(look(process, workdir))
        process.send_signal(signal.SIGTERM)
        if process.wait():
            raise errors.FailedWork(f"the run ended with {process.returncode}")
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
    good &= result["saved_steps"]["most"] <= kept + 2  # one of each being written
    result |= {
        "flat": bool(good),
        "meta_steps": json.loads(lines[-1])["step"],
        "saves": len(lines) * PERIODS["log_every"] // PERIODS["save_every"],
        "sample_grids": grids,
        **provenance.describe(),
    }
    print(json.dumps(result))
    if not good:
        raise errors.FailedWork("something grew")


if __name__ == "__main__":
    command.run(main)
