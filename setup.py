"""Installs figr_jax: `pip install .` (CPU) or `pip install .[cuda13]` (GPU)."""

import pathlib
import re

import setuptools

HERE = pathlib.Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.*)"$', (HERE / "figr_jax/__init__.py").read_text(), re.M
)[1]

setuptools.setup(
    name="figr_jax",
    version=VERSION,
    description="Few-shot image generation with Reptile (FIGR) in JAX",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=[
        *setuptools.find_packages(include=["figr_jax", "figr_jax.*"]),
        "figr_jax.configs",
    ],
    package_dir={"figr_jax.configs": "configs"},
    package_data={
        "figr_jax.data.builders": ["*/checksums.tsv"],
        "figr_jax.studio": ["page/*"],
        "figr_jax": ["weights/*", "weights/kinds/*"],
        "figr_jax.evaluation": ["embeddings/*"],
    },
    install_requires=[
        "jax>=0.10",
        "flax>=0.12",
        "optax>=0.2.8",
        "numpy",
        "tensorflow-datasets>=4.9.10",
        "orbax-checkpoint>=0.12,<0.13",
        "absl-py",
        "ml-collections",
        "protobuf",  # comes with TFDS, whose files it reads; its errors are ours
        "array_record",  # the TFDS file format that needs no TensorFlow
        "importlib_resources",  # TFDS imports it and does not declare it
        "beautifulsoup4",  # with it, TFDS can download from Google Drive (figr8)
        "Pillow>=10.1",  # decodes, resizes and writes images
        "matplotlib",  # carries the free fonts of the glyphs data set, renders outlines
        "contourpy",  # comes with matplotlib; finds the outlines of SVG files
        "flatbuffers",  # jax.export writes and reads exported models with it
        "scipy",  # comes with jax; ndimage finds the ink of drawings
        "tqdm",  # comes with TFDS; progress bars
    ],
    extras_require={
        "cuda12": ["jax[cuda12]"],
        "cuda13": ["jax[cuda13]"],
        # hypothesis makes hostile input; with xdist the suite uses both of two cores.
        # prdc and vendi-score are their authors' own, to hold our metrics against.
        # The studio is tested through its server (httpx) and in a browser (playwright,
        # with the system's Chromium); psutil sees whether memory grows.
        "test": [
            *("pytest", "ruff", "hypothesis", "pytest-xdist", "prdc", "vendi-score"),
            *("httpx", "playwright", "psutil"),
        ],
        # A typed JSON API with its OpenAPI, its server, and a tracer of colour images.
        "studio": ["fastapi>=0.135", "uvicorn", "vtracer"],
        # Parity test, benchmark and import of the published code's weights only. Pinned
        # to the release that parity was measured with.
        "torch": ["torch==2.13.0"],
        "icons": ["resvg-py"],  # draws the icons of the data set open_icons
        "tensorboard": ["tensorboardX"],  # writes events without TensorFlow
    },
)
