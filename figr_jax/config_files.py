"""The configs that ship with the package, by name."""

import pathlib
import runpy

from figr_jax.errors import BadInput

_PACKAGE = pathlib.Path(__file__).parent
_FOLDERS = _PACKAGE / "configs", _PACKAGE.parent / "configs"  # installed, a checkout


def find():
    """Finds the configs: a dict, name to path."""
    return {path.stem: str(path) for folder in _FOLDERS for path in folder.glob("*.py")}


def load(name):
    """Loads a config by name, such as `quickstart`.

    Returns:
      A config, see `config.default`.

    Raises:
      BadInput: if there is none of that name.
    """
    paths = find()
    if name not in paths:
        raise BadInput(f"config {name!r}: must be one of {', '.join(sorted(paths))}")
    return runpy.run_path(paths[name])["get_config"]()
