"""Compares checkpoints on the same supports, class by class."""

from figr_jax import build, recipe
from figr_jax.common import files, provenance
from figr_jax.common.errors import BadInput, say
from figr_jax.evaluation import (
    controls,
    embedding,
    judging,
    measurement,
    presentation,
    samples,
    supports,
)


def make(models, bank, out, options):
    """Writes the table of several checkpoints, with their differences to the first.

    Args:
      models: dict: name to `generation.FewShotGenerator`, at least 2.
      bank: `bank.Bank` of a data set that all were trained on.
      out: folder, made if need be: gets `comparison.json`, `comparison.md`, and the
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
    classes, eligible = supports.choose_classes(
        bank, split, "report", shots, options.classes, options.seed
    )
    judge = judging.Judge(*embedding.load_all(bank, split))
    out = files.make_folder(out, "--out")
    seeds = supports.draw_seeds(options.seed, options.draws)
    draws = [
        supports.draw_supports(bank, classes, shots, seed, eligible) for seed in seeds
    ]
    k = judging.neighbours(draws)
    drawn = _draw_arms(models, out, draws, seeds, options)
    arms = {}
    for name, sets in drawn.items():
        say(f"judging: {name}")
        arms[name] = judging.judge_all(judge, sets, draws, k)
    rows = {name: judging.summary(arm, options.seed) for name, arm in arms.items()}
    base, *others = models
    differences = {
        f"{name} less {base}": judging.compare(arms[name], arms[base], options.seed)
        for name in others
    }
    result = {
        "dataset": bank.dataset,
        "checkpoints": {name: recipe.identify(model) for name, model in models.items()},
        "options": options._asdict(),
        "classes": [bank.names[c] for c in classes],
        "neighbours": k,
        "arms": rows,
        "differences": differences,
        "provenance": provenance.describe(),
    }
    files.write_json(out / "comparison.json", result)
    files.write_bytes(out / "comparison.md", _write_table(result).encode())
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


def _draw_arms(models, out, draws, seeds, options):
    """Generates or collects the images of every row: for each draw and class."""
    drawn = {
        name: _generate(name, model, out, draws, seeds, options)
        for name, model in models.items()
    }
    drawn["support jittered"] = [
        controls.jitter_all(draw.supports, options.count, seed)
        for draw, seed in zip(draws, seeds, strict=True)
    ]
    drawn["held-out real"] = [draw.real for draw in draws]
    return drawn


def _generate(name, model, out, draws, seeds, options):
    """Generates the images of a checkpoint: for each draw and class `[m, H, W, C]`."""
    images = samples.Images(out / "images", model, options.seed, options.count)
    how, sets = build.sampling(model.config), []
    for draw, seed in zip(draws, seeds, strict=True):
        made, _ = images.adapt_and_draw(
            "model", how, model.slow, draw.supports, seed, label=name
        )
        sets.append(made[:, 0])
    return sets


def _write_table(result):
    shown = result["options"]["metrics"]
    lines = [
        f"# {result['dataset']}, {len(result['classes'])} report classes",
        "",
        f"{result['options']['draws']} support(s) of each class, the same for every "
        f"row; {result['options']['count']} images of each; mean and 95 % bootstrap "
        f"interval over classes; k = {result['neighbours']}. Differences are class by "
        "class: an interval that contains 0 shows no difference.",
        "",
        *presentation.write_rows({**result["arms"], **result["differences"]}, shown),
        "",
    ]
    return "\n".join(lines)
