"""Time and memory to prepare and train on a data set of FIGR-8's full size.

python experiments/speed/data_scale.py --folder=FOLDER

Writes a synthetic `Data.zip` in FIGR-8's layout to the folder (random shapes, a long
tail of class sizes, some classes in two spellings, some damaged files). Prepares it,
trains a few meta-steps with the bank on the device and with the bank on the host, and
prints one JSON line. With --classes=200 --images=20000 it takes two minutes.
"""

import importlib.metadata
import io
import json
import os
import pathlib
import subprocess
import sys
import time
import zipfile

import jax
import numpy as np
from absl import flags
from PIL import Image, ImageDraw

from figr_jax import reptile
from figr_jax.common import command, provenance
from figr_jax.data import bank as banks
from figr_jax.data import datasets, episodes, feed, parallel

_FOLDER = flags.DEFINE_string("folder", None, "Folder for all files.", required=True)
_CLASSES = flags.DEFINE_integer(
    "classes", 18_409, "Number of classes, each of at least 8 images."
)
_IMAGES = flags.DEFINE_integer("images", 1_548_944, "Number of intact images.")
_DAMAGED = flags.DEFINE_float("damaged", 1e-3, "Share of damaged files.")
_META_STEPS = flags.DEFINE_integer("meta_steps", 40, "Meta-steps of each training run.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the archive and the training runs.")

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIDE = 200  # pixels of an image, as in FIGR-8
LEAST, MOST = 8, 4_000  # images of a class
SPELT_TWICE = 0.02  # share of classes in two folders
EPISODES = 2_000  # meta-steps to time the sampling of episodes

# A DCGAN of the quickstart's size, with the paper's 8 shots.
TRAINING = (
    "--config.networks.family=dcgan",
    "--config.networks.width=16",
    "--config.networks.stages=3",
    "--config.run.log_every=10",
)


def draw_class_sizes(rng, classes, images):
    """Samples class sizes `[classes]`: long tail, at least `LEAST`, sum `images`."""
    tail = rng.lognormal(sigma=1.3, size=classes)
    sizes = LEAST + tail / tail.sum() * (images - LEAST * classes)
    sizes = np.minimum(sizes.astype(int), MOST)
    short = images - sizes.sum()
    sizes += short // classes
    sizes[: short % classes] += 1
    return sizes


def draw_png(rng):
    """Renders a few random black shapes on white to the bytes of a PNG file."""
    image = Image.new("L", (SIDE, SIDE), 255)
    draw = ImageDraw.Draw(image)
    for kind in rng.integers(3, size=rng.integers(2, 6)):
        left, right = sorted(rng.integers(10, SIDE - 10, 2).tolist())
        top, bottom = sorted(rng.integers(10, SIDE - 10, 2).tolist())
        if kind == 0:
            draw.ellipse((left, top, right, bottom), fill=0)
        elif kind == 1:
            draw.rectangle((left, top, right, bottom), outline=0, width=8)
        else:
            draw.line((left, top, right, bottom), fill=0, width=8)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


class DrawFiles:
    """Renderer of the files of the archive."""

    def __init__(self, seed, damaged):
        """Stores the seed and the mask of damaged files, `[files]`."""
        self._seed, self._damaged = seed, damaged

    def __call__(self, rows):
        """Returns the contents of some files."""
        rng = np.random.default_rng([self._seed, rows.start])
        contents = []
        for row in rows:
            data = draw_png(rng)
            if self._damaged[row]:
                data = [b"", data[: len(data) // 2], b"no image"][rng.integers(3)]
            contents.append(data)
        return contents


def write_archive(path):
    """Writes `Data.zip`; returns the names of its damaged files and its folders."""
    rng = np.random.default_rng(_SEED.value)
    sizes = draw_class_sizes(rng, _CLASSES.value, _IMAGES.value)
    # Damaged files are extra, so that no class becomes too small.
    extra = rng.binomial(sizes, _DAMAGED.value)
    labels = np.repeat(np.arange(len(sizes)), sizes + extra)
    first = np.cumsum(sizes + extra) - sizes - extra
    damaged = np.arange(len(labels)) - first[labels] < extra[labels]
    twice = rng.random(len(sizes)) < SPELT_TWICE
    capital = twice[labels] & (rng.random(len(labels)) < 0.3)

    names = [
        f"Data/{'Concept' if upper else 'concept'} {label}/{row}-{SIDE}.png"
        for row, (label, upper) in enumerate(zip(labels, capital, strict=True))
    ]
    work, chunks = DrawFiles(_SEED.value, damaged), parallel.cut(len(names), 512)
    with zipfile.ZipFile(path, "w") as archive:
        parts = parallel.run(work, chunks, "Drawing the archive")
        for rows, contents in zip(chunks, parts, strict=True):
            for row, content in zip(rows, contents, strict=True):
                archive.writestr(names[row], content)
    folders = len({name.split("/")[1] for name in names})
    return {names[row] for row in np.flatnonzero(damaged)}, folders


def resident_bytes(process):
    """Returns the resident memory of a process tree; shared pages count repeatedly."""
    total, pids = 0, [process]
    while pids:
        folder = pathlib.Path(f"/proc/{pids.pop()}")
        try:
            pages = int((folder / "statm").read_text().split()[1])
            for task in (folder / "task").iterdir():
                pids += (task / "children").read_text().split()
        except OSError:  # the process has just ended
            continue
        total += pages * os.sysconf("SC_PAGE_SIZE")
    return total


def run_command(name, *args):
    """Runs `python -m figr_jax.<name>`; returns seconds and peak resident bytes."""
    command = [sys.executable, "-m", f"figr_jax.{name}", *map(str, args)]
    begin, peak = time.perf_counter(), 0
    process = subprocess.Popen(command, cwd=ROOT, stdout=sys.stderr)
    while process.poll() is None:
        peak = max(peak, resident_bytes(process.pid))
        time.sleep(0.2)
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit code {process.returncode}")
    return time.perf_counter() - begin, peak


def train(folder, place):
    """Trains a few meta-steps; returns the lines of metrics.jsonl and peak bytes."""
    workdir = folder / f"run-{place}"
    _, peak = run_command(
        "main",
        f"--config={ROOT / 'configs/figr8.py'}",
        f"--data_dir={folder / 'data'}",
        f"--workdir={workdir}",
        f"--config.run.bank={place}",
        f"--config.run.seed={_SEED.value}",
        f"--config.run.meta_steps={_META_STEPS.value}",
        *TRAINING,
    )
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], peak


def episodes_per_second(bank):
    """Measures episodes of 8 shots per second, sampled on the host and the device."""
    classes = np.arange(len(bank.names))
    mesh = jax.make_mesh((1,), (reptile.AXIS,), devices=jax.devices()[:1])
    resident = feed.put(bank, classes, mesh)
    draw = jax.jit(lambda key: resident.draw(key, 0, np.arange(1), 8, 0))

    def on_host(first):
        steps = first + np.arange(EPISODES)
        return feed.gather(bank, classes, _SEED.value, steps, np.arange(1), 8)

    def on_device(first):
        for step in range(first, first + EPISODES):
            support = draw(episodes.keys(_SEED.value, step)[0])
        return support.block_until_ready()

    rates = {}
    for name, function in {"host": on_host, "device": on_device}.items():
        function(0)  # compiles
        begin = time.perf_counter()
        function(EPISODES)
        rates[name] = EPISODES / (time.perf_counter() - begin)
    return rates


def main():
    """Writes the archive, prepares it, trains, prints the result."""
    folder = pathlib.Path(_FOLDER.value)
    folder.mkdir(parents=True, exist_ok=True)
    damaged, folders = write_archive(folder / "Data.zip")
    data = f"--data_dir={folder / 'data'}"
    args = ("--dataset=figr8", f"--manual_dir={folder}", data)
    seconds, peak = run_command("prepare", *args)

    builder = datasets.prepare("figr8", folder / "data")
    skipped = (builder.data_path / "skipped.txt").read_text().splitlines()
    skipped = {line.split(": ")[0] for line in skipped}
    bank = banks.load("figr8", 32, 1, folder / "data")
    on_device, device_peak = train(folder, "device")
    on_host, host_peak = train(folder, "host")
    training = np.median([line.pop("meta_steps_per_second") for line in on_host])
    for line in on_device:
        del line["meta_steps_per_second"]
    rates = episodes_per_second(bank)
    result = {
        "images": len(bank.images),
        "classes": len(bank.names),
        "folders": folders,
        "archive_bytes": (folder / "Data.zip").stat().st_size,
        "records_bytes": int(builder.info.dataset_size),
        "bank_bytes": bank.images.nbytes,
        "prepare_seconds": seconds,
        "images_per_second": len(bank.images) / seconds,
        "prepare_peak_resident_bytes": peak,
        "damaged_files": len(damaged),
        "share_of_damaged_found": len(skipped & damaged) / max(len(damaged), 1),
        "sound_files_skipped": len(skipped - damaged),
        "train_peak_resident_bytes": {"device": device_peak, "host": host_peak},
        "both_ways_equal": on_device == on_host,
        "episodes_per_second": rates,
        "episodes_per_second_in_training": training,
        "sampling_over_training": {k: rate / training for k, rate in rates.items()},
        "seed": _SEED.value,
        "cores": len(os.sched_getaffinity(0)),
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("numpy", "Pillow", "tensorflow-datasets")
        },
        **provenance.describe(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    command.run(main)
