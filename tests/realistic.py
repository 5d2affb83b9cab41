"""Data of the size that the convergence bounds are asked about: Gaussian, and digits where given.

Digits are read from the MNIST files in the folder REFGROW_DATA; without it, Gaussian data only.
"""

import gzip
import os
from pathlib import Path

import numpy as np

IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


def realistic_problems():
    """(name, X, Y): 100 Gaussian samples in 20 dimensions; 100 digits, even or odd."""
    rng = np.random.default_rng(0)
    yield "Gaussian", rng.normal(size=(100, 20)), rng.normal(size=(100, 1))
    folder = os.environ.get("REFGROW_DATA")
    if folder and all((Path(folder) / name).exists() for name in (IMAGES, LABELS)):
        X = _bytes(Path(folder) / IMAGES, 16, 100 * 784).reshape(100, 784) / 255.0
        labels = _bytes(Path(folder) / LABELS, 8, 100)
        yield "digits", X[:, X.any(axis=0)], np.where(labels % 2, -1.0, 1.0)[:, None]


def _bytes(path, header, count):
    with gzip.open(path) as file:
        return np.frombuffer(file.read(header + count)[header:], np.uint8)
