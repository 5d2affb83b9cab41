"""Compilation by assignment: plain functions beside the compiled ones, with a cache or without."""

import ctypes
import os
import pickle
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import numba
import numpy as np
import pytest

from refgrow import _jit, kernels, toy_training

INTERPRETED = bool(numba.config.DISABLE_JIT)


def test_plain_fastmath_is_refused():
    with pytest.raises(ValueError, match="fastmath must be a set of flags; got True"):
        _jit.jit(lambda x: x, fastmath=True)


@pytest.mark.parametrize(
    "module, name",
    [(kernels, "_products"), (toy_training, "_sweep"), (toy_training, "_descend")],
)
def test_compiled_functions_keep_the_plain_one_and_travel_to_processes(module, name):
    compiled, plain = getattr(module, name), getattr(module, f"{name}_py")
    copy = pickle.loads(pickle.dumps(compiled))
    if INTERPRETED:
        assert compiled is plain is copy
    else:
        assert compiled.py_func is plain
        out, again = np.empty((3, 4)), np.empty((3, 4))
        features = np.arange(8.0).reshape(2, 4)
        if name == "_products":
            assert compiled(features, 0, 0, out) == copy(features, 0, 0, again)
            np.testing.assert_array_equal(out, again)


READ_ONLY = """
import os, sys
package = sys.argv[1]
import numba, numpy as np
from refgrow import kernels
warm = kernels.weighted_grams(np.eye(3), np.eye(3))
for name in [n for n in sys.modules if n.split(".")[0] == "refgrow"]:
    del sys.modules[name]
sys.path.insert(0, package)
from refgrow import kernels
assert kernels.__file__.startswith(package), kernels.__file__
assert not os.access(os.path.dirname(kernels.__file__), os.W_OK)
assert kernels._products.stats.cache_path is None, "a cache was found: nothing is shown"
S = kernels.weighted_grams(np.eye(3), np.eye(3))
assert (S == warm).all() and kernels._products.signatures
print("computed without a cache")
"""


def obey_permissions():
    """Before the child starts: permissions bind it even where the tests run as root.

    A process of root writes anywhere by one capability of Linux, and loses it for good when it is
    dropped from the bounding set; prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE) says that.
    """
    if os.geteuid() == 0 and ctypes.CDLL(None).prctl(24, 1, 0, 0, 0) != 0:
        raise OSError("the capability to write anywhere could not be dropped")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_read_only_installation_without_a_home_directory_works():
    folder = Path(tempfile.mkdtemp(prefix="refgrow-read-only-"))
    try:
        package = folder / "refgrow"
        source = Path(kernels.__file__).parent
        shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
        for path in [folder, package, *package.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        unset = ("NUMBA_DISABLE_JIT", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
        environment = {k: v for k, v in os.environ.items() if k not in unset}
        environment |= {"PYTHONPATH": str(source.parent), "PYTHONDONTWRITEBYTECODE": "1"}
        environment["HOME"] = str(folder / "nowhere")  # does not exist and cannot be made
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", READ_ONLY, str(folder)],
            env=environment, capture_output=True, text=True, timeout=300, check=False,
            preexec_fn=obey_permissions,
        )  # fmt: skip
    finally:
        for path in [folder, folder / "refgrow"]:
            path.chmod(stat.S_IRWXU)
        shutil.rmtree(folder)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "computed without a cache"
    assert run.stderr == ""


@pytest.mark.skipif(INTERPRETED, reason="nothing is compiled")
def test_an_ordinary_installation_keeps_its_compiled_code():
    assert kernels._products.stats.cache_path is not None
