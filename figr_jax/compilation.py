"""How programs are compiled, and where they are kept."""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import pathlib
import pickle
import platform
import threading
import uuid
import zlib

import jax
from jax import lax
from jax.experimental import serialize_executable

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


_PROGRAMS = {}  # of this process, by digest
_LOCK = threading.Lock()


def keep(function, arguments, name):
    """A function, compiled once: for this process, and for later ones as well.

    JAX finds a compiled program again by its operations, so that each start traces and
    lowers the function in Python first. Here it is known by its name, in the folder of
    `keep_programs`.

    Args:
      function: of pytrees of arrays.
      arguments: what it is to be called with, or their shapes; a tuple.
      name: JSON-able, everything that the program depends on but the shapes of its
        arguments, the code of this package and JAX's settings.

    Returns:
      `jax.stages.Compiled`, for the first local device.
    """
    leaves, structure = jax.tree.flatten(arguments)
    kinds = [(x.shape, str(x.dtype)) for x in leaves]
    key = [name, kinds, str(structure), describe_code(), _describe_machine()]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    if digest not in _PROGRAMS:
        with _LOCK:  # one thread compiles what several want
            if digest not in _PROGRAMS:
                _PROGRAMS[digest] = _make(digest, function, arguments)
    return _PROGRAMS[digest]


def _make(digest, function, arguments):
    folder = jax.config.jax_compilation_cache_dir
    if not folder or not jax.config.jax_enable_compilation_cache:
        return _compile(function, arguments)
    path = pathlib.Path(folder, f"program-{digest}")
    if not path.exists() and not os.access(folder, os.W_OK):
        return _compile(function, arguments)  # JAX's own cache may have it
    return _read(path) or _write(path, function, arguments)


def _compile(function, arguments):
    # Of the first device also where another is JAX's default or has the arguments.
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), arguments
    )
    function = jax.jit(function, compiler_options=options())
    return function.lower(*shapes).compile()


def _read(path):
    """A program that `_write` wrote; None if there is none, or it cannot be used."""
    try:
        stored = pickle.loads(zlib.decompress(path.read_bytes()))
        return serialize_executable.deserialize_and_load(
            *stored, execution_devices=jax.local_devices()[:1]
        )
    except Exception:  # what is not as it was written raises many kinds
        return None


def _write(path, function, arguments):
    # JAX's own cache may hold this program, but what comes out of it cannot be kept: it
    # is written and read without an error, and lacks its functions when it is called.
    # That cache goes by the name too, so a new one makes sure that XLA compiles.
    def program(*arguments):
        return function(*arguments)

    program.__name__ = f"{function.__name__}_{uuid.uuid4().hex}"
    compiled = _compile(program, arguments)
    # Not every back end can, and a disk may be full: then it is not kept.
    with contextlib.suppress(OSError, ValueError, NotImplementedError, RuntimeError):
        stored = pickle.dumps(serialize_executable.serialize(compiled))
        files.write_bytes(path, zlib.compress(stored, 1))
    return compiled


@functools.cache
def _describe_machine():
    """What a program depends on once it is traced. JSON-able."""
    device = jax.local_devices()[0]
    version = device.client.platform_version
    processor = platform.processor()
    with contextlib.suppress(OSError):  # Linux says which instructions it has
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        known = {line for line in lines if line.startswith(("flags", "Features"))}
        processor = sorted(known)
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count()
    flags = os.environ.get("XLA_FLAGS")
    return str(device), device.device_kind, version, processor, cores, flags


# Read now, not later, when it may differ from what was imported.
_SOURCES = sorted(pathlib.Path(__file__).parent.rglob("*.py"))
_CODE = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()
_LIBRARIES = [
    f"{name} {importlib.metadata.version(name)}"
    for name in ("jax", "jaxlib", "flax", "optax")
]


def describe_code():
    """What decides what a function becomes: code, libraries, settings. JSON-able."""
    settings = [
        f"{name}={value}"
        for name, value in sorted(jax.config.values.items())
        if "cache" not in name
    ]
    return _CODE, _LIBRARIES, settings, jax.default_backend()
