"""The human test: are images real or generated?

The paper proposes it (section 3.1) and does not run it. A score of 50 % means that the
judge cannot distinguish them.
"""

import csv
import io
import json
import pathlib

import numpy as np

from figr_jax import build
from figr_jax.common import files, pictures
from figr_jax.common.errors import BadInput
from figr_jax.evaluation import measurement, metrics, samples, supports

ANSWERS = ("real", "generated")
SHEET_CLASSES = 25
_EACH = 2  # real images of a class, and generated ones


def make_sheet(model, bank, out, classes, seed):
    """Writes a judge sheet: as many real as generated images, in random order.

    `out` gets `images/0001.png` ..., `sheet.png` with all images in rows of ten,
    `answers.csv` to fill in, and `key.json` with the truth, which the judge must not
    see. The real images are not in the support.

    Args:
      model: `generation.FewShotGenerator`.
      bank: `bank.Bank` of its data set.
      out: folder, created if needed.
      classes: number of report classes, chosen by seed; 0: `SHEET_CLASSES`.
      seed: seed of every random draw.

    Returns:
      The number of images.

    Raises:
      BadInput: if the folder holds such a sheet already, there are too few classes,
        or the model was chosen by report classes.
    """
    measurement.check_choice(model)

    for name in ("key.json", "images", "sheet.png", "answers.csv"):
        if pathlib.Path(out, name).exists():
            raise BadInput(f"--judge_sheet={out}: holds {name} already; give another")
    split, shots = model.split(bank), model.config.inner.shots
    wanted = classes or SHEET_CLASSES
    chosen, _ = supports.choose_classes(bank, split, "report", shots, wanted, seed)
    out = files.make_folder(out, "--judge_sheet")
    draw = supports.draw_supports(bank, chosen, shots, seed)
    generated, _ = samples.adapt_and_draw(
        model.networks,
        build.sampling(model.config),
        model.slow,
        draw.supports,
        seed,
        _EACH,
    )
    names = [bank.names[index] for index in chosen]
    real = [images[:_EACH] for images in draw.reference]
    shown, key = shuffle(real, generated[:, 0], names, seed)
    _write(out, shown, key)
    return len(shown)


def shuffle(real, generated, names, seed):
    """Mixes real and generated images in random order.

    Args:
      real: `[images, H, W, C]` uint8 of each class.
      generated: the same; as many.
      names: names of the classes.
      seed: seed of the order.

    Returns:
      Images, `[H, W, C]` uint8 each, by file name, and the key: file name to `class`
      and `answer`.
    """
    items = [
        (image, {"class": name, "answer": answer})
        for answer, sets in zip(ANSWERS, (real, generated), strict=True)
        for name, images in zip(names, sets, strict=True)
        for image in images
    ]
    order = np.random.default_rng(seed).permutation(len(items))
    named = {f"{i:04}.png": items[j] for i, j in enumerate(order, 1)}
    return (
        {name: image for name, (image, _) in named.items()},
        {name: truth for name, (_, truth) in named.items()},
    )


def write_form(names, answers):
    """Formats `answers.csv`: the names of the images, and any answers."""
    form = io.StringIO()
    writer = csv.writer(form, lineterminator="\n")
    writer.writerow(["image", "answer"])
    writer.writerows([name, answers.get(name, "")] for name in names)
    return form.getvalue()


def _write(out, shown, key):
    (out / "images").mkdir(exist_ok=True)
    for name, image in shown.items():
        pictures.save(out / "images" / name, image)
    pixels = np.stack(list(shown.values()))
    pictures.save(out / "sheet.png", pictures.sheet(pixels, 10))
    files.write_bytes(out / "answers.csv", write_form(shown, {}).encode())
    files.write_json(out / "key.json", key)  # last: it says that the set is whole


def score(path):
    """Scores the answers of a judge.

    Args:
      path: `answers.csv`, filled in, next to the `key.json` of its sheet.

    Returns:
      A dict: `answered`, `images`, `all`, `kinds` (by `real` or `generated`) and
      `classes` (by class). `all` and each entry of the last two have `right`, `count`,
      `accuracy`, and `low` and `high` of its 95 % Wilson interval.

    Raises:
      BadInput: if a file cannot be read, or names what it should not.
    """
    path = pathlib.Path(path)
    try:
        key = dict(json.loads((path.parent / "key.json").read_text()))
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
        key = {name: {k: t[k] for k in ("class", "answer")} for name, t in key.items()}
    except (OSError, ValueError, csv.Error, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"--judge_answers={path}: cannot be read ({reason})") from error
    answers = {}
    for row in rows[1:] if rows and rows[0][0] == "image" else rows:
        name, answer = (cell.strip() for cell in (row + [""])[:2])
        answer = answer.lower()
        if name not in key:
            raise BadInput(f"--judge_answers={path}: no image {name!r} in key.json")
        if answer and answer not in ANSWERS:
            raise BadInput(
                f"--judge_answers={path}: {name} has the answer {answer!r}; it must "
                f"be {' or '.join(ANSWERS)}, or nothing"
            )
        if answer:
            answers[name] = answer
    if not answers:
        raise BadInput(f"--judge_answers={path}: has no answer yet")
    return tally(key, answers)


def tally(key, answers):
    """Counts how often a judge was right.

    Args:
      key: see `shuffle`.
      answers: image to one of `ANSWERS`; at least one.

    Returns:
      See `score`.
    """

    def share(chosen):
        hits = [answers[name] == key[name]["answer"] for name in chosen]
        low, high = metrics.wilson(sum(hits), len(hits))
        counts = {"right": sum(hits), "count": len(hits)}
        return {**counts, "accuracy": sum(hits) / len(hits), "low": low, "high": high}

    def share_by(field):
        groups = {}
        for name in answers:
            groups.setdefault(key[name][field], []).append(name)
        return {group: share(names) for group, names in sorted(groups.items())}

    return {
        "answered": len(answers),
        "images": len(key),
        "all": share(answers),
        "kinds": share_by("answer"),
        "classes": share_by("class"),
    }
