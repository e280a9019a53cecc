"""Conversion of the embeddings of a model's data sets to shipped files.

python experiments/ship_embeddings.py --checkpoint=sketch-32

Loads or trains both embeddings of each data set of the checkpoint, and writes them in
float16 to the folder that `evaluate` searches first. A first report of the shipped
weights then trains nothing. For other splits or image sizes, `evaluate` trains the
embeddings once.
"""

import numpy as np
from absl import flags

from figr_jax import conv4, generation
from figr_jax.common import command, compilation
from figr_jax.data import bank as banks
from figr_jax.data import datasets
from figr_jax.evaluation import embedding, embedding_training

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "sketch-32", "A run's folder, or the name of shipped weights."
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of prepared data sets.")


def main():
    """Loads or trains the embeddings, writes them."""
    compilation.keep_programs()
    model = generation.load(_CHECKPOINT.value)
    config = model.config.dataset
    embedding.SHIPPED.mkdir(exist_ok=True)
    for name in datasets.parts(config.name):
        bank = banks.load(name, config.image_size, config.channels, _DATA_DIR.value)
        split = model.split(bank)
        for kind in embedding_training.STEPS:
            path, _ = embedding.find_paths(bank, split, kind)
            conv4.write(path, embedding.load(bank, split, kind), np.float16)
            print(f"wrote {path.name}", flush=True)


if __name__ == "__main__":
    command.run(main)
