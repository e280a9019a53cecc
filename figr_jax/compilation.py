"""How programs are compiled, and where what was traced and compiled is kept."""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import pathlib
import zlib

import jax
from jax import export, lax

from figr_jax import files


def keep_programs():
    """Keeps programs in the user's cache folder, for the next start.

    To be called before anything is compiled. JAX's own settings, as the environment
    variable `JAX_COMPILATION_CACHE_DIR` (empty: keep nothing), come first. Without a
    folder to write to, nothing is kept.
    """
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # Many of our programs are small, and each adds to the wait.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = os.path.join(os.path.expanduser(home), "figr_jax", "compiled")
    with contextlib.suppress(OSError):
        os.makedirs(folder, exist_ok=True)
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", folder)


# Measured on two CPU cores (experiments/speed/NOTES.md): YNNPACK's convolutions run on
# one core, XLA's own on all; more optimisation of what LLVM compiles takes longer and
# gives slower programs; and XLA drops the barriers of `networks.convolution` before it
# fuses, by a pass of this name.
_ON_CPU = {
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT,"
    "LIBRARY_FUSION_TYPE_REDUCE",
    "xla_backend_optimization_level": 1,
    "xla_disable_hlo_passes": "cse_barrier_expander",
}


@functools.cache
def options():
    """Options for `jax.jit`'s `compiler_options`, those that this XLA knows."""
    if jax.default_backend() != "cpu":
        return {}
    return {name: value for name, value in _ON_CPU.items() if _is_known(name, value)}


def _is_known(name, value):
    # An XLA that must drop barriers fails here too.
    nothing = jax.jit(lax.optimization_barrier, compiler_options={name: value})
    try:
        nothing.lower(0).compile()
    except jax.errors.JaxRuntimeError:  # of another version
        return False
    return True


def keep_trace(function, arguments, result, name):
    """A function of arrays as it was traced before, if it was: see `keep_programs`.

    JAX finds a compiled program again by its operations, so that each start traces the
    function in Python first.

    Args:
      function: what is to be compiled.
      arguments: its arguments, a tuple of pytrees of arrays or their shapes.
      result: a pytree of the structure of its result.
      name: JSON-able, everything that the function depends on but this code.

    Returns:
      A function of the same arguments, to be compiled.
    """
    folder = jax.config.jax_compilation_cache_dir
    if not folder or not jax.config.jax_enable_compilation_cache:
        return function
    leaves, structure = jax.tree.flatten(arguments)

    def of_leaves(*leaves):
        return jax.tree.leaves(function(*structure.unflatten(leaves)))

    kinds = [(x.shape, str(x.dtype)) for x in leaves]
    key = json.dumps([name, kinds, str(structure), describe_code()])
    digest = hashlib.sha256(key.encode()).hexdigest()
    path = pathlib.Path(folder, f"traced-{digest}")
    try:
        traced = export.deserialize(bytearray(zlib.decompress(path.read_bytes())))
    except (OSError, zlib.error):  # none yet, or damaged
        traced = export.export(jax.jit(of_leaves))(*leaves)
        with contextlib.suppress(OSError):
            files.write_bytes(path, zlib.compress(traced.serialize()))

    def call(*arguments):
        leaves = traced.call(*jax.tree.leaves(arguments))
        return jax.tree.structure(result).unflatten(leaves)

    return call


@functools.cache
def describe_code():
    """What decides how a function is traced: code, libraries, settings. JSON-able."""
    sources = pathlib.Path(__file__).parent.rglob("*.py")
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources)))
    libraries = [importlib.metadata.version(x) for x in ("jax", "flax", "optax")]
    settings = jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision
    return code.hexdigest(), libraries, settings, jax.default_backend()
