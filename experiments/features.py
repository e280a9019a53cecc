"""Measurement of the controls in the features of both embeddings.

python experiments/features.py --checkpoint=sketch-32 --dataset=omniglot

Diversity and Z_U need features that see how a jittered image differs from its original.
Measures both metrics for real images, for the support copied and jittered, and for the
model, on tuning classes, in SimCLR and in prototypical features. Writes
experiments/results/features.json.
"""

import numpy as np
import records
import tuning
from absl import flags

import figr_jax
from figr_jax import build
from figr_jax.common import command, compilation
from figr_jax.evaluation import controls, evaluators, metrics, samples

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "sketch-32", "A run's folder, or the name of shipped weights."
)
_DATASET = flags.DEFINE_string("dataset", "omniglot", "Data set of the mix to measure.")

COUNT = 32
EMBEDDINGS = "prototypical", "simclr"


def measure(evaluator, sets, draw):
    """Measures one row: embedding to its diversity and pooled Z_U."""
    row = {}
    groups = (sets, draw.reference, draw.supports)
    features = [evaluator.features([np.asarray(x) for x in group]) for group in groups]
    for i, name in enumerate(EMBEDDINGS):
        ours, real, support = ([x[i] for x in group] for group in features)
        # As many as there are real images: diversity depends on how many there are.
        diversity = [
            metrics.diversity(x[: len(y)]) for x, y in zip(ours, draw.real, strict=True)
        ]
        scores = [
            metrics.copying(*given) for given in zip(ours, real, support, strict=True)
        ]
        row[name] = {
            "diversity": float(np.mean(diversity)),
            "pooled_copying": evaluators.pool(np.array([scores])),
        }
    return row


def main():
    """Measures every row, writes them."""
    compilation.keep_programs()
    model = figr_jax.load(_CHECKPOINT.value)
    measured = tuning.Tuning(model, _DATASET.value, count=COUNT)
    draw, options = measured.draw, build.sampling(model.config)
    drawn, _ = samples.adapt_and_draw(
        model.networks, options, model.slow, draw.supports, 0, COUNT
    )
    sets = {
        "held-out real": draw.real,
        "support copied": [controls.copy(x, COUNT) for x in draw.supports],
        "support jittered": controls.jitter_all(draw, COUNT),
        "model": list(drawn[:, 0]),
    }
    rows = {name: measure(measured.evaluator, x, draw) for name, x in sets.items()}
    for name, row in rows.items():
        print(name, row)
    record = {"checkpoint": _CHECKPOINT.value, "dataset": _DATASET.value, "rows": rows}
    records.write("features.json", record)


if __name__ == "__main__":
    command.run(main)
