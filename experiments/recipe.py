"""One trial in the search for a config: trains for some minutes, then measures.

python experiments/recipe.py --name=base --minutes=20
python experiments/recipe.py --name=wide --minutes=20 -- --config.networks.width=32

Trains on Omniglot, split `weak`, for --minutes of one core, without compilation. If the
overrides set run.meta_steps, the trial may end earlier. The config is
configs/subpixel.py with the given overrides, but without decay of the outer learning
rate, without `minibatch_std` and without sampling settings. Appends one line to
experiments/results/recipe.jsonl, also for a failed trial: the overrides, meta-steps,
and recognizability, diversity, KID and Z_U of 50 held-out classes with 95 % intervals,
for the model and for the jittered support.
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
from figr_jax import build, generation
from figr_jax.common import command, compilation, errors, provenance
from figr_jax.data import bank as banks
from figr_jax.evaluation import controls, embedding, judging, samples, supports

_NAME = flags.DEFINE_string("name", None, "Name of the trial.", required=True)
_MINUTES = flags.DEFINE_float(
    "minutes", 20, "Core minutes of training.", lower_bound=0.1
)
_CLASSES = flags.DEFINE_integer(
    "classes", 50, "Held-out classes to measure.", lower_bound=2
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of prepared data sets.")

# Root of the imported code, so that the log names the code that trains.
ROOT = pathlib.Path(figr_jax.__file__).parent.parent
LOG = ROOT / "experiments" / "results" / "recipe.jsonl"
METRICS = ("recognizability", "diversity", "kid", "copying", "pooled_copying")
COUNT = 64  # images of a class
STEPS = 10  # least inner steps to measure with: joint training has only one


def train(workdir, overrides):
    """Trains for the time limit; returns the exit code and the core minutes or None."""
    command = [sys.executable, "-m", "figr_jax.main"]
    command += [f"--config={ROOT}/configs/subpixel.py", f"--workdir={workdir}"]
    command += ["--config.dataset.name=omniglot", "--config.dataset.split=weak"]
    command += ["--config.run.meta_steps=1000000", "--config.run.save_every=500"]
    # A trial with a time limit has no known end, so the outer rate cannot decay.
    command += ["--config.run.sample_every=1000", "--config.outer.decay=0"]
    # The claims are about the paper's algorithm, which has none of these.
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
    """Reads the CPU minutes of a process; other jobs on the machine do not count."""
    times = process.cpu_times()
    return (times.user + times.system) / 60


def measure(workdir):
    """Measures the newest snapshot and the jittered support."""
    model = generation.load(workdir)
    dataset, shots = model.config.dataset, model.config.inner.shots
    size = dataset.image_size, dataset.channels
    bank = banks.load(dataset.name, *size, _DATA_DIR.value)
    split = model.split(bank)
    eligible = supports.find_eligible(bank, split.indices(bank.names)[1], shots)
    classes = supports.choose(eligible, _CLASSES.value, 0)
    draw = supports.draw_supports(bank, classes, shots, 0, eligible)
    options = build.sampling(model.config)
    inner = options.inner._replace(steps=max(STEPS, options.inner.steps))
    drawn, seconds = samples.adapt_and_draw(
        *(model.networks, options._replace(inner=inner), model.slow),
        *(draw.supports, 0, COUNT),
    )
    judge = judging.Judge(*embedding.load_all(bank, split))
    keys = jax.random.split(jax.random.key(0), len(classes))
    jittered = [
        controls.jitter(x, COUNT, key)
        for x, key in zip(draw.supports, keys, strict=True)
    ]
    result = {"meta_steps": model.info["step"], "seconds_per_class": seconds}
    for name, sets in (("model", drawn[:, 0]), ("jitter", jittered)):
        arm = judging.summary(judging.judge_all(judge, [sets], [draw]), 0)
        result[name] = {metric: arm[metric] for metric in METRICS}
    return result


def main(argv):
    """Trains, measures, appends a line to the log."""
    compilation.keep_programs()
    workdir = ROOT / "runs" / "recipe" / _NAME.value
    if workdir.exists():  # its training time is not known
        raise errors.BadInput(
            f"--name={_NAME.value}: {workdir} exists; give a new name, or remove it"
        )
    origin = provenance.describe()
    code, taken = train(workdir, argv)
    line = {"trial": _NAME.value, "overrides": argv, "minutes": _MINUTES.value}
    line["minutes_taken"] = taken
    line |= measure(workdir) if code == 0 else {"failed": code}
    line |= origin
    with open(LOG, "a") as file:
        file.write(json.dumps(line) + "\n")
    if code == 0:
        parts = (f"{m} {line['model'][m]['mean']:.3f}" for m in METRICS)
        print(f"{_NAME.value}, {line['meta_steps']} meta-steps: {', '.join(parts)}")


if __name__ == "__main__":
    command.run(main, takes_arguments=True)
