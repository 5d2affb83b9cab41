"""Problems: toys, digits drawn from fonts, and digits from files; all deterministic given `rng`."""

import functools
import gzip
import hashlib
import math
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from refgrow import neurons, validation
from refgrow.networks import Shallow

# Shares are divided by hand (1/3, ...): their sum may be off by rounding, not by more.
SHARE_TOLERANCE = 1e-9

# SHA-256 of MNIST's files, decompressed.
MNIST_CHECKSUMS = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

# The fonts with digits that matplotlib ships, all versions since 3.8.
DIGIT_FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique",
    "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic",
    "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta",
    "cmr10", "cmb10", "cmss10", "cmtt10", "cmmi10",
)  # fmt: skip

# Images like MNIST's: 28 pixels a side, digits 20 pixels high.
SIDE, HEIGHT = 28, 20
# How far rendered digits vary at difficulty 1, uniformly: radians, slope, log of a scale, pixels.
ROTATION, SHEAR, LOG_SCALE, SHIFT = math.radians(20), 0.25, 0.2, 2.5
# Pixels that the outline moves inwards or outwards at most; hairlines must survive the first.
THINNER, BOLDER = 0.3, 1.2
# The widest edge has 1 + BLUR pixels, the faintest digit brightness 1 - DIM; NOISE is a deviation.
BLUR, DIM, NOISE = 1.0, 0.4, 0.12
# Distances to the outlines are kept on a grid of GRID points a side: half a pixel apart for a
# digit 20 pixels high, and MARGIN heights around it, beyond what bold and blurred edges reach.
GRID, MARGIN = 57, 0.2
IMAGES_AT_ONCE = 500  # bounds the memory


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


def rendered_digits(*, samples: int = 1000, difficulty: float = 1.0, rng: Any = None) -> Problem:
    """Images of 0 to 9 from the fonts that ship with matplotlib, distorted: digits without files.

    Every image has a digit and one of 21 fonts, uniformly drawn; it is rotated, sheared, stretched
    and shifted; its strokes are made thinner or bolder, its edges blurred, its brightness lowered,
    and Gaussian noise is added. Grey values are rounded to 256 levels, like MNIST's: thus rounding
    errors of other machines do not show, and the same `rng` gives the same images wherever the
    versions of NumPy and matplotlib are the same.

    At difficulty 1, and with 10 000 images to learn from, a linear model labels less than 85 % of
    new images correctly, a network with hidden layers of 300 and 100 neurons more than 95 %.

    Parameters
    ----------
    samples : int
    difficulty : float
        The factor, at most 2, of all distortions and of the noise; at 0 an image is one of the 210
        digits as the fonts have them, scaled to the same height and in the middle.
    rng : None, int, SeedSequence or Generator
        Images to test on need another than those to learn from, for instance both of
        ``np.random.SeedSequence(0).spawn(2)``.

    Returns
    -------
    Problem
        X (n, 784), row by row, black 0 and white 1; labels Y (n,).

    Raises
    ------
    ImportError
        Where matplotlib is not installed.
    ValueError, TypeError
        For arguments out of range.
    """
    samples = validation.as_integer(samples, "samples", at_least=1)
    difficulty = validation.as_scalar(difficulty, "difficulty", at_least=0, at_most=2)
    rng = validation.as_rng(rng)
    labels = rng.integers(10, size=samples)
    which = 10 * rng.integers(len(DIGIT_FONTS), size=samples) + labels
    distortion = difficulty * rng.uniform(-1, 1, size=(samples, 9))
    X = np.concatenate(
        [
            _distorted(which[k : k + IMAGES_AT_ONCE], distortion[k : k + IMAGES_AT_ONCE])
            for k in range(0, samples, IMAGES_AT_ONCE)
        ]
    )
    X += difficulty * NOISE * rng.normal(size=X.shape)
    return Problem(np.rint(255 * X.clip(0, 1)) / 255, labels)


def mnist(
    folder: "str | os.PathLike[str] | None" = None,
    *,
    samples: int | None = None,
    part: str = "train",
    verify: bool = True,
) -> Problem:
    """Handwritten digits from the four files that MNIST and its relatives come in.

    Nothing is drawn and nothing is downloaded: the first samples, in the order of the files.

    Parameters
    ----------
    folder : str or path, optional
        With `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, the same with `t10k`; as they
        are or compressed (.gz). By default what the environment variable REFGROW_DATA says.
    samples : int, optional
        Only the first so many.
    part : "train" or "t10k"
    verify : bool
        Whether the files must be those of MNIST, by their checksums. Leave it out for others of the
        same format, such as Fashion-MNIST; they are then read if they are whole.

    Returns
    -------
    Problem
        X (n, pixels), row by row, black 0 and white 1; labels Y (n,).

    Raises
    ------
    FileNotFoundError
        Where a file is in the folder neither as it is nor compressed.
    ValueError, TypeError
        For arguments out of range, no folder, files that are damaged, incomplete, of another format
        or not MNIST's, too few samples.
    """
    part = validation.one_of(part, "part", ("train", "t10k"))
    if samples is not None:
        samples = validation.as_integer(samples, "samples", at_least=1)
    verify = validation.as_bool(verify, "verify")
    folder = _folder(folder)
    if not folder:
        raise ValueError(
            "folder is not given, and the environment variable REFGROW_DATA is not set. Name the "
            "folder of MNIST's four files, or use rendered_digits, which needs no files."
        )
    if Path(folder).is_file():
        raise ValueError(f"folder must be the folder that holds the files; got the file {folder}.")
    pixels = _idx(Path(folder), f"{part}-images-idx3-ubyte", 3, verify)
    labels = _idx(Path(folder), f"{part}-labels-idx1-ubyte", 1, verify)
    if len(pixels) != len(labels):
        raise ValueError(f"{folder} has {len(pixels)} images, but {len(labels)} labels.")
    if samples is not None and samples > len(pixels):
        raise ValueError(f"samples must be at most {len(pixels)}, all there are; got {samples}.")
    pixels, labels = pixels[:samples], labels[:samples]
    return Problem(pixels.reshape(len(pixels), -1) / 255.0, labels.astype(np.int64))


def _folder(folder: Any) -> str | None:
    """The folder given, or the environment's where none is."""
    if folder is None or folder == "":
        return os.environ.get("REFGROW_DATA")
    if isinstance(folder, (str, os.PathLike)) and isinstance(os.fspath(folder), str):
        return os.fspath(folder)
    raise TypeError(f"folder must be a str or a path; got {folder!r}.")


def _distorted(which: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Images (n, 784) without noise: brightness falls with the distance to the moved outline."""
    turn, shear, wider, higher, right, up, stroke, blur, dim = distortion.T[:, :, None]
    line = np.arange(SIDE) - (SIDE - 1) / 2
    column, row = (c.reshape(1, -1) for c in np.meshgrid(line, -line))
    # From the pixel back to the glyph, whose coordinates go from -1/2 to 1/2.
    x, y = column - SHIFT * right, row - SHIFT * up
    cosine, sine = np.cos(ROTATION * turn), np.sin(ROTATION * turn)
    x, y = cosine * x + sine * y, cosine * y - sine * x
    width, height = HEIGHT * np.exp(LOG_SCALE * wider), HEIGHT * np.exp(LOG_SCALE * higher)
    distance = _interpolated(_outlines(), which, (x - SHEAR * shear * y) / width, y / height)
    distance *= np.sqrt(width * height)  # in pixels; of the mean scale where the two differ
    moved = np.where(stroke > 0, BOLDER, THINNER) * stroke - distance
    bright = 1 - DIM * np.abs(dim)
    return bright * (0.5 + moved / (1 + BLUR * np.abs(blur))).clip(0, 1)


def _interpolated(tables: np.ndarray, which: np.ndarray, x: np.ndarray, y: np.ndarray) -> Any:
    """Bilinear values (n, q) of n of the tables at q points each; beyond the edge as on it."""
    last = GRID - 1
    x, y = ((c / (1 + 2 * MARGIN) + 0.5).clip(0, 1) * last for c in (x, y))
    column, row = (np.minimum(c.astype(np.int64), last - 1) for c in (x, y))
    x -= column
    y -= row
    at = (which[:, None] * GRID + row) * GRID + column
    flat = tables.ravel()
    below = (1 - x) * flat[at] + x * flat[at + 1]
    above = (1 - x) * flat[at + GRID] + x * flat[at + GRID + 1]
    return (1 - y) * below + y * above


@functools.cache
def _outlines() -> np.ndarray:
    """`_distance_to` ten digits in every font, (210, GRID, GRID)."""
    try:
        from matplotlib import get_data_path
        from matplotlib.font_manager import FontProperties
        from matplotlib.textpath import TextPath
    except ImportError:
        raise ImportError(
            "rendered_digits draws from the fonts of matplotlib, which is not installed. "
            'Run `python -m pip install "refgrow[figures]"`.'
        ) from None
    # Curves become polygons that are off by 0.1 units or so: a pixel's fortieth at this size.
    size = 2 * HEIGHT
    tables = []
    for name in DIGIT_FONTS:
        font = FontProperties(fname=Path(get_data_path(), "fonts", "ttf", f"{name}.ttf"))
        for digit in "0123456789":
            polygons = TextPath((0, 0), digit, size=size, prop=font).to_polygons()
            tables.append(_distance_to([np.asarray(polygon) for polygon in polygons]))
    return np.array(tables)


def _distance_to(polygons: Sequence[np.ndarray]) -> np.ndarray:
    """The distance to an outline of unit height, < 0 inside, on the grid; row 0 is the lowest."""
    corners = np.concatenate(polygons)
    low, high = corners.min(axis=0), corners.max(axis=0)
    loops = [(loop - (low + high) / 2) / (high - low).max() for loop in polygons]
    start = np.concatenate([loop[:-1] for loop in loops])
    end = np.concatenate([loop[1:] for loop in loops])
    sides = (start != end).any(axis=1)
    (ax, ay), (bx, by) = start[sides].T, end[sides].T
    sx, sy = bx - ax, by - ay
    line = np.linspace(-0.5 - MARGIN, 0.5 + MARGIN, GRID)[:, None]
    x, y = (line - ax)[None], (line - ay)[:, None]  # from each side's start: rows, columns, sides
    # The nearest point of a side is at the share t of its length.
    along, length2 = sx * x + sy * y, sx * sx + sy * sy
    t = (along / length2).clip(0, 1)
    square = (x * x + y * y + t * (t * length2 - 2 * along)).min(axis=2)
    # The winding number counts the sides that cross the point's height on its right.
    left = sx * y - sy * x
    upwards, downwards = (
        ((ay <= line) & (line < by))[:, None],
        ((by <= line) & (line < ay))[:, None],
    )
    winding = (upwards & (left > 0)).sum(axis=2) - (downwards & (left < 0)).sum(axis=2)
    return np.where(winding == 0, 1, -1) * np.sqrt(square.clip(0, None))


def _idx(folder: Path, name: str, dimensions: int, verify: bool) -> np.ndarray:
    """An array of bytes: two zeros, 8 for bytes, the dimensions, each size as four bytes, data."""
    plain, packed = folder / name, folder / f"{name}.gz"
    path = plain if plain.is_file() else packed
    if not path.is_file():
        raise FileNotFoundError(f"there is neither a file {name} nor {name}.gz in {folder}.")
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":  # by content, as some programs decompress and keep the name
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} is damaged or incomplete: {error}") from None
    head = 4 + 4 * dimensions
    if len(content) < head or content[:4] != bytes([0, 0, 8, dimensions]):
        raise ValueError(
            f"{path} is no IDX file of {dimensions}-D bytes; it begins with {content[:8]!r}."
        )
    shape = [int.from_bytes(content[k : k + 4], "big") for k in range(4, head, 4)]
    if len(content) - head != math.prod(shape) or 0 in shape:
        raise ValueError(
            f"{path} is damaged or incomplete: its header says {math.prod(shape)} bytes of data, "
            f"it has {len(content) - head}."
        )
    if verify and hashlib.sha256(content).hexdigest() != MNIST_CHECKSUMS[name]:
        raise ValueError(
            f"{path} is not MNIST's file: its checksum is another. Use verify=False for other "
            "images of the same format."
        )
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)
