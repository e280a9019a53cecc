"""Makes shipped weights of a run: float16, with a model card.

python experiments/ship.py --checkpoint=runs/omniglot --name=omniglot-32 \
    --trained_at=COMMIT

The run must have a report (figr_jax.evaluate); its figures go into the card, beside
those that show what half precision changes. Where each image has an author of its own
(open_icons), the list of them ships too.
"""

import csv
import json
import pathlib
import runpy

from absl import flags

from figr_jax import compilation, errors, files, generation, provenance, shipped
from figr_jax.data import bank as banks
from figr_jax.data import datasets
from figr_jax.evaluation import light, protocol
from figr_jax.studio import models

_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "A run's folder.", required=True)
_NAME = flags.DEFINE_string("name", None, "Name of the weights.", required=True)
_COMMIT = flags.DEFINE_string("trained_at", None, "Commit of the run.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where prepared data sets live.")

MOST = 8 * 10**6  # bytes
QUICKSTART = pathlib.Path(__file__).parent.parent / "configs" / "quickstart.py"


def main(argv):
    """Reads the run and its report, writes weights and card."""
    del argv
    compilation.keep_programs()
    model = generation.load(_CHECKPOINT.value)
    found = models.read_report(_CHECKPOINT.value)
    if not found:
        raise errors.BadInput(
            f"--checkpoint={_CHECKPOINT.value}: has no report; python -m "
            f"figr_jax.evaluate --checkpoint={_CHECKPOINT.value} writes it"
        )
    weights = shipped.FOLDER / f"{_NAME.value}.npz"
    weights.parent.mkdir(exist_ok=True)
    info = dict(model.info, report=found, licence=find_licence(model))
    shipped.write(weights, model.slow, info)
    if weights.stat().st_size > MOST:
        weights.unlink()
        raise errors.FailedWork(f"{weights}: larger than {MOST:,} bytes")
    halved = generation.load(_NAME.value)
    card = describe(halved, found, compare(model, halved))
    files.write_bytes(weights.with_suffix(".md"), card.encode())
    print(f"wrote {weights}, {weights.stat().st_size:,} bytes")


def find_licence(model):
    """The licence of the images; a list of their authors is copied to the weights."""
    builder = datasets.prepare(model.config.dataset.name, _DATA_DIR.value)
    authors = builder.data_path / "attribution.tsv"
    if not authors.exists():
        return model.info["licence"]
    data = authors.read_bytes()
    copy = shipped.FOLDER / f"{_NAME.value}.attribution.tsv"
    files.write_bytes(copy, data)
    rows = csv.DictReader(data.decode().splitlines(), delimiter="\t")
    licences = sorted({row["spdx"] for row in rows})
    return f"{', '.join(licences)}; whose they are is in {copy.name}"


def training_command(config):
    """The command that trains with a config, as changes of the quickstart's."""
    base = runpy.run_path(str(QUICKSTART))["get_config"]()
    changes = [
        f"--config.{section}.{name}={value}"
        for section, fields in config.items()
        for name, value in fields.items()
        if value != base[section][name]
    ]
    return " ".join(
        ["python -m figr_jax.main --config=configs/quickstart.py", *changes]
    )


def count_hours(workdir):
    """Hours that the meta-steps of a run took, by its metrics."""
    records = (pathlib.Path(workdir) / "metrics.jsonl").read_text().splitlines()
    hours, last = 0.0, 0
    for record in map(json.loads, records):
        if "meta_steps_per_second" in record:
            hours += (record["step"] - last) / record["meta_steps_per_second"] / 3600
            last = record["step"]
    return hours


def compare(*both):
    """The light form of the protocol for each of two models: two dicts."""
    dataset = both[0].config.dataset
    size = dataset.image_size, dataset.channels
    bank = banks.load(dataset.name, *size, _DATA_DIR.value)
    measure = light.Light(both[0].config, bank, protocol.model_split(both[0], bank))
    return [measure(model.slow) for model in both]


def describe(model, report, measured):
    """The model card."""
    config, made = model.config, provenance.describe()
    networks, inner = config.networks, config.inner
    lines = [
        f"# {_NAME.value}",
        "",
        f"- Data set: {config.dataset.name} {model.info['split']['version']}, "
        f"{config.dataset.image_size}x{config.dataset.image_size}; "
        f"{len(model.info['split']['heldout'])} classes held out.",
        f"- Licence of its images: {' '.join(model.info['licence'].split())}",
        f"- Networks: {networks.family}, width {networks.width}, {networks.stages} "
        f"stages; {inner.shots} shots, {inner.steps} inner steps of {inner.optimizer} "
        f"at {inner.learning_rate:g}; outer {config.outer.optimizer} at "
        f"{config.outer.learning_rate:g}.",
        f"- Meta-steps: {model.info['step']:,}, seed {config.run.seed}.",
        f"- Trained at commit {_COMMIT.value} by `{training_command(config)}`, in "
        f"{count_hours(_CHECKPOINT.value):.1f} hours of meta-steps on one core of "
        f"{made['device']} {made['platform']} shared with other work.",
        f"- Made {made['date']} at commit {made['commit']} by `{made['command']}`.",
        "",
        f"Measured on {report['classes']} held-out classes, {report['date']}; mean and "
        "95 % interval:",
        "",
        "| | " + " | ".join(models.METRICS).replace("_", " ") + " |",
        "| --- " * (1 + len(models.METRICS)) + "|",
    ]
    for name, arm in report["arms"].items():
        cells = (
            "{mean:.2f} ({low:.2f}, {high:.2f})".format_map(arm[m])
            for m in models.METRICS
        )
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"Stored in half precision. What that changes, on {light.CLASSES} held-out "
        f"classes with {light.COUNT} images each:",
        "",
        "| | " + " | ".join(light.METRICS) + " |",
        "| --- " * (1 + len(light.METRICS)) + "|",
    ]
    for name, found in zip(("float32", "float16"), measured, strict=True):
        cells = (f"{found[metric]:.3f}" for metric in light.METRICS)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    errors.run(main)
