"""Toy problems, deterministic given `rng`."""

import gzip
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from refgrow import neurons, validation
from refgrow.networks import Shallow

# Shares are divided by hand (1/3, ...): their sum may be off by rounding, not by more.
SHARE_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Problem:
    """Data, and the network they come from where there is one.

    Attributes
    ----------
    X : (n, d_in)
    Y : (n, p), or labels (n,)
    teacher : Shallow or None
    """

    X: np.ndarray
    Y: np.ndarray
    teacher: Shallow | None = None


def rbf_teacher(
    *,
    samples: int = 1000,
    teachers: int = 15,
    deviation: float = 3.0**0.5,
    half_width: float = 5.0,
    rng: Any = None,
) -> Problem:
    """S2D's toy regression: a sum of bumps with Gaussian parameters, without noise.

    Parameters
    ----------
    samples : int
        n; X is uniform on [-half_width, half_width].
    teachers : int
        The number of bumps in the target.
    deviation : float
        Standard deviation of the target's parameters. The paper's N(0, 3) is sqrt(3) when 3 is
        the variance, 3 when it is the standard deviation; it does not say which.
    half_width : float
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    Problem
        X (n, 1), Y (n, 1).

    Raises
    ------
    ValueError, TypeError
        For arguments out of range.

    Source: S2D appendix B.1.
    """
    samples = validation.as_integer(samples, "samples", at_least=1)
    teachers = validation.as_integer(teachers, "teachers", at_least=1)
    deviation = validation.as_scalar(deviation, "deviation", above=0)
    half_width = validation.as_scalar(half_width, "half_width", above=0)
    rng = validation.as_rng(rng)
    theta = rng.normal(scale=deviation, size=(teachers, 3))
    X = rng.uniform(-half_width, half_width, size=(samples, 1))
    teacher = Shallow(theta, np.ones(teachers), neurons.bump)
    return Problem(X, teacher(X), teacher)


def ridge_teacher(
    *,
    samples: int = 1000,
    teachers: int = 15,
    deviation: float = 3.0**0.5,
    half_width: float = 5.0,
    rng: Any = None,
) -> Problem:
    """S3D's toy regression: the targets of `rbf_teacher`, by neurons that have two parameters.

    f(x) = sum_i w_i exp(-(theta_i1 x + theta_i2)^2 / 2) with w_i and theta_i from N(0, 3): what is
    the amplitude theta_i3 of a bump in S2D is here the output weight. The same `rng` draws the same
    inputs and targets as there.

    Parameters and Raises as for `rbf_teacher`.

    Returns
    -------
    Problem
        X (n, 2), its second column ones, as ``neurons.ridge("gaussian")`` needs it; Y (n, 1).

    Source: S3D section 4.1, eq 14 (S3D-Eq-14).
    """
    bumps = rbf_teacher(
        samples=samples, teachers=teachers, deviation=deviation, half_width=half_width, rng=rng
    )
    theta = cast(Shallow, bumps.teacher).theta
    teacher = Shallow(theta[:, :2], theta[:, 2], neurons.ridge("gaussian"))
    X = np.column_stack([bumps.X, np.ones(len(bumps.X))])
    return Problem(X, teacher(X), teacher)


def gaussian_mixture(
    *,
    samples: int = 1000,
    shares: Sequence[float] = (0.2, 0.3, 0.5),
    means: Sequence[float] = (-2.0, 1.0, 3.0),
    deviation: float = 0.5**0.5,
    rng: Any = None,
) -> np.ndarray:
    """Points on the line from a Gaussian mixture: what S2D's appendix B.5 compresses.

    Parameters
    ----------
    samples : int
    shares : sequence of float
        Non-negative, sum to one.
    means : sequence of float
        As many as there are shares.
    deviation : float
        Standard deviation of every component. The paper's N(mean, 0.5) is sqrt(0.5) when 0.5 is
        the variance, 0.5 when it is the standard deviation; it does not say which.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    (samples, 1)

    Raises
    ------
    ValueError, TypeError
        For arguments out of range, and shares that do not sum to one.

    Source: S2D appendix B.5.
    """
    samples = validation.as_integer(samples, "samples", at_least=1)
    share = validation.as_array(shares, "shares", ("k",))
    mean = validation.as_array(means, "means", share.shape, hint="One mean a share.")
    deviation = validation.as_scalar(deviation, "deviation", above=0)
    if (share < 0).any() or abs(share.sum() - 1) > SHARE_TOLERANCE:
        raise ValueError(f"shares must be non-negative and sum to 1; got {share.tolist()}.")
    rng = validation.as_rng(rng)
    component = rng.choice(len(share), size=samples, p=share / share.sum())
    return (mean[component] + deviation * rng.normal(size=samples))[:, None]


def xor(*, samples: int = 200, deviation: float = 0.15, rng: Any = None) -> Problem:
    """Two classes on the corners of a square, equal at opposite corners, with Gaussian noise.

    Parameters
    ----------
    samples : int
    deviation : float
        Standard deviation of the noise around the corners (+-1, +-1); 0 for the corners alone.
    rng : None, int, SeedSequence or Generator

    Returns
    -------
    Problem
        X (n, 2), labels Y (n,) for the loss "logistic": 1 where the corner's coordinates differ
        in sign, 0 elsewhere.

    Raises
    ------
    ValueError, TypeError
        For arguments out of range.
    """
    samples = validation.as_integer(samples, "samples", at_least=1)
    deviation = validation.as_scalar(deviation, "deviation", at_least=0)
    rng = validation.as_rng(rng)
    corners = rng.choice([-1.0, 1.0], size=(samples, 2))
    labels = (corners[:, 0] * corners[:, 1] < 0).astype(np.int64)
    return Problem(corners + deviation * rng.normal(size=(samples, 2)), labels)


def mnist(
    folder: "str | os.PathLike[str]", *, samples: int | None = None, part: str = "train"
) -> Problem:
    """Handwritten digits from the four files that MNIST and its relatives come in.

    Nothing is drawn and nothing is downloaded: the first samples, in the order of the files.

    Parameters
    ----------
    folder : str or path
        With `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, the same with `t10k`; as they
        are or compressed (.gz).
    samples : int, optional
        Only the first so many.
    part : "train" or "t10k"

    Returns
    -------
    Problem
        X (n, pixels), row by row, black 0 and white 1; labels Y (n,).

    Raises
    ------
    FileNotFoundError
        Where a file is in the folder neither as it is nor compressed.
    ValueError, TypeError
        For arguments out of range, files of another format, too few samples.
    """
    part = validation.one_of(part, "part", ("train", "t10k"))
    if samples is not None:
        samples = validation.as_integer(samples, "samples", at_least=1)
    pixels = _idx(Path(folder), f"{part}-images-idx3-ubyte", 3, samples)
    labels = _idx(Path(folder), f"{part}-labels-idx1-ubyte", 1, samples)
    if len(pixels) != len(labels):
        raise ValueError(f"{folder} has {len(pixels)} images, but {len(labels)} labels.")
    return Problem(pixels.reshape(len(pixels), -1) / 255.0, labels.astype(np.int64))


def _idx(folder: Path, name: str, dimensions: int, samples: int | None) -> np.ndarray:
    """An array of bytes: two zeros, 8 for bytes, the dimensions, each size as four bytes, data."""
    plain, packed = folder / name, folder / f"{name}.gz"
    if not plain.exists() and not packed.exists():
        raise FileNotFoundError(f"there is neither {name} nor {name}.gz in {folder}.")
    with plain.open("rb") if plain.exists() else gzip.open(packed) as file:
        head = np.frombuffer(file.read(4 + 4 * dimensions), np.uint8)
        if len(head) < 4 + 4 * dimensions or head[:4].tolist() != [0, 0, 8, dimensions]:
            raise ValueError(f"{name} in {folder} is no IDX file of {dimensions}-D bytes.")
        shape = np.frombuffer(head[4:].tobytes(), ">u4").astype(int)
        if samples is not None:
            if samples > shape[0]:
                raise ValueError(
                    f"samples must be at most {shape[0]}, what {name} has; got {samples}."
                )
            shape[0] = samples
        found = np.frombuffer(file.read(int(shape.prod())), np.uint8)
    if len(found) < shape.prod():
        raise ValueError(f"{name} in {folder} ends early, after {len(found)} bytes of data.")
    return found.reshape(shape)
