"""Omniglot: 1,623 characters of 50 alphabets, 20 drawings each (Lake et al. 2015)."""

import collections

import tensorflow_datasets as tfds

from figr_jax.common.errors import BadInput
from figr_jax.data.builders import base, originals, sources

_ADDRESS = "https://github.com/brendenlake/omniglot/raw/master/python/"
_CHARACTERS = {"images_background.zip": 964, "images_evaluation.zip": 659}
_DRAWINGS = 20  # of each character


class Omniglot(base.ImageClasses, skip_registration=True):
    """Builder of both official sets of Omniglot, sorted by alphabet and character.

    A class is named `<alphabet>/<characterNN>`. Its attributes are its `alphabet` and
    its `set`, which is `background` or `evaluation`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    IMAGE_SIZE = (105, 105)

    def _info(self):
        return self._make_info(
            description="Handwritten characters of 50 alphabets, 105x105, black on "
            "white, each drawn by 20 people.",
            homepage="https://github.com/brendenlake/omniglot",
            citation="@article{lake2015human, title={Human-level concept learning "
            "through probabilistic program induction}, author={Lake, Brenden M and "
            "Salakhutdinov, Ruslan and Tenenbaum, Joshua B}, journal={Science}, "
            "volume={350}, year={2015}}",
            license="MIT",
        )

    def _collect(self, dl_manager):
        urls = {name: _ADDRESS + name for name in _CHARACTERS}
        paths = originals.find(urls, self.manual_dir, dl_manager)
        source = sources.Zips(paths)
        classes = [_character(name) for name in source.names]
        sets = {_character(name): name.split("/")[0] for name in source.names}
        for path, (archive, count) in zip(paths, _CHARACTERS.items(), strict=True):
            _check_counts(path, archive.removesuffix(".zip"), count, source.names)
        collection = base.group(classes, source.names, source)
        return collection._replace(
            attributes={
                "alphabet": [name.split("/")[0] for name in collection.names],
                "set": [sets[name].split("_")[1] for name in collection.names],
            }
        )


def _character(name):
    """Returns the character of a path.

    `images_background/Greek/character01/0394_01.png` is of `Greek/character01`.
    """
    return "/".join(name.split("/")[1:3])


def _check_counts(path, folder, count, names):
    drawings = collections.Counter(
        _character(name) for name in names if name.startswith(f"{folder}/")
    )
    if len(drawings) != count or set(drawings.values()) != {_DRAWINGS}:
        raise BadInput(
            f"{path}: {drawings.total():,} drawings of {len(drawings):,} characters in "
            f"{folder}/; must be {_DRAWINGS} of each of {count}"
        )
