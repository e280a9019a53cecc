"""FIGR-8: pictograms by concept (Clouatre and Demers 2019)."""

import collections
import pathlib

import tensorflow_datasets as tfds

from figr_jax.data.builders import base, originals, sources

_URL = (
    "https://drive.google.com/uc?export=download&id=10dF30Qqi9RdIUmET9fBhyeRN0hJmq7pO"
)
_ARCHIVE, _FOLDER = "Data.zip", "Data"


class Figr8(base.ImageClasses, skip_registration=True):
    """Builder of FIGR-8, from `Data.zip` or an unpacked `Data/`.

    A class is the folder `<class>` of `Data/<class>/<id>-<size>.png`. Folders whose
    names differ in case or outer blanks only are one class: they hold different images
    of one concept.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MIN_IMAGES = 8  # what the published data set promises of each class

    def _info(self):
        return self._make_info(
            description="Pictograms by concept, black on white.",
            homepage="https://github.com/marcdemers/FIGR-8",
            citation="@article{clouatre2019figr, title={FIGR: Few-shot Image "
            "Generation with Reptile}, author={Clou{\\^a}tre, Louis and Demers, Marc}, "
            "journal={arXiv preprint arXiv:1901.02199}, year={2019}}",
            license="Mostly CC BY 3.0 US (Noun Project), each with its artist: see "
            "data.csv of the published data set. Not to be redistributed.",
        )

    def _collect(self, dl_manager):
        source = self._open(dl_manager)
        folders = [_class_folder(name) for name in source.names]
        images = collections.Counter(filter(None, folders))
        shown = {}  # of the spellings of a class, the one with the most images
        for folder in sorted(images, key=lambda folder: (images[folder], folder)):
            shown[_fold(folder)] = folder.strip()
        classes = [folder and _fold(folder) for folder in folders]
        if len(images) > len(shown):
            print(f"{len(images):,} folders are {len(shown):,} classes: case is folded")
        return base.group(classes, source.names, source, shown)

    def _open(self, dl_manager):
        if self.manual_dir:
            folder = pathlib.Path(self.manual_dir, _FOLDER)
            if folder.is_dir():
                return sources.Folder(folder)
        return sources.Zips(
            originals.find({_ARCHIVE: _URL}, self.manual_dir, dl_manager)
        )


def _class_folder(name):
    parts = name.rsplit("/", 2)
    return parts[-2] if len(parts) > 1 and parts[-2] != _FOLDER else None


def _fold(folder):
    return folder.strip().casefold()
