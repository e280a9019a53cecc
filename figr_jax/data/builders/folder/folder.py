"""A user's folder, with one subfolder of images per class."""

import hashlib
import pathlib
import re

import tensorflow_datasets as tfds

from figr_jax.common.errors import BadInput, name_some, warn
from figr_jax.data import images
from figr_jax.data.builders import base, sources


class Folder(base.ImageClasses, skip_registration=True):
    """Builder of the data set `PATH/<class>/<image>`."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    COLOUR = True
    # Existing checkpoints store such digests.
    DIGESTS_COLOUR = False

    def __init__(self, *, path, **kwargs):
        """Sets the folder; its prepared data is in a folder named after it.

        Raises:
          BadInput: if there is no such folder.
        """
        self._path = pathlib.Path(path).expanduser().resolve()
        if not path or not self._path.is_dir():
            raise BadInput(f"folder:{path}: no such folder")
        # Two folders of the same name must not share their prepared data.
        digest = hashlib.sha256(str(self._path).encode()).hexdigest()[:8]
        name = f"{re.sub('[^A-Za-z0-9]+', '_', self._path.name)}_{digest}"
        config = tfds.core.BuilderConfig(name=name, description=str(self._path))
        super().__init__(config=config, **kwargs)

    def _info(self):
        return self._make_info(description=f"The images in {self._path}.")

    def _collect(self, dl_manager):
        del dl_manager  # Nothing to download.
        source = sources.Folder(self._path)
        ignored = source.ignored
        others = f"{len(ignored)} files are not images ({name_some(ignored)})"
        if not source.names:
            raise BadInput(
                f"{self.title}: no images in the folders of this folder"
                f"{'; ' + others if ignored else ''}; give PATH/<class>/<image> "
                f"of {images.FORMATS}"
            )
        if ignored:
            warn(f"{self.title}: {others}")
        self.info.metadata["listing"] = source.digest
        classes = [name.split("/")[0] for name in source.names]
        return base.group(classes, source.names, source)

    @property
    def title(self):
        """Name of the data set in messages."""
        return f"folder:{self._path}"

    @property
    def is_stale(self):
        """True if the folder has changed since it was prepared."""
        return self.info.metadata.get("listing") != sources.Folder(self._path).digest
