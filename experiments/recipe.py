"""One trial in the search for a recipe: trains for some minutes, then measures.

python experiments/recipe.py --name=base --minutes=20
python experiments/recipe.py --name=wide --minutes=20 -- --config.networks.width=32

Trains on Omniglot, split `weak`, from configs/subpixel.py, less the decay of the
outer rate, `minibatch_std` and what it says of sampling, with the given overrides, for
that many minutes of one core of this machine (compiling left out; less if the overrides
set run.meta_steps and these are done), and adds one line to
experiments/results/recipe.jsonl: the overrides, meta-steps, and recognizability,
diversity, KID and Z_U of 50 held-out classes with 95 % intervals, beside the jittered
support. Every trial is kept there, also one that failed.
"""

import json
import pathlib
import signal
import subprocess
import sys

import jax
import psutil
from absl import flags

import figr_jax
from figr_jax import build, command, compilation, errors, generation, provenance
from figr_jax.data import bank as banks
from figr_jax.evaluation import controls, embedding, judging, samples, supports

_NAME = flags.DEFINE_string("name", None, "Of the trial.", required=True)
_MINUTES = flags.DEFINE_float(
    "minutes", 20, "Of training, of one core.", lower_bound=0.1
)
_CLASSES = flags.DEFINE_integer("classes", 50, "To measure on.", lower_bound=2)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where prepared data sets live.")

# Of the code that is imported, so that this one is trained with and named in the log.
ROOT = pathlib.Path(figr_jax.__file__).parent.parent
LOG = ROOT / "experiments" / "results" / "recipe.jsonl"
METRICS = ("recognizability", "diversity", "kid", "copying", "pooled_copying")
COUNT = 64  # images of a class
STEPS = 10  # inner steps to measure with, at least: joint training knows one


def train(workdir, overrides):
    """Trains until the time is over; the exit code and the minutes taken, or None."""
    command = [sys.executable, "-m", "figr_jax.main"]
    command += [f"--config={ROOT}/configs/subpixel.py", f"--workdir={workdir}"]
    command += ["--config.dataset.name=omniglot", "--config.dataset.split=weak"]
    command += ["--config.run.meta_steps=1000000", "--config.run.save_every=500"]
    # A trial that ends by the clock has no last half for the outer rate to fall in.
    command += ["--config.run.sample_every=1000", "--config.outer.decay=0"]
    # And the claims are about the paper's algorithm, which has none of these.
    command += ["--config.sampling.critic_steps=0", "--config.sampling.decay_rate=1.0"]
    command += ["--config.networks.minibatch_std=False"]
    command += overrides
    command += [f"--data_dir={_DATA_DIR.value}"] if _DATA_DIR.value else []
    process = psutil.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    begin = taken = None
    for line in process.stdout:
        print(line, end="", flush=True)
        if line.startswith("compiled"):
            begin = read_minutes(process)
        if begin is not None and line.startswith("meta-step"):
            taken = read_minutes(process) - begin
            if taken > _MINUTES.value:
                process.send_signal(signal.SIGTERM)
                begin = None  # once
    return process.wait(), taken


def read_minutes(process):
    """What a process has taken of all cores. Not the clock: others work here too."""
    times = process.cpu_times()
    return (times.user + times.system) / 60


def measure(workdir):
    """The metrics of the newest snapshot and of the jittered support."""
    model = generation.load(workdir)
    dataset, shots = model.config.dataset, model.config.inner.shots
    size = dataset.image_size, dataset.channels
    bank = banks.load(dataset.name, *size, _DATA_DIR.value)
    split = model.split(bank)
    eligible = supports.find_eligible(bank, split.indices(bank.names)[1], shots)
    classes = supports.choose(eligible, _CLASSES.value, 0)
    draw = supports.draw_supports(bank, classes, shots, 0, eligible)
    inner = build.sampling(model.config)
    inner = inner._replace(steps=max(STEPS, inner.steps))
    drawn, seconds = samples.adapt_and_draw(
        model.networks, inner, model.slow, draw.supports, 0, COUNT
    )
    judge = judging.Judge(*embedding.load_all(bank, split))
    keys = jax.random.split(jax.random.key(0), len(classes))
    jittered = [
        controls.jitter(x, COUNT, key)
        for x, key in zip(draw.supports, keys, strict=True)
    ]
    found = {"meta_steps": model.info["step"], "seconds_per_class": seconds}
    for name, sets in (("model", drawn[:, 0]), ("jitter", jittered)):
        arm = judging.summary(judging.judge_all(judge, [sets], [draw]), 0)
        found[name] = {metric: arm[metric] for metric in METRICS}
    return found


def main(argv):
    """Trains, measures, adds a line."""
    compilation.keep_programs()
    workdir = ROOT / "runs" / "recipe" / _NAME.value
    if workdir.exists():  # trained before, for how long is not known
        raise errors.BadInput(
            f"--name={_NAME.value}: {workdir} exists: must be a new name, or remove it"
        )
    made = provenance.describe()
    code, taken = train(workdir, argv)
    line = {"trial": _NAME.value, "overrides": argv, "minutes": _MINUTES.value}
    line["minutes_taken"] = taken
    line |= measure(workdir) if code == 0 else {"failed": code}
    line |= made
    with open(LOG, "a") as file:
        file.write(json.dumps(line) + "\n")
    if code == 0:
        parts = (f"{m} {line['model'][m]['mean']:.3f}" for m in METRICS)
        print(f"{_NAME.value}, {line['meta_steps']} meta-steps: {', '.join(parts)}")


if __name__ == "__main__":
    command.run(main, takes_arguments=True)
