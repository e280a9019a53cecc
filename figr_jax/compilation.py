"""How programs are compiled, and where they are kept."""

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import pathlib

import jax
from jax import lax


def in_float32(function):
    """Decorates a function that computes in float32, whatever `jax_enable_x64` says."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        with jax.enable_x64(False):
            return function(*args, **kwargs)

    return call


def keep_programs():
    """Keeps programs in the user's cache folder, for the next start of a command.

    To be called before anything is compiled. JAX's own settings, as the environment
    variable `JAX_COMPILATION_CACHE_DIR` (empty: keep nothing), come first. Without a
    folder to write to, nothing is kept. Commands compute in float32.
    """
    jax.config.update("jax_enable_x64", False)
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


# Read now, not later, when it may differ from what was imported.
_SOURCES = sorted(pathlib.Path(__file__).parent.rglob("*.py"))
_CODE = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()
_LIBRARIES = [
    f"{name} {importlib.metadata.version(name)}"
    for name in ("jax", "jaxlib", "flax", "optax")
]


def describe_code():
    """Returns the source hash, library versions and JAX settings, JSON-able."""
    settings = [
        f"{name}={value}"
        for name, value in sorted(jax.config.values.items())
        if "cache" not in name
    ]
    return _CODE, _LIBRARIES, settings, jax.default_backend()
