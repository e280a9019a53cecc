"""Makes shipped weights of a run: float16, with a model card.

python experiments/ship.py --checkpoint=runs/omniglot --name=omniglot-32

The run must have a report (figr_jax.evaluate); its figures go into the card.
"""

from absl import flags

from figr_jax import errors, files, generation, provenance, shipped
from figr_jax.studio import models

_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "A run's folder.", required=True)
_NAME = flags.DEFINE_string("name", None, "Name of the weights.", required=True)

MOST = 8 * 10**6  # bytes


def main(argv):
    """Reads the run and its report, writes weights and card."""
    del argv
    model = generation.load(_CHECKPOINT.value)
    found = models.read_report(_CHECKPOINT.value)
    if not found:
        raise errors.BadInput(
            f"--checkpoint={_CHECKPOINT.value}: has no report; python -m "
            f"figr_jax.evaluate --checkpoint={_CHECKPOINT.value} writes it"
        )
    weights = shipped.FOLDER / f"{_NAME.value}.npz"
    weights.parent.mkdir(exist_ok=True)
    shipped.write(weights, model.slow, dict(model.info, report=found))
    if weights.stat().st_size > MOST:
        weights.unlink()
        raise errors.FailedWork(f"{weights}: larger than {MOST:,} bytes")
    card = describe(model, found)
    files.write_bytes(weights.with_suffix(".md"), card.encode())
    print(f"wrote {weights}, {weights.stat().st_size:,} bytes")


def describe(model, report):
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
        f"- Stored in float16; {made['date']}, commit {made['commit']}, "
        f"`{made['command']}`.",
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
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    errors.run(main)
