"""The two frozen embeddings of a data set: shipped, cached, or trained once."""

import hashlib
import json
import pathlib

from figr_jax import conv4
from figr_jax.common.errors import BadInput, say, warn
from figr_jax.data import datasets
from figr_jax.evaluation import embedding_training

SHIPPED = pathlib.Path(__file__).parent / "embeddings"  # see ship_embeddings.py

_FORMAT = 2  # of what is cached; another one is trained again


def find_paths(bank, split, kind, seed=0):
    """Returns where an embedding is shipped and where it is cached, see `load`."""
    key = {
        "format": _FORMAT,
        "kind": kind,
        "seed": seed,
        "steps": embedding_training.STEPS[kind],
        "version": bank.version,
        "heldout": sorted(split.heldout),
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
    folder = pathlib.Path(bank.images.filename).parent
    name = f"{folder.name}-{kind}-{digest}.npz"
    dataset = bank.dataset.replace("/", "-")
    return SHIPPED / f"{dataset}-{name}", folder.with_name(name)


def load(bank, split, kind, seed=0):
    """Loads the embedding of a data set: shipped, cached, or trained now.

    Args:
      bank: `bank.Bank`.
      split: `splits.Split`; its held-out classes are not trained on.
      kind: a key of `embedding_training.STEPS`.
      seed: of every random draw.

    Returns:
      A `conv4.Embedding`.
    """
    training, heldout = split.indices(bank.names)
    paths = find_paths(bank, split, kind, seed)
    for path in paths:
        if stored := conv4.read(path):
            return stored
    variables = embedding_training.train(bank, training, kind, seed)
    steps = embedding_training.STEPS[kind]
    embedding = conv4.Embedding(variables, {"kind": kind, "seed": seed, "steps": steps})
    if kind == "prototypical":
        accuracy = embedding_training.accuracy(embedding, bank, heldout, seed)
        embedding.record["heldout_accuracy"] = accuracy
        ways = min(20, len(heldout))
        say(f"  {ways}-way 1-shot, {len(heldout)} held-out classes: {accuracy:.1%}")
    try:
        conv4.write(paths[1], embedding)
    except OSError as error:  # prepared data may be shared and read-only
        warn(f"the {kind} embedding is not kept: {error}")
    return embedding


def load_all(bank, split):
    """Loads the prototypical and the SimCLR embedding of a data set, see `load`.

    Raises:
      BadInput: if it is a mix: embeddings are of one data set.
    """
    names = datasets.parts(bank.dataset)
    if len(names) > 1:
        raise BadInput(
            f"{bank.dataset}: one data set at a time can be measured; give --dataset "
            f"one of {', '.join(names)}"
        )
    return [load(bank, split, kind) for kind in embedding_training.STEPS]
