"""Transfer to one's own small set: from scratch, from shipped weights, and as they are.

python experiments/transfer.py

The stand-in for one's own set has 20 icon concepts of 10 images, none of which
--checkpoint has seen. Trains on it for --meta_steps with random initial weights and
with those of --checkpoint, by the command of docs/training.md. Measures both models,
and --checkpoint as it is, on tuning classes of open_icons: further concepts that no
model has seen. Writes experiments/results/transfer.json; the runs stay in
runs/transfer.
"""

import resource
import subprocess
import sys

import records
import tuning
from absl import flags

from figr_jax import generation
from figr_jax.common import command, compilation, errors, files
from figr_jax.data import bank as banks
from figr_jax.data import images
from figr_jax.evaluation import supports

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "sketch-32", "Weights of a mix that includes open_icons."
)
_META_STEPS = flags.DEFINE_integer(
    "meta_steps", 1200, "Meta-steps of each training.", lower_bound=1
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of prepared data sets.")

DATASET = "open_icons"
CLASSES, COUNT = 20, 10  # of the own set: concepts to train on, images of each
HELDOUT = 2  # further concepts that the command of the documentation holds out


def write_own_set(model, folder):
    """Writes the own set, one folder of PNG files per concept."""
    dataset = model.config.dataset
    bank = banks.load(DATASET, dataset.image_size, dataset.channels, _DATA_DIR.value)
    split = model.split(bank)
    wanted = CLASSES + HELDOUT
    # Chooses classes of at least `COUNT` images.
    shots = COUNT - supports.BESIDE
    unseen, _ = supports.choose_classes(bank, split, "report", shots, wanted, 0)
    if len(unseen) < wanted:
        raise errors.BadInput(f"{DATASET}: only {len(unseen)} concepts are unseen")
    for index in unseen:
        to = folder / bank.names[index].replace("/", "_")
        to.mkdir(parents=True)
        for i, image in enumerate(bank.class_images(index)[:COUNT]):
            files.write_bytes(to / f"{i}.png", images.encode(image))


def train(name, own, init_from):
    """Trains on the own set.

    Returns:
      The model, and the core minutes with start and compilation.

    Raises:
      FailedWork: if training fails.
    """
    workdir = own.parent / name
    program = [sys.executable, "-m", "figr_jax.main", "--config=configs/sketch.py"]
    program += [f"--workdir={workdir}", f"--config.dataset.name=folder:{own}"]
    program += ["--config.dataset.split=random", f"--config.dataset.heldout={HELDOUT}"]
    program += [f"--config.run.meta_steps={_META_STEPS.value}"]
    program += [f"--config.run.init_from={init_from}", "--config.run.sample_every=0"]
    program += [f"--data_dir={_DATA_DIR.value}"] if _DATA_DIR.value else []
    begin = _core_minutes()
    if subprocess.run(program, cwd=records.ROOT).returncode:
        raise errors.FailedWork(f"training failed: {' '.join(program)}")
    return generation.load(workdir), _core_minutes() - begin


def _core_minutes():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) / 60


def main():
    """Trains and measures, writes the results."""
    compilation.keep_programs()
    folder = records.ROOT / "runs" / "transfer"
    if folder.exists():
        raise errors.BadInput(
            f"{folder} exists; move it, or delete it, and start again"
        )
    start = generation.load(_CHECKPOINT.value)
    write_own_set(start, folder / "own")
    trained = {
        "from scratch": train("scratch", folder / "own", ""),
        f"from {_CHECKPOINT.value}": train("start", folder / "own", _CHECKPOINT.value),
        f"{_CHECKPOINT.value} as it is": (start, 0),
    }
    measured = tuning.Tuning(start, dataset=DATASET, data_dir=_DATA_DIR.value)
    arms = {}
    for name, (model, minutes) in trained.items():
        arms[name] = measured.measure(model, {}) | {"core_minutes": minutes}
        print(f"{name}: {tuning.show(arms[name])}", flush=True)
    arms |= measured.measure_controls()
    record = {"classes": len(measured.classes), "arms": arms}
    records.write("transfer.json", record)


if __name__ == "__main__":
    command.run(main)
