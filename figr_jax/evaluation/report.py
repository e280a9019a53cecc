"""The report of a checkpoint: every metric, controls, pictures."""

import jax
import numpy as np

from figr_jax import build, recipe
from figr_jax.common import files, pictures, provenance
from figr_jax.common.errors import BadInput
from figr_jax.evaluation import (
    controls,
    evaluators,
    measurement,
    presentation,
    sections,
)

_SHEET_CLASSES = 8
_RANKED = 5  # best and worst classes that are shown


def make(model, bank, out, options, joint=None):
    """Makes the report.

    Args:
      model: `generation.FewShotGenerator`.
      bank: `bank.Bank` of its data set.
      out: folder, created if needed; gets `report.json`, `report.md`, pictures,
        and the generated images, so that a stopped report resumes.
      options: `measurement.Options`.
      joint: a `FewShotGenerator` that was trained with one inner step, or None.

    Returns:
      The dict of `report.json`.

    Raises:
      BadInput: if there are too few held-out classes or images, or an option or a
        model does not fit.
    """
    measurement.check(model, options)
    if joint:
        _check_joint(model, joint)
    split, shots = model.split(bank), model.config.inner.shots
    work = measurement.prepare(bank, split, shots, options, out)
    random = jax.jit(model.networks.init)(jax.random.key(options.seed))
    draws = work.draw_all()
    drawn, seconds = _draw_arms(work, model, joint, random, draws)
    arms = evaluators.evaluate_arms(work.evaluator, drawn, draws)
    right = arms["model"]["recognizability"].mean(0)
    shown = _choose_shown(right, options.seed)
    result = {
        **_describe(work, model),
        "joint": joint and recipe.identify(joint),
        "neighbours": evaluators.neighbours(draws),
        "arms": {x: evaluators.summary(arm, options.seed) for x, arm in arms.items()},
        "model_less_jittered": evaluators.compare(
            arms["model"], arms["support jittered"], options.seed
        ),
        "recognizability_of_classes": dict(zip(work.names, right, strict=True)),
        "shown": {key: [work.names[i] for i in rows] for key, rows in shown.items()},
        "seconds_per_class": seconds,
        "curves": sections.measure_curves(work, model) if options.curve_classes else {},
        "provenance": provenance.describe(),
    }
    if options.scratch:
        result["arms"] |= sections.measure_scratch(
            work, model, random, draws, drawn["model"][0]
        )
    for which, rows in shown.items():
        given, generated = draws[0].supports[rows], drawn["model"][0][rows]
        sheet = presentation.render_sheet(work.evaluator, given, generated)
        pictures.save(work.folder / f"{which}_classes.png", sheet)
    presentation.write_plots(work.folder, result)
    files.write_json(work.folder / "report.json", result)
    table = presentation.write_table(result).encode()
    files.write_bytes(work.folder / "report.md", table)
    return result


def _describe(work, model):
    """Returns the head of `report.json`: checkpoint, options, classes, embeddings."""
    return {
        "checkpoint": {
            "snapshot": recipe.identify(model),
            "meta_steps": model.info.get("step"),
            "dataset": work.bank.dataset,
            "version": work.bank.version,
            "figr_jax": model.info["version"],
            "config": model.info["config"],
        },
        "options": work.options._asdict(),
        "classes": work.names,
        "ways": work.ways,
        "embeddings": {e.record["kind"]: e.record for e in work.evaluator.embeddings},
    }


def _check_joint(model, joint):
    if joint.networks != model.networks or joint.info["split"] != model.info["split"]:
        raise BadInput("--joint: must have the same networks and split as --checkpoint")
    if joint.config.inner.steps != 1:
        raise BadInput(
            f"--joint: was trained with {joint.config.inner.steps} inner steps; joint "
            "training is --config.inner.steps=1"
        )


def _draw_arms(work, model, joint, random, draws):
    """Generates the images of every arm.

    Args:
      work: `measurement.Measurement`.
      model: `generation.FewShotGenerator`.
      joint: another one, or None.
      random: random weights, `networks.GanParams`.
      draws: list of `supports.Draw`.

    Returns:
      A dict: name of an arm to, for each draw and class, `[m, H, W, C]` uint8; and the
      seconds that the model took a class.
    """
    images, options = work.images(model), build.sampling(model.config)
    sources = {"model": model.slow, "random weights": random}
    cached = {name: name for name in sources}
    if joint:
        sources["joint training"] = joint.slow
        cached["joint training"] = f"joint training {recipe.identify(joint)}"
    drawn, seconds = {name: [] for name in sources}, []
    training, _ = model.split(work.bank).indices(work.bank.names)
    # A class of one image has no spread.
    training = training[np.diff(work.bank.class_start)[training] > 1]
    known = controls.embed_classes(work.evaluator, work.bank, training)
    for draw in draws:
        for name, slow in sources.items():
            made, taken = images.adapt_and_draw(
                cached[name], options, slow, draw, label=name
            )
            drawn[name].append(made[:, 0])
            if name == "model":
                seconds.append(taken)
        made = controls.make_controls(
            *(work.evaluator, draw, work.bank, training, known, work.options.count)
        )
        for name, sets in made.items():
            drawn.setdefault(name, []).append(sets)
    return drawn, float(np.median(seconds))


def _choose_shown(right, seed):
    """Chooses the classes to show, by recognizability: a dict of rows."""
    order = np.random.default_rng(seed).permutation(len(right))
    ranked = np.argsort(-right, kind="stable")
    return {
        "random": order[:_SHEET_CLASSES],
        "best": ranked[:_RANKED],
        "worst": ranked[::-1][:_RANKED],
    }
