"""FIGR-8: pictograms by concept (Clouatre and Demers 2019)."""

import collections
import pathlib
import unicodedata

import tensorflow_datasets as tfds

from figr_jax.common.errors import BadInput
from figr_jax.data.builders import base, originals, sources

_URL = (
    "https://drive.google.com/uc?export=download&id=10dF30Qqi9RdIUmET9fBhyeRN0hJmq7pO"
)
_ARCHIVE, _FOLDER = "Data.zip", "Data"


class Figr8(base.ImageClasses, skip_registration=True):
    """Builder of FIGR-8, from `Data.zip` or an unpacked `Data/`.

    A class is the folder `<class>` of `Data/<class>/<id>-<size>.png`. Folders whose
    names differ only in case (as Unicode folds it), in outer blanks or in how accents
    are encoded are one class: they hold different images of one concept.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MIN_IMAGES = 8  # minimum of each class in the published data set

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
        shown = {}  # for each class, its spelling with the most images
        for folder in sorted(images, key=lambda folder: (images[folder], folder)):
            shown[_fold(folder)] = folder.strip()
        classes = [folder and _fold(folder) for folder in folders]
        if len(images) > len(shown):
            print(f"{len(images):,} folders are {len(shown):,} classes: case ignored")
        return base.group(classes, source.names, source, shown)

    def _open(self, dl_manager):
        if self.manual_dir:
            archive, folder = (
                pathlib.Path(self.manual_dir, name) for name in (_ARCHIVE, _FOLDER)
            )
            if folder.is_dir():
                return sources.Folder(folder)
            if not archive.is_file():
                raise BadInput(
                    f"{self.manual_dir}: holds neither {_ARCHIVE} nor {_FOLDER}/ (the "
                    f"archive is at {_URL})"
                )
        return sources.Zips(
            originals.find({_ARCHIVE: _URL}, self.manual_dir, dl_manager)
        )


def _class_folder(name):
    """Returns the folder of a class, or None.

    `Data/bird/1-200.png`, also below other folders, is of `bird`.
    """
    folders = name.split("/")[:-1]
    if _FOLDER in folders:
        folders = folders[folders.index(_FOLDER) + 1 :]
    return folders[0] if len(folders) == 1 and folders[0].strip() else None


def _fold(folder):
    return unicodedata.normalize("NFC", folder.strip()).casefold()
