"""The configs that ship with the package, by name."""

import pathlib
import runpy

from figr_jax.common.errors import BadInput

_PACKAGE = pathlib.Path(__file__).parent


def find():
    """Finds the configs; returns a dict of name to path."""
    is_checkout = (_PACKAGE.parent / "pyproject.toml").exists()
    folder = (_PACKAGE.parent if is_checkout else _PACKAGE) / "configs"
    return {path.stem: str(path) for path in folder.glob("*.py")}


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
