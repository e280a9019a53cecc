"""The config schema: every field with its default, unit and allowed range.

Defaults are the paper's (Table 1, FIGR-8), on the data that needs no download.
"""

import math

import ml_collections

from figr_jax import build, fields, losses, networks
from figr_jax.common.errors import BadInput
from figr_jax.data import datasets, images, splits
from figr_jax.networks import convolution


def _optimizer_fields(default, learning_rate):
    return {
        "optimizer": fields.Field(
            default,
            "name of an optax optimizer",
            "the name of an optax optimizer that takes a learning rate",
            build.is_optimizer,
        ),
        "learning_rate": fields.positive(
            learning_rate, "learning rate of the optimizer"
        ),
        "optimizer_args": fields.Field(
            "",
            "other arguments of the optimizer, such as b1=0.0,b2=0.9",
            "comma-separated name=number pairs, such as b1=0.0,b2=0.9",
            lambda x: build.parse_args(x) is not None,
        ),
    }


SCHEMA = {
    "dataset": {
        "name": fields.Field(
            "glyphs",
            "data set; none: imported weights",
            datasets.ALLOWED,
            lambda x: x == "none" or datasets.is_name(x),
        ),
        "image_size": fields.Field(
            32, "height and width, pixels", images.ALLOWED_SIZE, images.is_size
        ),
        "channels": fields.one_of((1, 3), 1, "grey or colour"),
        "split": fields.Field(
            "random",
            "rule that chooses the held-out classes",
            splits.ALLOWED,
            splits.is_rule,
        ),
        "heldout": fields.count(0, 50, "number of held-out classes if split=random"),
        "split_seed": fields.count(0, 0, "seed of the choice of held-out classes"),
    },
    "networks": {
        "family": fields.one_of(tuple(networks.FAMILIES), "resnet", "architecture"),
        "width": fields.between(1, 4096, 64, "channels at full resolution"),
        "stages": fields.between(1, 12, 4, "up- and downsamplings by 2"),
        "latent": fields.between(1, 65_536, 100, "size of a latent"),
        "convolution": fields.one_of(
            convolution.LOWERINGS, "auto", "lowering of the convolutions"
        ),
        "layer_norm": fields.one_of(
            (True, False), True, "whether layers are normalized"
        ),
        "minibatch_std": fields.one_of(
            (False, True), False, "whether the critic sees the deviation over its batch"
        ),
        "dtype": fields.one_of(
            networks.DTYPES,
            "float32",
            "dtype of the arithmetic; parameters stay float32",
        ),
        "sharpness": fields.positive(
            3.0, "family fusion: how much one support image outweighs the others"
        ),
        "low_pass": fields.one_of(
            (False, True), False, "family fusion: whether to smooth upsampled features"
        ),
    },
    "inner": {
        "shots": fields.between(1, 4096, 8, "support images n"),
        "others": fields.between(
            0,
            4096,
            0,
            "further images of the class that the critic sees as real in "
            "meta-training; 0: it sees the support, as in the paper",
        ),
        "steps": fields.between(1, 1_000_000, 10, "inner steps K"),
        "loss": fields.one_of(tuple(losses.LOSSES), "wgan_gp", "loss of a task"),
        "penalty_weight": fields.Field(
            10.0,
            "weight of the gradient penalty",
            "a number of at least 0",
            lambda x: 0 <= x < math.inf,
        ),
        "critic_steps": fields.between(1, 1000, 1, "critic updates in an inner step"),
        **_optimizer_fields("sgd", 1e-4),
    },
    # Adaptation of a trained model, where it differs from meta-training.
    "sampling": {
        "steps": fields.between(
            -1, 1_000_000, -1, "inner steps K; -1: as in meta-training"
        ),
        "rate": fields.positive(1.0, "factor of the inner learning rate"),
        "critic_steps": fields.between(
            0, 1000, 0, "critic updates in an inner step; 0: as in meta-training"
        ),
        "decay_rate": fields.Field(
            1.0,
            "factor of the inner learning rate from one update to the next",
            "above 0 and at most 1",
            lambda x: 0 < x <= 1,
        ),
        "best_of": fields.between(
            1, 1000, 1, "candidates for each image; the critic chooses one of them"
        ),
        "latent_scale": fields.positive(
            1.0, "standard deviation of the latents when sampling"
        ),
        "chosen_on": fields.one_of(
            ("nothing", "tuning", "report"),
            "nothing",
            "held-out classes that these settings were chosen on; a report rejects "
            "settings chosen on report classes",
        ),
    },
    "outer": {
        "tasks": fields.between(1, 65_536, 1, "tasks in a meta-step"),
        "group": fields.between(
            0,
            65_536,
            0,
            "maximum tasks that a device adapts to in parallel; 0: one on the CPU, as "
            "many as fit in memory on other devices",
        ),
        **_optimizer_fields("adam", 1e-5),
        "decay": fields.between(
            0.0,
            1.0,
            0.0,
            "last fraction of the meta-steps, over which the learning rate decays "
            "linearly to zero",
        ),
    },
    "run": {
        "seed": fields.count(0, 0, "seed of every random draw"),
        "init_from": fields.Field(
            "",
            "shipped weights or a run to take the initial slow parameters from",
            "the name of shipped weights or a run's folder",
            lambda x: True,
        ),
        "meta_steps": fields.count(1, 100_000, "meta-steps of the whole run"),
        "log_every": fields.count(
            1, 50, "meta-steps per dispatch and per logged block"
        ),
        "sample_every": fields.count(
            0, 10_000, "meta-steps between sample grids; 0: none"
        ),
        "evaluate_every": fields.count(
            0,
            0,
            "meta-steps between evaluations on up to ten tuning classes of each data "
            "set; 0: none",
        ),
        "save_every": fields.count(1, 1_000, "meta-steps between checkpoints"),
        "on_divergence": fields.one_of(
            ("stop", "rewind"),
            "stop",
            "what to do when losses or parameters are no longer finite; rewind: go "
            "back to the last checkpoint and draw other episodes",
        ),
        "rewinds": fields.count(1, 3, "number of rewinds before a run stops"),
        "bank": fields.one_of(
            ("auto", "device", "host"),
            "auto",
            "where the bank is kept; auto: on the device if it fits",
        ),
        "tensorboard": fields.one_of(
            (False, True), False, "also write TensorBoard events"
        ),
    },
}

# Fields that a resumed run must keep: its weights and episodes depend on them.
FIXED = (
    *(f"dataset.{name}" for name in SCHEMA["dataset"]),
    *(
        f"networks.{name}"
        for name in SCHEMA["networks"]
        if name not in ("convolution", "dtype")
    ),
    "outer.optimizer",
    "outer.optimizer_args",
    "run.seed",
    "run.init_from",
)


def default():
    """Returns a config with all defaults, locked: only schema fields can be set."""
    sections = {
        section: {name: field.default for name, field in of_section.items()}
        for section, of_section in SCHEMA.items()
    }
    return ml_collections.ConfigDict(sections).lock()


def from_dict(values):
    """Builds a validated config from dictionaries; missing fields get defaults.

    Raises:
      BadInput: if a field is unknown, of a wrong type or out of range.
    """
    config = default()
    try:
        config.update(values)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"config: {error}") from error
    validate(config)
    return config


def validate(config):
    """Checks every field.

    Raises:
      BadInput: names the first field that is missing or out of range, its value and
        the range.
    """
    for section, of_section in SCHEMA.items():
        for name, field in of_section.items():
            if name not in config.get(section, {}):
                raise BadInput(
                    f"--config.{section}.{name} is missing: start from config.default()"
                )
            value = config[section][name]
            if type(value) is not type(field.default):
                raise BadInput(
                    f"--config.{section}.{name}={value!r}: must be of type "
                    f"{type(field.default).__name__}"
                )
            if not field.check(value):
                raise BadInput(
                    f"--config.{section}.{name}={value!r}: must be {field.allowed}"
                )
    size, stages = config.dataset.image_size, config.networks.stages
    if size >> stages == 0:
        raise BadInput(
            f"--config.networks.stages={stages}: must be at most "
            f"{size.bit_length() - 1} for images of {size} pixels"
        )
    run = config.run
    for name in ("sample_every", "evaluate_every", "save_every"):
        if run[name] % run.log_every:
            raise BadInput(
                f"--config.run.{name}={run[name]}: must be a multiple of "
                f"run.log_every={run.log_every}"
            )
    for section in ("inner", "outer"):
        build.optimizer(config, section)


def check_resume(config, stored):
    """Checks that a config may continue the run whose config is `stored`.

    Returns:
      The changes, one line each.

    Raises:
      BadInput: names the first field that differs but must not.
    """
    changes = []
    for section, of_section in SCHEMA.items():
        for name in of_section:
            path = f"{section}.{name}"
            new, old = config[section][name], stored[section][name]
            moved = path == "dataset.name" and splits.is_moved(old, new)
            if new != old and path in FIXED and not moved:
                raise BadInput(
                    f"--config.{path}={new!r}: the run being resumed has {old!r}; "
                    "keep it, or start a new run with another --workdir"
                )
            if new != old:
                changes.append(f"{path} from {old!r} to {new!r}")
    return changes
