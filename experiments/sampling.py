"""How should a trained model adapt? The same weights, by several `sampling` settings.

python experiments/sampling.py --checkpoint=omniglot-32

Nothing is trained: the model adapts at a rate that falls from one update to the next,
more or less, with more or fewer critic updates an inner step; and draws latents from
nearer to the middle or farther. Measured on held-out classes that are in no report, so
that a setting may be chosen by them, or on all where these are too few, and it says so.
Writes experiments/results/sampling_<data set>.json and .png: each setting in the plane
of diversity and recognizability, beside the jittered support and real images.
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
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where prepared data sets live.")

RESULTS = pathlib.Path(__file__).parent / "results"
METRICS = ("recognizability", "diversity", "kid", "recall", "pooled_copying")
REPORTED = 50  # classes of the reports, by the same seed
CLASSES = 50  # others, to measure on
COUNT = 64  # images of a class
LEAST = 20  # of them, else all are taken
# Each: factor of the rate, critic updates, scale of the latents.
SETTINGS = [(*x, 1.0) for x in itertools.product((1.0, 0.8, 0.7), (1, 2, 3))]
SETTINGS += [(0.8, 2, scale) for scale in (1.5, 2.0, 3.0, 4.0, 5.0)]


def main():
    """Measures, draws, writes."""
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
        errors.warn(f"{dataset.name}: measured on classes that are in reports too")
        others = eligible
    classes = supports.choose(others, CLASSES, 0)
    draw = supports.draw_supports(bank, classes, shots, 0, eligible)
    judge = judging.Judge(*embedding.load_all(bank, split))

    def measure(sets):
        found = judging.summary(judging.judge_all(judge, [sets], [draw]), 0)
        return {metric: found[metric] for metric in METRICS}

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
        inner = build.sampling(model.config)
        name = f"rate x {rate:g}, {critic_steps} critic step(s)"
        name += f", latents x {scale:g}" if scale != 1 else ""
        drawn, seconds = samples.adapt_and_draw(
            *(model.networks, inner, model.slow, draw.supports, 0, COUNT), what=name
        )
        arms[name] = measure(drawn[:, 0]) | {"seconds_per_class": seconds}
        told = (f"{metric} {arms[name][metric]['mean']:.3f}" for metric in METRICS)
        print(f"{name}: {', '.join(told)}", flush=True)
    points = {
        name: (found["diversity"]["mean"], found["recognizability"]["mean"])
        for name, found in arms.items()
    }
    plane = pictures.plane(points, {}, "diversity", "recognizability")
    out = RESULTS / f"sampling_{dataset.name}"
    pictures.save(out.with_suffix(".png"), plane)
    made = {"dataset": dataset.name, "meta_steps": model.info["step"]}
    made |= {"classes": len(classes), "reported": are_reported, "arms": arms}
    files.write_json(out.with_suffix(".json"), made | provenance.describe())
    print(f"wrote {out}.json and {out}.png")


if __name__ == "__main__":
    command.run(main)
