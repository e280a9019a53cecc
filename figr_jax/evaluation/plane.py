"""The protocol of Boutin et al. (2022, 2023): recognizability against diversity.

They train on all Omniglot characters but three of each alphabet, give a model one
exemplar of an unseen character, and compare its samples with the exemplar. Diversity is
given as a multiple of that of human drawings, because the scale of the features differs
from one network to the next. Departures: the classes are the report classes; the
prototypical network is trained in episodes of 40 classes, not 60; the views of SimCLR
are ours (see `views`).
"""

import numpy as np

from figr_jax import build, recipe
from figr_jax.common import files, pictures, provenance
from figr_jax.common.errors import say
from figr_jax.evaluation import (
    controls,
    evaluators,
    measurement,
    metrics,
    presentation,
)

COUNT = 500  # samples of each class
_SHOTS = 1, 4  # numbers of exemplars


def measure(model, bank, out, options):
    """Measures a model from several numbers of exemplars, and plots the plane.

    Args:
      model: `generation.FewShotGenerator`.
      bank: `bank.Bank` of its data set.
      out: folder, created if needed: gets `plane.json`, `plane.png`, and the
        images, so that a stopped measurement resumes.
      options: `measurement.Options`, of which `classes` and `seed` count.

    Returns:
      The dict of `plane.json`: for each row `recognizability` and `diversity`, the
      latter as a multiple of human drawings, with `mean`, `low` and `high`.
    """
    measurement.check(model, options)
    seed, split = options.seed, model.split(bank)
    options = options._replace(count=COUNT)
    work = measurement.prepare(bank, split, max(_SHOTS), options, out, "--plane")
    draw = work.draw_supports(work.classes, work.shots, seed)
    exemplars, others = draw.supports[:, 0], draw.prototypes[len(work.classes) :]
    sets = {"human drawings": _find_human_drawings(bank, work.classes, exemplars)}
    cache = work.images(model)
    how = build.sampling(model.config)
    for n in _SHOTS:
        given = draw._replace(supports=draw.supports[:, :n])
        say(f"adapting to {n} exemplar(s) of each class")
        made, _ = cache.adapt_and_draw(f"{n} shots", how, model.slow, given)
        sets[f"model, {n} shot"] = made[:, 0]
        sets[f"jitter, {n} shot"] = controls.jitter_all(given, COUNT)
    prototypes = np.concatenate([exemplars, others])
    result = {
        "checkpoint": recipe.identify(model),
        "dataset": bank.dataset,
        "classes": work.names,
        "prototypes": len(prototypes),
        "samples": COUNT,
        "rows": _measure_all(work.evaluator, sets, prototypes, seed),
        "anchors": presentation.ANCHORS,
        "provenance": provenance.describe(),
    }
    files.write_json(work.folder / "plane.json", result)
    pictures.save(work.folder / "plane.png", _plot(result))
    return result


def _find_human_drawings(bank, classes, exemplars):
    """Finds all images of each class that are not its exemplar."""
    images = [bank.class_images(index) for index in classes]
    return [
        x[(x != exemplar).any((1, 2, 3))]
        for x, exemplar in zip(images, exemplars, strict=True)
    ]


def _measure_all(evaluator, sets, prototypes, seed):
    """Measures each row of the plane: see `measure`."""
    values = {name: _evaluate(evaluator, x, prototypes) for name, x in sets.items()}
    scale = values["human drawings"]["diversity"]
    return {
        name: {
            "recognizability": _summarize(row["recognizability"], 1, seed),
            "diversity": _summarize(row["diversity"], scale, seed),
        }
        for name, row in values.items()
    }


def _plot(result):
    """Plots the rows of `plane.json`, with the published ones if it is Omniglot."""
    points = {
        name: (row["diversity"]["mean"], row["recognizability"]["mean"])
        for name, row in result["rows"].items()
    }
    anchors = presentation.find_anchors(result["dataset"])
    labels = "diversity, as a multiple of human drawings", "recognizability"
    return pictures.plane(points, anchors, *labels)


def _evaluate(evaluator, sets, prototypes):
    """Measures both metrics of each class: a dict of `[classes]`."""
    ((prototypes, _),) = evaluator.features([prototypes])
    values = {"recognizability": [], "diversity": []}
    for label, (prototypical, simclr) in enumerate(evaluator.features(sets)):
        right = metrics.recognizability(
            prototypical, label, prototypes, evaluators.WAYS
        )
        values["recognizability"].append(right.mean())
        values["diversity"].append(metrics.diversity(simclr))
    return {metric: np.array(x) for metric, x in values.items()}


def _summarize(values, scale, seed):
    """Returns the ratio of two means over classes, with its interval."""
    scale = np.broadcast_to(scale, values.shape)

    def ratio(rows):
        return values[rows].mean() / scale[rows].mean()

    low, high = metrics.bootstrap(ratio, len(values), seed)
    return {"mean": float(ratio(np.arange(len(values)))), "low": low, "high": high}
