"""Digits: what the rendered ones look like, how hard they are, and what is wrong with files."""

import gzip
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from refgrow import data, networks, train

# Counts of classes: five standard deviations of a count.
DEVIATIONS = 5
# The closest of matplotlib's own pictures of the digits, where both smooth the edges differently.
ALIKE = 0.97

rendered = partial(data.rendered_digits, samples=100)


def test_the_same_seed_gives_the_same_digits_and_another_others():
    first, again, other = (rendered(rng=seed) for seed in (3, np.random.SeedSequence(3), 4))
    np.testing.assert_array_equal(first.X, again.X)
    np.testing.assert_array_equal(first.Y, again.Y)
    rng = np.random.default_rng(3)
    np.testing.assert_array_equal(rendered(rng=rng).X, first.X)
    for another in (other, rendered(rng=rng)):
        assert not np.array_equal(another.Y, first.Y)
        assert not (another.X[:, None] == first.X).all(axis=2).any()


def test_another_process_renders_the_same_digits():
    code = (
        "import sys; from refgrow import data; "
        "sys.stdout.buffer.write(data.rendered_digits(samples=20, rng=3).X.tobytes())"
    )
    theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert theirs == data.rendered_digits(samples=20, rng=3).X.tobytes()


@pytest.mark.parametrize("difficulty", [0, 1, 2])
def test_digits_have_the_size_and_the_grey_levels_of_mnist(difficulty):
    # One more than a whole number of those made at once.
    problem = data.rendered_digits(
        samples=data.IMAGES_AT_ONCE + 1, difficulty=difficulty, rng=np.random.default_rng(1)
    )
    assert problem.X.shape == (data.IMAGES_AT_ONCE + 1, 784) and problem.X.dtype == np.float64
    assert problem.Y.shape == (data.IMAGES_AT_ONCE + 1,) and problem.Y.dtype == np.int64
    assert problem.X.min() == 0 and 0.9 < problem.X.max() <= 1
    np.testing.assert_array_equal(np.rint(problem.X * 255) / 255, problem.X)
    assert (problem.X.max(axis=1) > 0.2).all()  # something is drawn in each of them
    assert problem.teacher is None


def test_all_digits_and_all_fonts_are_drawn_equally_often():
    n, fonts = 5000, len(data.DIGIT_FONTS)
    plain = data.rendered_digits(samples=n, difficulty=0, rng=2)
    every, drawn = np.unique(plain.X, axis=0, return_counts=True)
    # The zeros, eights and nines of different fonts are still different; so are all others.
    assert len(every) == 10 * fonts
    for counts in (np.bincount(plain.Y), drawn):
        mean = n / len(counts)
        assert np.abs(counts - mean).max() < DEVIATIONS * np.sqrt(mean)


def centre(X):
    """Of mass, in pixels: to the right and downwards."""
    images = X.reshape(-1, 28, 28)
    weights = images.sum(axis=(1, 2))
    return np.array([(images.sum(axis=k) * np.arange(28)).sum(axis=1) / weights for k in (1, 2)])


def slant(X):
    """How far the rows of an image are moved to the right, a row upwards."""
    images = X.reshape(-1, 28, 28) / X.sum(axis=1)[:, None, None]
    (right, down), line = centre(X)[:, :, None], np.arange(28)
    u, v = line - right, line - down
    mixed = np.einsum("nij,ni,nj->n", images, v, u)
    return -mixed / np.einsum("nij,ni->n", images, v * v)


def mass(X):
    return X.sum(axis=1)


def grey(X):
    return np.sum((X > 0) & (X < 1))


# What each distortion does to a hundred digits, alone: a measure of the plain digits and the
# distorted ones, and the numbers between which it lies.
ALONE = {
    "ROTATION": (lambda plain, X: np.abs(slant(X) - slant(plain)).max(), 0.25, 0.7),
    "SHEAR": (lambda plain, X: np.abs(slant(X) - slant(plain)).max(), 0.2, 0.3),
    "LOG_SCALE": (lambda plain, X: (mass(X) / mass(plain)).max(), 1.2, np.exp(0.4)),
    "SHIFT": (lambda plain, X: np.abs(centre(X) - centre(plain)).max(), 2.2, 2.55),
    "THINNER": (lambda plain, X: (mass(X) / mass(plain)).min(), 0.5, 0.95),
    "BOLDER": (lambda plain, X: (mass(X) / mass(plain)).max(), 1.5, 3.0),
    "BLUR": (lambda plain, X: grey(X) / grey(plain), 1.2, 3.0),
    "DIM": (lambda plain, X: X.max(axis=1).min(), 0.58, 0.66),
    # In the topmost row, which is black before; half of the noise is cut off.
    "NOISE": (lambda plain, X: np.sqrt(2 * np.mean(X[:, :28] ** 2)), 0.11, 0.13),
}


@pytest.mark.parametrize("name", ALONE)
def test_every_distortion_does_what_its_name_says(name, monkeypatch):
    for other in ALONE.keys() - {name}:
        monkeypatch.setattr(data, other, 0.0)
    plain, distorted = (rendered(difficulty=k, rng=6) for k in (0, 1))
    np.testing.assert_array_equal(plain.Y, distorted.Y)
    measure, low, high = ALONE[name]
    assert low < measure(plain.X, distorted.X) < high
    monkeypatch.setattr(data, name, 0.0)
    np.testing.assert_array_equal(rendered(difficulty=1, rng=6).X, plain.X)


def by_matplotlib():
    """All 210 digits as matplotlib draws them, 28 pixels a side, by the digit and the font."""
    from matplotlib import get_data_path
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    figure = Figure(figsize=(0.28, 0.28), dpi=100, facecolor="black")
    canvas = FigureCanvasAgg(figure)
    for digit in range(10):
        for name in data.DIGIT_FONTS:
            file = Path(get_data_path(), "fonts", "ttf", f"{name}.ttf")
            path = TextPath((0, 0), str(digit), size=100, prop=FontProperties(fname=file))
            box = path.get_extents()
            scale = data.HEIGHT / max(box.width, box.height)
            place = Affine2D().translate(-(box.x0 + box.x1) / 2, -(box.y0 + box.y1) / 2)
            patch = PathPatch(path, facecolor="white", linewidth=0)
            patch.set_transform(place.scale(scale).translate(14, 14))
            figure.add_artist(patch)
            canvas.draw()
            yield np.asarray(canvas.buffer_rgba())[..., 0].ravel() / 255
            patch.remove()


def test_plain_digits_are_those_that_matplotlib_draws():
    theirs = np.array(list(by_matplotlib()))
    ours = data.rendered_digits(samples=200, difficulty=0, rng=5)

    def nearest(X):
        likeness = np.corrcoef(X, theirs)[: len(X), len(X) :]
        return likeness.argmax(axis=1) // len(data.DIGIT_FONTS), likeness.max(axis=1)

    digits, likeness = nearest(ours.X)
    np.testing.assert_array_equal(digits, ours.Y)
    assert likeness.min() > ALIKE
    # Upside down, or in the mirror, they are others.
    for turned in (ours.X.reshape(-1, 28, 28)[:, ::-1], ours.X.reshape(-1, 28, 28)[:, :, ::-1]):
        assert (nearest(turned.reshape(-1, 784))[1] < ALIKE).mean() > 0.5


def square(half, centre=0.0, turn=1):
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])[::turn]
    return half * corners + centre


def test_the_distance_to_a_square_a_ring_and_two_squares_that_overlap():
    line = np.linspace(-0.5 - data.MARGIN, 0.5 + data.MARGIN, data.GRID)
    x, y = np.meshgrid(line, line)

    def to_square(half):
        out = np.hypot((abs(x) - half).clip(0, None), (abs(y) - half).clip(0, None))
        return np.where(out > 0, out, np.maximum(abs(x), abs(y)) - half)

    # Of any size and anywhere: what counts is the height.
    for polygons in ([square(0.5)], [square(20.0, centre=7.0)], [square(3.0, turn=-1)]):
        np.testing.assert_allclose(data._distance_to(polygons), to_square(0.5), rtol=0, atol=1e-8)
    # A contour that runs the other way cuts a hole; one that runs the same way does not.
    ring = np.maximum(to_square(0.5), -to_square(0.2))
    hole = data._distance_to([square(0.5), square(0.2, turn=-1)])
    np.testing.assert_allclose(hole, ring, rtol=0, atol=1e-8)
    filled = data._distance_to([square(0.5), square(0.2)])
    np.testing.assert_array_equal(filled <= 1e-8, to_square(0.5) <= 1e-8)
    assert (hole[np.abs(filled) > 1e-8] > 0).sum() > (filled > 1e-8).sum()


def linear_accuracy(learn, test, penalty=10.0):
    """Share of right labels of a linear model: least squares to one-hot targets, with a penalty."""
    A, B = (np.column_stack([problem.X, np.ones(len(problem.X))]) for problem in (learn, test))
    weights = np.linalg.solve(A.T @ A + penalty * np.eye(A.shape[1]), A.T @ np.eye(10)[learn.Y])
    return np.mean((B @ weights).argmax(axis=1) == test.Y)


@pytest.mark.compiled
def test_digits_are_too_hard_for_a_linear_model_and_not_for_a_hidden_layer():
    accuracy = {}
    for difficulty in (0.3, 1.0):
        learn, test = (
            data.rendered_digits(samples=3000, difficulty=difficulty, rng=seed)
            for seed in np.random.SeedSequence(7).spawn(2)
        )
        accuracy[difficulty] = max(linear_accuracy(learn, test, p) for p in (10.0, 100.0, 1000.0))
    assert accuracy[1.0] < 0.8 and accuracy[0.3] > 0.98
    rng = np.random.default_rng(8)
    layers = [rng.normal(size=(o, i + 1)) / np.sqrt(i) for i, o in ((784, 64), (64, 10))]
    network, _ = train.fit(
        networks.MLP(layers, "relu"), learn.X, learn.Y, "softmax_cross_entropy",
        learning_rate=0.003, steps=400, batch_size=100, rng=9,
    )  # fmt: skip
    assert np.mean(network(test.X).argmax(axis=1) == test.Y) > accuracy[1.0] + 0.05


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"samples": 0}, ValueError, "samples must be an integer >= 1"),
        ({"samples": 2.0}, TypeError, "samples must be an integer >= 1"),
        ({"difficulty": -0.1}, ValueError, "difficulty must be"),
        ({"difficulty": 2.1}, ValueError, "difficulty must be"),
        ({"difficulty": "1"}, TypeError, "difficulty must be"),
        ({"rng": "0"}, TypeError, "rng must be None, an int"),
    ],
)
def test_arguments_out_of_range(options, error, message):
    with pytest.raises(error, match=message):
        rendered(**options)


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    data._outlines.cache_clear()
    with pytest.raises(ImportError, match=r"matplotlib, which is not installed\. Run .*figures"):
        rendered(rng=0)


def written(folder, images, labels, part="train", packed=False):
    """The two files of a part, byte by byte as the format has them."""
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
        content = bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()
        path = folder / f"{part}-{name}-ubyte{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(content) if packed else content)
    return folder


IMAGES = np.arange(5 * 6).reshape(5, 2, 3) * 8 + 7
LABELS = np.array([3, 0, 9, 1, 3])
others = partial(data.mnist, verify=False)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("part", ["train", "t10k"])
def test_files_are_read_as_they_are_written(tmp_path, part, packed):
    written(tmp_path, IMAGES, LABELS, part, packed)
    problem = others(tmp_path, part=part)
    np.testing.assert_array_equal(problem.X, IMAGES.reshape(5, 6) / 255)
    np.testing.assert_array_equal(problem.Y, LABELS)
    assert problem.X.dtype == np.float64 and problem.Y.dtype == np.int64
    few = others(str(tmp_path), part=part, samples=2)
    np.testing.assert_array_equal(few.X, problem.X[:2])
    np.testing.assert_array_equal(few.Y, problem.Y[:2])


def test_a_name_may_say_compressed_of_what_is_not_and_the_reverse(tmp_path):
    written(tmp_path, IMAGES, LABELS)
    images = tmp_path / "train-images-idx3-ubyte"
    images.rename(tmp_path / f"{images.name}.gz")
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(gzip.compress(labels.read_bytes()))
    np.testing.assert_array_equal(others(tmp_path).X, IMAGES.reshape(5, 6) / 255)


def test_what_is_not_mnist_is_read_where_that_is_said(tmp_path):
    written(tmp_path, IMAGES, LABELS)
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte is not MNIST's.*verify=False"):
        data.mnist(tmp_path)
    with pytest.raises(TypeError, match="verify must be"):
        data.mnist(tmp_path, verify="no")
    assert len(others(tmp_path).X) == 5


def test_the_folder_is_that_of_the_environment_where_none_is_given(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    written(tmp_path / "data", IMAGES, LABELS)
    for content in (None, ""):
        if content is None:
            monkeypatch.delenv("REFGROW_DATA", raising=False)
        else:
            monkeypatch.setenv("REFGROW_DATA", content)
        with pytest.raises(ValueError, match=r"REFGROW_DATA is not set.*rendered_digits"):
            others()
    monkeypatch.setenv("REFGROW_DATA", str(tmp_path / "data"))
    np.testing.assert_array_equal(others().Y, LABELS)
    written(tmp_path, IMAGES, LABELS[::-1])
    np.testing.assert_array_equal(others(tmp_path).Y, LABELS[::-1])  # what is given comes first


@pytest.mark.parametrize("folder", [0, 3, b"data", False, ["data"]])
def test_a_folder_that_is_no_path_is_refused_by_name(monkeypatch, folder):
    monkeypatch.delenv("REFGROW_DATA", raising=False)
    with pytest.raises(TypeError, match="folder must be a str or a path; got"):
        others(folder)


def test_a_folder_with_the_name_of_a_file_is_not_read(tmp_path):
    name = "train-images-idx3-ubyte"
    written(tmp_path, IMAGES, LABELS)
    with pytest.raises(ValueError, match=f"folder must be the folder .* got the file .*{name}"):
        others(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(FileNotFoundError, match=f"neither a file {name} nor"):
        others(tmp_path)
    written(tmp_path, IMAGES, LABELS, packed=True)
    np.testing.assert_array_equal(others(tmp_path).Y, LABELS)  # the compressed one is beside


def test_the_error_says_which_argument_or_folder_is_wrong(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"neither a file train-images-idx3-ubyte nor .*\.gz in"
    ):
        others(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"in .*no-such-folder"):
        others(tmp_path / "no-such-folder")
    written(tmp_path, IMAGES, LABELS)
    with pytest.raises(FileNotFoundError, match="neither a file t10k-images"):
        others(tmp_path, part="t10k")
    with pytest.raises(ValueError, match=r"samples must be at most 5, .*; got 6"):
        others(tmp_path, samples=6)
    with pytest.raises(ValueError, match="samples must be an integer >= 1"):
        others(tmp_path, samples=0)
    with pytest.raises(ValueError, match=r"part must be one of t10k, train.*mean 'train'"):
        others(tmp_path, part="trian")
    written(tmp_path, IMAGES, LABELS[:4])
    with pytest.raises(ValueError, match="has 5 images, but 4 labels"):
        others(tmp_path)


HEAD = bytes([0, 0, 8, 3])


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda content: content[:-1], r"header says 30 bytes of data, it has 29"),
        (lambda content: content + b"!", r"header says 30 bytes of data, it has 31"),
        (lambda content: content[:15], "no IDX file of 3-D bytes"),
        (lambda content: b"", "no IDX file of 3-D bytes"),
        (lambda content: bytes([0, 0, 13, 3]) + content[4:], "no IDX file of 3-D bytes"),
        (lambda content: b"<!DOCTYPE html>" + content, "it begins with b'<!DOCTYP'"),
        (lambda content: HEAD + bytes(12), "header says 0 bytes of data, it has 0"),
        (lambda content: HEAD + b"\xff" * 12 + content[16:], "bytes of data, it has 30"),
        (lambda content: gzip.compress(content)[:-9], "or incomplete: Compressed file ended"),
        (lambda content: gzip.compress(content)[:-5] + b"12345", "damaged or incomplete"),
        (lambda content: gzip.compress(content)[:10] + b"\xff" * 20, "damaged or incomplete"),
        (lambda content: gzip.compress(content[:-1]), r"header says 30 bytes of data, it has 29"),
    ],
)  # fmt: skip
def test_a_file_that_is_damaged_or_foreign_is_named(tmp_path, change, message):
    images = written(tmp_path, IMAGES, LABELS) / "train-images-idx3-ubyte"
    images.write_bytes(change(images.read_bytes()))
    for verify in (False, True):
        with pytest.raises(ValueError, match=f"{images.name} is .*{message}"):
            data.mnist(tmp_path, verify=verify)


@pytest.mark.skipif(not os.environ.get("REFGROW_DATA"), reason="REFGROW_DATA names no folder")
@pytest.mark.parametrize("part, n", [("train", 60_000), ("t10k", 10_000)])
def test_the_digits_themselves(part, n):
    assert data.mnist(part=part, samples=1).X.shape == (1, 784)
    problem = data.mnist(os.environ["REFGROW_DATA"], part=part)
    assert problem.X.shape == (n, 784) and problem.X.min() == 0 and problem.X.max() == 1
    assert 0.1 < problem.X.mean() < 0.2
    counts = np.bincount(problem.Y)
    assert len(counts) == 10 and 0.08 * n < counts.min() < counts.max() < 0.12 * n


@pytest.mark.skipif(not os.environ.get("REFGROW_DATA"), reason="REFGROW_DATA names no folder")
def test_one_bit_of_all_the_digits_is_enough_for_another_checksum(tmp_path):
    part = "t10k"
    problem = data.mnist(part=part)
    pixels = np.rint(problem.X * 255).reshape(-1, 28, 28).astype(np.uint8)
    written(tmp_path, pixels, problem.Y, part)
    assert len(data.mnist(tmp_path, part=part, samples=9).X) == 9
    pixels[5000, 14, 14] ^= 1
    written(tmp_path, pixels, problem.Y, part)
    with pytest.raises(ValueError, match=f"{part}-images-idx3-ubyte is not MNIST's"):
        data.mnist(tmp_path, part=part, samples=9)
