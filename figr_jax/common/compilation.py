"""Compiler options and the compilation cache."""

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import pathlib

import jax
from jax import lax


def in_float32(function):
    """Decorates a function to compute in float32, whatever `jax_enable_x64` is."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        with jax.enable_x64(False):
            return function(*args, **kwargs)

    return call


def keep_programs():
    """Caches compiled programs in the user's cache folder, for later commands.

    Call it before anything is compiled. JAX's own settings take precedence, such as the
    environment variable `JAX_COMPILATION_CACHE_DIR` (empty: no cache). Without a
    writable folder there is no cache. Also disables 64-bit types.
    """
    jax.config.update("jax_enable_x64", False)
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # Many of our programs are small, but their compile times add up.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = os.path.join(os.path.expanduser(home), "figr_jax", "compiled")
    with contextlib.suppress(OSError):
        os.makedirs(folder, exist_ok=True)
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", folder)


# Measured on two CPU cores (experiments/speed/NOTES.md). YNNPACK's convolutions run on
# one core, XLA's own on all. A higher optimization level of LLVM compiles longer and
# gives slower programs. The disabled pass would drop the barriers of
# `networks.convolution` before XLA fuses.
_ON_CPU = {
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT,"
    "LIBRARY_FUSION_TYPE_REDUCE",
    "xla_backend_optimization_level": 1,
    "xla_disable_hlo_passes": "cse_barrier_expander",
}


@functools.cache
def options():
    """Returns the `compiler_options` for `jax.jit` that this XLA supports."""
    if jax.default_backend() != "cpu":
        return {}
    return {name: value for name, value in _ON_CPU.items() if _is_known(name, value)}


def _is_known(name, value):
    # Also fails on an XLA that has to drop barriers.
    nothing = jax.jit(lax.optimization_barrier, compiler_options={name: value})
    try:
        nothing.lower(0).compile()
    except jax.errors.JaxRuntimeError:  # another version of XLA
        return False
    return True


# Read at import: later, the files may differ from the imported code.
_SOURCES = sorted(pathlib.Path(__file__).parents[1].rglob("*.py"))
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
