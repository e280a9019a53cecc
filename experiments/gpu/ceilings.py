"""Peak rates of a device: a large matrix product and a large copy.

python experiments/gpu/ceilings.py --out=FILE.json
"""

import time

import jax
import numpy as np
from absl import flags
from jax import lax
from jax import numpy as jnp

from figr_jax.common import command, files, provenance

_OUT = flags.DEFINE_string("out", None, "JSON file to write.", required=True)
_SIZE = flags.DEFINE_integer("size", 8192, "Height and width of the matrices.")
_REPEATS = flags.DEFINE_integer(
    "repeats", 10, "Timed runs; the result is their median."
)

PRECISIONS = {
    "bfloat16": (jnp.bfloat16, lax.Precision.DEFAULT),
    "float32, default precision": (jnp.float32, lax.Precision.DEFAULT),
    "float32, highest precision": (jnp.float32, lax.Precision.HIGHEST),
}


def time_median(function, argument):
    """Measures the median seconds of a jitted function, after a warm-up run."""
    seconds = []
    for _ in range(_REPEATS.value + 1):
        begin = time.perf_counter()
        function(argument).block_until_ready()
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds[1:]))


def main():
    """Measures, prints and writes the rates."""
    size = _SIZE.value
    # Random values, because products of zeros run faster.
    matrix = jax.random.normal(jax.random.key(0), (size, size))
    result = {"size": size, "flop_per_second": {}}
    for name, (dtype, precision) in PRECISIONS.items():
        product = jax.jit(lambda a, p=precision: jnp.dot(a, a, precision=p))
        seconds = time_median(product, matrix.astype(dtype))
        result["flop_per_second"][name] = 2 * size**3 / seconds
        print(f"{name}: {2 * size**3 / seconds / 1e12:,.1f} TFLOP/s", flush=True)
    copied = jax.random.normal(jax.random.key(1), (8, size, size))
    seconds = time_median(jax.jit(lambda x: x + 1), copied)
    result["bytes_per_second"] = 2 * copied.nbytes / seconds  # read and written
    print(f"copy: {result['bytes_per_second'] / 1e12:,.2f} TB/s", flush=True)
    files.write_json(_OUT.value, result | provenance.describe())


if __name__ == "__main__":
    command.run(main)
