"""Compares checkpoints on the same supports, class by class."""

from figr_jax import build, recipe
from figr_jax.common import files, provenance
from figr_jax.common.errors import BadInput
from figr_jax.evaluation import (
    controls,
    evaluators,
    measurement,
    presentation,
)


def make(models, bank, out, options):
    """Writes the table of several checkpoints, with their differences to the first.

    Args:
      models: dict: name to `generation.FewShotGenerator`, at least 2.
      bank: `bank.Bank` of a data set that all were trained on.
      out: folder, created if needed: gets `comparison.json`, `comparison.md`, and the
        images, so that a stopped comparison resumes.
      options: `measurement.Options`; there are no curves and no GAN from scratch.

    Returns:
      The dict of `comparison.json`.

    Raises:
      BadInput: if the checkpoints do not share shots, image size and enough report
        classes.
    """
    for name, model in models.items():
        measurement.check(model, options, f"--checkpoint={name}")
    shots = _check_same(models)
    split = _find_shared(models, bank)
    work = measurement.prepare(bank, split, shots, options, out)
    draws = work.draw_all()
    arms = evaluators.evaluate_arms(
        work.evaluator, _draw_arms(work, models, draws), draws
    )
    rows = {name: evaluators.summary(arm, options.seed) for name, arm in arms.items()}
    base, *others = models
    differences = {
        f"{name} less {base}": evaluators.compare(arms[name], arms[base], options.seed)
        for name in others
    }
    result = {
        "dataset": bank.dataset,
        "checkpoints": {name: recipe.identify(model) for name, model in models.items()},
        "options": options._asdict(),
        "classes": work.names,
        "neighbours": evaluators.neighbours(draws),
        "arms": rows,
        "differences": differences,
        "provenance": provenance.describe(),
    }
    files.write_json(work.folder / "comparison.json", result)
    files.write_bytes(work.folder / "comparison.md", _write_table(result).encode())
    return result


def _check_same(models):
    """Checks that the models share shots and image size; returns the shots."""
    described = {
        name: {
            "shots": model.config.inner.shots,
            "pixels of height": model.networks.image_size,
            "channels": model.networks.channels,
        }
        for name, model in models.items()
    }
    first = next(iter(described.values()))
    for name, values in described.items():
        for quantity, value in values.items():
            if value != first[quantity]:
                raise BadInput(
                    f"--checkpoint={name}: has {value} {quantity}, the first one "
                    f"{first[quantity]}; give checkpoints that agree"
                )
    return first["shots"]


def _find_shared(models, bank):
    """Returns the first model's split, with report classes that no model has seen."""
    split, *others = (model.split(bank) for model in models.values())
    unseen = [set(other.report) for other in others]
    shared = [name for name in split.report if all(name in x for x in unseen)]
    return split._replace(report=tuple(shared))


def _draw_arms(work, models, draws):
    """Generates or collects the images of every row: for each draw and class."""
    drawn = {
        name: _generate(work, name, model, draws) for name, model in models.items()
    }
    count = work.options.count
    drawn["support jittered"] = [controls.jitter_all(draw, count) for draw in draws]
    drawn["held-out real"] = [draw.real for draw in draws]
    return drawn


def _generate(work, name, model, draws):
    """Generates the images of a checkpoint: for each draw and class `[m, H, W, C]`."""
    images, how, sets = work.images(model), build.sampling(model.config), []
    for draw in draws:
        made, _ = images.adapt_and_draw("model", how, model.slow, draw, label=name)
        sets.append(made[:, 0])
    return sets


def _write_table(result):
    shown = result["options"]["metrics"]
    rows = {**result["arms"], **result["differences"]}
    return presentation.join(
        f"# {result['dataset']}, {len(result['classes'])} report classes",
        f"{result['options']['draws']} support(s) of each class, the same for every "
        f"row; {result['options']['count']} images of each; mean and 95 % bootstrap "
        f"interval over classes; k = {result['neighbours']}. Differences are class by "
        "class: an interval that contains 0 shows no difference.",
        "\n".join(presentation.write_rows(rows, shown)),
    )
