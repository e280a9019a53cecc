"""Low-data accuracy: classifiers trained on few real images and generated ones.

python experiments/low_data.py --checkpoint=omniglot-32

figr_jax/evaluation/low_data.py describes the protocol and its differences from the
published one. To match the published number of unseen classes, train with
--config.dataset.heldout=212; images here are 32x32, there 28x28. Prints one JSON line.
"""

import json

from absl import flags

from figr_jax import command, compilation, errors, generation, provenance
from figr_jax.data import bank as banks
from figr_jax.evaluation import low_data

# By data set, for 5, 10 and 15 real images; from the MatchingGAN and F2GAN papers.
PUBLISHED = {
    "omniglot": {
        "no augmentation": (0.6622, 0.8187, 0.8331),
        "traditional augmentation": (0.6732, 0.8228, 0.8395),
        "FIGR": (0.6923, 0.8312, 0.8489),
        "F2GAN": (0.9193, 0.9248, 0.9712),
    },
    "emnist": {
        "no augmentation": (0.8364, 0.8864, 0.9114),
        "traditional augmentation": (0.8462, 0.8963, 0.9207),
        "FIGR": (0.8591, 0.9008, 0.9218),
        "F2GAN": (0.9318, 0.9701, 0.9782),
    },
}

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "A run's folder, or the name of shipped weights.", required=True
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of prepared data sets.")
_GENERATED = flags.DEFINE_integer(
    "generated", 512, "Images to generate per class.", lower_bound=16
)
_STEPS = flags.DEFINE_integer(
    "steps", 3000, "Training steps of each classifier.", lower_bound=1
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Seed of all sampling.", lower_bound=0, upper_bound=2**31 - 1
)


def main():
    """Measures and prints the accuracy."""
    compilation.keep_programs()
    model = generation.load(_CHECKPOINT.value)
    dataset = model.config.dataset
    if dataset.name == "none":
        raise errors.BadInput(
            f"--checkpoint={_CHECKPOINT.value}: has no data set; give another one"
        )
    size = dataset.image_size, dataset.channels
    bank = banks.load(dataset.name, *size, _DATA_DIR.value)
    options = low_data.Options(
        generated=_GENERATED.value, steps=_STEPS.value, seed=_SEED.value
    )
    classes, accuracy = low_data.measure(model, bank, options)
    name = bank.dataset.removeprefix("tfds:").partition("/")[0]
    result = {
        "accuracy": accuracy,
        "dataset": dict(dataset),
        "unseen_classes": classes,
        "options": options._asdict(),
        "choices": low_data.CHOICES,
        "published": PUBLISHED.get(name),
        **provenance.describe(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    command.run(main)
