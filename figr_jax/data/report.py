"""Report on a data set: the paper's figures 1 and 2, and counts."""

import json

import numpy as np

from figr_jax.common import pictures, provenance
from figr_jax.data import images

FILES = ("figure1.png", "figure2.png", "counts.json")
_CLASSES, _COLUMNS = 120, 12  # of figure 1, as in the paper


def render(bank, metadata):
    """Renders figures 1 and 2 of the paper for a data set, and counts its images.

    Figure 1: the first image of each of 120 classes, evenly spaced among the sorted
    names, next to as many images of the largest class. Figure 2: the relative
    cumulative density of the number of images of a class.

    Args:
      bank: `bank.Bank`.
      metadata: metadata of its builder, with `skipped` images and `dropped` classes.

    Returns:
      A dict of each of `FILES` to bytes.
    """
    counts = np.diff(bank.class_start)
    filled = np.flatnonzero(counts)
    shown = filled[
        np.linspace(0, len(filled) - 1, min(_CLASSES, len(filled)), dtype=int)
    ]
    largest = int(counts.argmax())
    overview = pictures.side_by_side(
        [
            pictures.sheet(bank.images[bank.class_start[shown]], _COLUMNS),
            pictures.sheet(bank.class_images(largest)[:_CLASSES], _COLUMNS),
        ]
    )
    density = pictures.cumulative_density(
        counts[filled],
        "images of a class",
        f"{bank.dataset}: {len(bank.images):,} images, {len(filled):,} classes",
    )
    numbers = {
        "dataset": bank.dataset,
        "version": bank.version,
        "images": len(bank.images),
        "classes": len(filled),
        "skipped_images": metadata.get("skipped", 0),
        "dropped_classes": metadata.get("dropped", []),
        "images_per_class": {
            "least": int(counts[filled].min()),
            "median": float(np.median(counts[filled])),
            "mean": float(counts[filled].mean()),
            "most": int(counts.max()),
        },
        "figure1_classes": [bank.names[i] for i in shown],
        "figure1_largest": bank.names[largest],
        "counts": dict(zip(bank.names, counts.tolist(), strict=True)),
        **provenance.describe(),
    }
    return {
        "figure1.png": images.encode(overview),
        "figure2.png": images.encode(density),
        "counts.json": (json.dumps(numbers, indent=2) + "\n").encode(),
    }
