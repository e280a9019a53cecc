"""Comparison of sampling settings for the same weights.

python experiments/sampling.py --checkpoint=omniglot-32

Trains nothing. The settings differ in the decay of the inner learning rate, the critic
updates per inner step, and the standard deviation of the latents. They are measured on
held-out classes that no report measures, so that a setting may be chosen on them. Where
these are too few, all held-out classes are measured, with a warning. Writes
experiments/results/sampling_<data set>.json and .png: each setting in the plane of
diversity and recognizability, with the jittered support and real images.
"""

import itertools
import pathlib

import jax
import numpy as np
from absl import flags

from figr_jax import (
    build,
    command,
    compilation,
    errors,
    files,
    generation,
    pictures,
    provenance,
)
from figr_jax.data import bank as banks
from figr_jax.evaluation import controls, embedding, judging, samples, supports

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "A run's folder, or the name of shipped weights.", required=True
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of prepared data sets.")

RESULTS = pathlib.Path(__file__).parent / "results"
METRICS = ("recognizability", "diversity", "kid", "recall", "pooled_copying")
REPORTED = 50  # classes of a report with the same seed
CLASSES = 50  # other classes to measure
COUNT = 64  # images per class
LEAST = 20  # other classes; with fewer, all held-out classes are measured
# Each setting: decay rate, critic updates, scale of the latents.
SETTINGS = [(*x, 1.0) for x in itertools.product((1.0, 0.8, 0.7), (1, 2, 3))]
SETTINGS += [(0.8, 2, scale) for scale in (1.5, 2.0, 3.0, 4.0, 5.0)]


def main():
    """Measures the settings, writes table and plot."""
    compilation.keep_programs()
    model = generation.load(_CHECKPOINT.value)
    dataset, shots = model.config.dataset, model.config.inner.shots
    size = dataset.image_size, dataset.channels
    bank = banks.load(dataset.name, *size, _DATA_DIR.value)
    split = model.split(bank)
    eligible = supports.find_eligible(bank, split.indices(bank.names)[1], shots)
    others = np.setdiff1d(eligible, supports.choose(eligible, REPORTED, 0))
    are_reported = len(others) < LEAST
    if are_reported:
        errors.warn(
            f"{dataset.name}: too few other classes; measuring classes of the reports"
        )
        others = eligible
    classes = supports.choose(others, CLASSES, 0)
    draw = supports.draw_supports(bank, classes, shots, 0, eligible)
    judge = judging.Judge(*embedding.load_all(bank, split))

    def measure(sets):
        summary = judging.summary(judging.judge_all(judge, [sets], [draw]), 0)
        return {metric: summary[metric] for metric in METRICS}

    keys = jax.random.split(jax.random.key(0), len(classes))
    jittered = [
        controls.jitter(support, COUNT, key)
        for support, key in zip(draw.supports, keys, strict=True)
    ]
    arms = {"held-out real": measure(draw.real), "jittered": measure(jittered)}
    for rate, critic_steps, scale in SETTINGS:
        model.config.sampling.update(
            decay_rate=rate, critic_steps=critic_steps, latent_scale=scale
        )
        options = build.sampling(model.config)
        name = f"rate x {rate:g}, {critic_steps} critic step(s)"
        name += f", latents x {scale:g}" if scale != 1 else ""
        drawn, seconds = samples.adapt_and_draw(
            *(model.networks, options, model.slow, draw.supports, 0, COUNT), what=name
        )
        arms[name] = measure(drawn[:, 0]) | {"seconds_per_class": seconds}
        means = (f"{metric} {arms[name][metric]['mean']:.3f}" for metric in METRICS)
        print(f"{name}: {', '.join(means)}", flush=True)
    points = {
        name: (arm["diversity"]["mean"], arm["recognizability"]["mean"])
        for name, arm in arms.items()
    }
    plane = pictures.plane(points, {}, "diversity", "recognizability")
    out = RESULTS / f"sampling_{dataset.name}"
    pictures.save(out.with_suffix(".png"), plane)
    record = {"dataset": dataset.name, "meta_steps": model.info["step"]}
    record |= {"classes": len(classes), "reported": are_reported, "arms": arms}
    files.write_json(out.with_suffix(".json"), record | provenance.describe())
    print(f"wrote {out}.json and {out}.png")


if __name__ == "__main__":
    command.run(main)
