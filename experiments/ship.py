"""Conversion of a run to shipped weights: float16, with a model card.

python experiments/ship.py --checkpoint=runs/omniglot --name=omniglot-32
python experiments/ship.py --report=report --name=omniglot-32

The run must have a report (figr_jax.evaluate). The card has the figures of the report
and the effect of half precision. The report of a model that was trained on a mix
measures one of its data sets. If each image has its own author (open_icons), the list
of authors ships too. The second form only replaces the figures by those of a newer
report of the shipped weights.
"""

import csv
import json
import pathlib
import tempfile

import jax
import numpy as np
from absl import flags

from figr_jax import build, generation, recipe, shipped
from figr_jax.common import command, compilation, errors, files, provenance
from figr_jax.data import bank as banks
from figr_jax.data import datasets
from figr_jax.evaluation import light, presentation
from figr_jax.studio import models

_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "A run's folder.")
_REPORT = flags.DEFINE_string(
    "report", None, "Folder of a report of the shipped weights."
)
_NAME = flags.DEFINE_string("name", None, "Name of the weights.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of prepared data sets.")

MOST = 8 * 10**6  # largest size of shipped weights, bytes
MEASURED, STORED = "Measured on ", "Stored in half precision. "  # paragraphs of a card


def main():
    """Reads a run and its report, or only a report; writes weights and card."""
    if (_CHECKPOINT.value is None) == (_REPORT.value is None):
        raise errors.BadInput("--checkpoint, --report: give exactly one of them")
    if _REPORT.value:
        return renew(_REPORT.value)
    compilation.keep_programs()
    model = generation.load(_CHECKPOINT.value)
    report = read_report(f"{_CHECKPOINT.value}/report", model, _CHECKPOINT.value)
    if "sessions" not in model.info:
        raise errors.BadInput(
            f"--checkpoint={_CHECKPOINT.value}: was trained before runs recorded their "
            "command; train it again"
        )
    authors = find_authors(model)
    licences = [model.info["licence"]]
    if authors:
        is_mix = len(datasets.parts(model.config.dataset.name)) > 1
        licences = [*licences[:is_mix], sum_licences(authors)]
    info = dict(model.info, report=report, licence="; ".join(licences))
    write(model.slow, info, describe(model, info, compare(model)), authors)


def renew(folder):
    """Copies the figures of a report into shipped weights and their card."""
    if _NAME.value not in shipped.names():
        raise errors.BadInput(
            f"--name={_NAME.value}: must be one of {', '.join(shipped.names())}"
        )
    model = generation.load(_NAME.value)
    report = read_report(folder, model, _NAME.value)
    card = (shipped.FOLDER / f"{_NAME.value}.md").read_text()
    head, rest = card.split(MEASURED, 1)
    rest = STORED + rest.split(STORED, 1)[1]
    card = "\n".join([head + MEASURED + figures(report, folder), "", rest])
    write(model.slow, dict(model.info, report=report), card)


def read_report(folder, model, path):
    """Reads the figures of a report and checks that it measures this model."""
    report = models.read_report(folder)
    if not report or report["snapshot"] != recipe.identify(model):
        raise errors.BadInput(
            f"{folder}: no report of the weights of {path}; run "
            f"python -m figr_jax.evaluate --checkpoint={path} --out={folder}"
        )
    return report


def write(slow, info, card, authors=None):
    """Writes weights, card and list of authors, unless the weights are too large."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "weights.npz")
        shipped.write(path, slow, info)
        data = path.read_bytes()
    if len(data) > MOST:
        raise errors.FailedWork(
            f"the weights have {len(data):,} bytes, at most {MOST:,} ship; train a "
            "smaller model"
        )
    weights = shipped.FOLDER / f"{_NAME.value}.npz"
    weights.parent.mkdir(exist_ok=True)
    if authors:
        files.write_bytes(shipped.FOLDER / authors_file(), authors)
    files.write_bytes(weights.with_suffix(".md"), card.encode())
    files.write_bytes(weights, data)
    print(f"wrote {weights}, {len(data):,} bytes")


def authors_file():
    """Returns the file name of the list of authors."""
    return f"{_NAME.value}.attribution.tsv"


def find_authors(model):
    """Reads the list of authors as bytes; None if the data sets have no such list."""
    for name in datasets.parts(model.config.dataset.name):
        builder = datasets.prepare(name, _DATA_DIR.value)
        path = builder.data_path / "attribution.tsv"
        if path.exists():
            return path.read_bytes()
    return None


def sum_licences(authors):
    """Summarizes the licences of images by many authors."""
    rows = csv.DictReader(authors.decode().splitlines(), delimiter="\t")
    licences = sorted({row["spdx"] for row in rows})
    return f"{', '.join(licences)}; the authors are listed in {authors_file()}"


def count_hours(workdir):
    """Computes the hours that the meta-steps of a run took, from its metrics."""
    records = (pathlib.Path(workdir) / "metrics.jsonl").read_text().splitlines()
    hours, last = 0.0, 0
    for record in map(json.loads, records):
        if "meta_steps_per_second" in record:
            hours += (record["step"] - last) / record["meta_steps_per_second"] / 3600
            last = record["step"]
    return hours


def compare(model):
    """Measures the weights in float32 and in float16, with the light protocol."""
    dataset = model.config.dataset
    size = dataset.image_size, dataset.channels
    first = datasets.parts(dataset.name)[0]
    bank = banks.load(first, *size, _DATA_DIR.value)
    measure = light.Light(model.config, bank, model.split(bank))
    halved = jax.tree.map(lambda x: np.float32(np.float16(x)), model.slow)
    return measure(model.slow), measure(halved)


def describe(model, info, measured):
    """Writes the text of the model card."""
    config, report, origin = model.config, info["report"], provenance.describe()
    networks, inner, sampling = config.networks, config.inner, config.sampling
    adapted = build.sampling(config).inner
    std = ", minibatch_std" if networks.minibatch_std else ""
    start = []
    if first := config.run.init_from:
        commit = model.info["sessions"][0]["commit"]
        start = [f"- Started from the weights of {first}, as at commit {commit}."]

    lines = [
        f"# {_NAME.value}",
        "",
        f"- Data set: {config.dataset.name} {model.info['split']['version']}, "
        f"{config.dataset.image_size}x{config.dataset.image_size}; "
        f"{len(model.info['split']['heldout'])} classes held out.",
        f"- Licence of its images: {' '.join(info['licence'].split())}",
        f"- Networks: {networks.family}, width {networks.width}, {networks.stages} "
        f"stages{std}; {inner.shots} shots, {inner.others} others, {inner.steps} inner "
        f"steps of {inner.optimizer} at {inner.learning_rate:g}; outer "
        f"{config.outer.optimizer} at {config.outer.learning_rate:g}, "
        f"{config.outer.tasks} tasks per meta-step.",
        f"- Sampling: {adapted.steps} inner steps of {adapted.critic_steps} critic "
        f"updates, at {sampling.rate:g} of the inner learning rate, multiplied by "
        f"{sampling.decay_rate:g} after each update; latents scaled by "
        f"{sampling.latent_scale:g}; best of {sampling.best_of}.",
        f"- Meta-steps: {model.info['step']:,}, seed {config.run.seed}, in "
        f"{count_hours(_CHECKPOINT.value):.1f} hours.",
        *start,
        *(
            f"- Trained from meta-step {x['from_step']:,} at commit {x['commit']} "
            f"by `{x['command']}` ({x['device']}, {x['platform']}, jax {x['jax']}, "
            f"{x['date']})."
            for x in model.info["sessions"]
        ),
        f"- Made {origin['date']} at commit {origin['commit']} by "
        f"`{origin['command']}`.",
        "",
        MEASURED + figures(report, f"{_CHECKPOINT.value}/report"),
    ]
    lines += [
        "",
        f"{STORED}The effect on {light.CLASSES} tuning classes with "
        f"{light.COUNT} images each:",
        "",
        "| | " + " | ".join(light.METRICS) + " |",
        "| --- " * (1 + len(light.METRICS)) + "|",
    ]
    for name, metrics in zip(("float32", "float16"), measured, strict=True):
        cells = (f"{metrics[metric]:.3f}" for metric in light.METRICS)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def figures(report, folder):
    """Formats the figures of a report for a card, to follow `MEASURED`."""
    full = json.loads(pathlib.Path(folder, "report.json").read_text())
    return "\n".join(
        [
            f"{report['classes']} report classes of {full['checkpoint']['dataset']}, "
            f"{report['date']}; mean and 95 % interval:",
            "",
            *presentation.write_rows(report["arms"], models.METRICS),
        ]
    )


if __name__ == "__main__":
    command.run(main)
