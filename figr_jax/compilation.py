"""How programs are compiled, and where what was compiled is kept."""

import contextlib
import functools
import os

import jax


def keep_programs():
    """Keeps compiled programs in the user's cache folder, for the next start.

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
# one core, XLA's own on all; and more optimisation of what LLVM compiles takes longer
# and gives slower programs.
_ON_CPU = {
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT,"
    "LIBRARY_FUSION_TYPE_REDUCE",
    "xla_backend_optimization_level": 1,
}


@functools.cache
def options():
    """Options for `jax.jit`'s `compiler_options`, those that this XLA knows."""
    if jax.default_backend() != "cpu":
        return {}
    return {name: value for name, value in _ON_CPU.items() if _is_known(name, value)}


def _is_known(name, value):
    nothing = jax.jit(lambda: 0, compiler_options={name: value})
    try:
        nothing.lower().compile()
    except jax.errors.JaxRuntimeError:  # of another version
        return False
    return True
