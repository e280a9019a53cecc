"""CIFAR-100 in colour, the paper's future work, with its values for FIGR-8.

python -m figr_jax.main --config=configs/cifar100.py --data_dir=DIR

Prepare the data once on a machine with TensorFlow: `tfds build cifar100
--file_format=array_record --data_dir=DIR`. All 600 images of a class are used, and 20
classes are held out. Time and result: not yet measured.
"""

from figr_jax import config as schema


def get_config():
    """Returns the defaults with the overrides of this file."""
    config = schema.default()
    config.dataset.update(name="tfds:cifar100", channels=3, heldout=20)
    config.run.meta_steps = 100_000
    return config
