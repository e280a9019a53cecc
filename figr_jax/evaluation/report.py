"""The report of a checkpoint: every metric, controls, pictures."""

import jax
import numpy as np

from figr_jax import recipe
from figr_jax.common import files, pictures, provenance
from figr_jax.common.errors import BadInput, say
from figr_jax.evaluation import (
    controls,
    embedding,
    judging,
    measurement,
    presentation,
    samples,
    sections,
    supports,
)

_SHEET_CLASSES = 8
_RANKED = 5  # best and worst classes that are shown


def make(model, bank, out, options, joint=None):
    """Makes the report.

    Args:
      model: `generation.FewShotGenerator`.
      bank: `bank.Bank` of its data set.
      out: folder, made if need be, which gets `report.json`, `report.md`, pictures,
        and the images themselves, so that a report that was stopped goes on.
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
    work = _prepare(model, joint, bank, out, options)
    seeds = supports.draw_seeds(options.seed, options.draws)
    draws = [work.draw_supports(work.classes, work.shots, seed) for seed in seeds]
    drawn, seconds = _draw_arms(work, draws, seeds)
    arms = {}
    for name, sets in drawn.items():
        say(f"judging: {name}")
        arms[name] = judging.judge_all(work.judge, sets, draws)
    right = arms["model"]["recognizability"].mean(0)
    shown = _choose_shown(right, options.seed)
    result = {
        **_describe(work),
        "neighbours": judging.neighbours(draws),
        **_summarize(arms, options.seed),
        "recognizability_of_classes": dict(zip(work.names, right, strict=True)),
        "shown": {key: [work.names[i] for i in rows] for key, rows in shown.items()},
        "seconds_per_class": seconds,
        "curves": sections.measure_curves(work) if options.curve_classes else {},
        "provenance": provenance.describe(),
    }
    if options.scratch:
        k = result["neighbours"]
        result["arms"] |= sections.measure_scratch(work, seeds[0], drawn["model"][0], k)
    for which, rows in shown.items():
        given, generated = draws[0].supports[rows], drawn["model"][0][rows]
        sheet = presentation.draw_sheet(work.judge, given, generated)
        pictures.save(work.folder / f"{which}_classes.png", sheet)
    presentation.write_plots(work.folder, result)
    files.write_json(work.folder / "report.json", result)
    table = presentation.write_table(result).encode()
    files.write_bytes(work.folder / "report.md", table)
    return result


def _prepare(model, joint, bank, out, options):
    """Chooses the classes, loads the embeddings, makes the folder."""
    split, seed = model.split(bank), options.seed
    training, _ = split.indices(bank.names)
    shots = model.config.inner.shots
    classes, eligible = supports.choose_classes(
        bank, split, "report", shots, options.classes, seed
    )
    ways = min(judging.WAYS, len(eligible))
    if ways < judging.WAYS:
        say(f"recognizability is {ways}-way: no more held-out classes can be judged")
    judge = judging.Judge(*embedding.load_all(bank, split))
    random = jax.jit(model.networks.init)(jax.random.key(seed))
    folder = files.make_folder(out, "--out")
    images = samples.Images(folder / "images", model, seed, options.count)
    return measurement.Measurement(
        *(model, joint, random, bank, training, eligible, classes),
        *(judge, images, folder, options),
    )


def _describe(work):
    """Returns the head of `report.json`: checkpoint, options, classes, embeddings."""
    model, joint = work.model, work.joint
    return {
        "checkpoint": {
            "snapshot": recipe.identify(model),
            "meta_steps": model.info.get("step"),
            "dataset": work.bank.dataset,
            "version": work.bank.version,
            "figr_jax": model.info["version"],
            "config": model.info["config"],
        },
        "joint": joint and recipe.identify(joint),
        "options": work.options._asdict(),
        "classes": work.names,
        "ways": min(judging.WAYS, len(work.eligible)),
        "embeddings": {e.record["kind"]: e.record for e in work.judge.embeddings},
    }


def _summarize(arms, seed):
    """Summarizes the arms, and the difference of the model to the jittered support."""
    summaries = {name: judging.summary(arm, seed) for name, arm in arms.items()}
    difference = judging.compare(arms["model"], arms["support jittered"], seed)
    return {"arms": summaries, "model_less_jittered": difference}


def _check_joint(model, joint):
    if joint.networks != model.networks or joint.info["split"] != model.info["split"]:
        raise BadInput("--joint: must have the same networks and split as --checkpoint")
    if joint.config.inner.steps != 1:
        raise BadInput(
            f"--joint: was trained with {joint.config.inner.steps} inner steps; joint "
            "training is --config.inner.steps=1"
        )


def _draw_arms(work, draws, seeds):
    """Generates the images of every arm.

    Args:
      work: `measurement.Measurement`.
      draws: list of `supports.Draw`.
      seeds: of them.

    Returns:
      A dict: name of an arm to, for each draw and class, `[m, H, W, C]` uint8; and the
      seconds that the model took a class.
    """
    sources = {"model": work.model.slow, "random weights": work.random}
    if work.joint:
        sources["joint training"] = work.joint.slow
    drawn, seconds = {name: [] for name in sources}, []
    # A class of one image has no spread.
    training = work.training[np.diff(work.bank.class_start)[work.training] > 1]
    known = controls.embed_classes(work.judge, work.bank, training)
    for draw, seed in zip(draws, seeds, strict=True):
        for name, slow in sources.items():
            made, taken = work.adapt_and_draw(name, slow, work.sampling, draw, seed)
            drawn[name].append(made[:, 0])
            if name == "model":
                seconds.append(taken)
        made = controls.make_controls(
            *(work.judge, draw, work.bank, training, known, work.options.count, seed)
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
