"""What a data set looks like: the paper's figures 1 and 2, and its counts."""

import numpy as np

from figr_jax import files, pictures, provenance

_CLASSES, _COLUMNS = 120, 12  # of figure 1, as in the paper


def write(bank, metadata, folder):
    """Writes `figure1.png`, `figure2.png` and `counts.json`.

    Figure 1: the first image of each of 120 classes, evenly spaced among the sorted
    names, and beside them as many images of the largest class. Figure 2: the relative
    cumulative density of the number of images of a class.

    Args:
      bank: `bank.Bank`.
      metadata: of its builder: what was `skipped` and `dropped` while preparing.
      folder: `pathlib.Path` to write to.
    """
    counts = np.diff(bank.class_start)
    filled = np.flatnonzero(counts)
    shown = filled[
        np.linspace(0, len(filled) - 1, min(_CLASSES, len(filled)), dtype=int)
    ]
    largest = int(counts.argmax())
    pictures.save(
        folder / "figure1.png",
        pictures.side_by_side(
            [
                pictures.sheet(bank.images[bank.class_start[shown]], _COLUMNS),
                pictures.sheet(bank.class_images(largest)[:_CLASSES], _COLUMNS),
            ]
        ),
    )
    pictures.save(
        folder / "figure2.png",
        pictures.cumulative_density(
            counts[filled],
            "images of a class",
            f"{bank.dataset}: {len(bank.images):,} images, {len(filled):,} classes",
        ),
    )
    files.write_json(
        folder / "counts.json",
        {
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
        },
    )
