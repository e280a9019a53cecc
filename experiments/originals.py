"""Images of prepared data sets as their original files have them."""

import functools
import io

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from figr_jax.data import datasets


@functools.cache
def _records(dataset):
    builder = datasets.prepare(dataset)
    decoders = {"image": tfds.decode.SkipDecoding()}
    splits = "+".join(builder.info.splits)
    return builder.as_data_source(split=splits, decoders=decoders)


def read(dataset, number):
    """Reads an image of a data set from its original file, as a PIL image."""
    return Image.open(io.BytesIO(_records(dataset)[int(number)]["image"]))


def find_number(bank, index, image):
    """Returns the index in the bank of an image of a class."""
    same = (bank.class_images(index) == image).all((1, 2, 3))
    if not same.any():
        raise ValueError(f"{bank.names[index]} has no such image")
    return bank.class_start[index] + int(np.argmax(same))
