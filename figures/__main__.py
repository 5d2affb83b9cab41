"""The command ``python -m figures``.

Exit codes: 0 done; 1 a figure failed (the others were made); 2 the command cannot be carried out,
nothing was computed; 3 a claim that its committed record calls reproduced no longer is;
130 interrupted (running it again resumes).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from figures.catalogue import Script, UsageError, find, listing, select

if TYPE_CHECKING:
    from concurrent.futures import Executor

HERE = Path(__file__).resolve().parent
MOST_JOBS = 16  # a process takes some 200 MB


def main(
    argv: Sequence[str] | None = None,
    *,
    scripts: Path = HERE,
    docs: Path = HERE.parent / "docs",
    executor: Executor | None = None,
) -> int:
    """Run the command and return its exit code. `executor` replaces the processes of figures."""
    pin_threads()
    arguments = parser().parse_args(argv)
    try:
        found = find(scripts)
        if arguments.what == ["list"]:
            print(listing(found))
            return 0
        chosen = select(found, arguments.what)
        check(chosen, arguments)
        return make_all(chosen, arguments, docs, executor)
    except UsageError as error:
        print(f"figures: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. Finished cells are kept: the same command resumes.", file=sys.stderr)
        return 130


def check(chosen: list[Script], arguments: argparse.Namespace) -> None:
    """Refuse, before anything is computed, what could not be finished."""
    for library in ("matplotlib", "tqdm"):
        if importlib.util.find_spec(library) is None:
            hint = 'Run `python -m pip install -e ".[figures]"`.'
            raise UsageError(f"{library} is not installed. {hint}")
    if arguments.data is not None:
        if not arguments.data.is_dir():
            raise UsageError(f"--data {arguments.data} is not a folder.")
        os.environ["REFGROW_DATA"] = str(arguments.data.resolve())
    if arguments.full and not os.environ.get("REFGROW_DATA"):
        print(
            "figures: no --data FOLDER with the files of MNIST: digits are rendered from fonts.",
            file=sys.stderr,
        )
    for name in (".cells", *(script.id for script in chosen)):
        folder = arguments.out / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            reason = f"cannot write to {folder} ({error.strerror})."
            raise UsageError(f"{reason} Choose another folder with --out.") from None


def make_all(
    chosen: list[Script], arguments: argparse.Namespace, docs: Path, executor: Executor | None
) -> int:
    """Make the chosen figures one after another; a figure that fails does not stop the others."""
    from figures import runner  # late: `list` and usage errors load neither NumPy nor matplotlib
    from figures.cells import Run
    from figures.workers import CellError, Workers

    bench = chosen[0].is_bench
    workers = Workers(1, None) if bench else Workers(arguments.jobs, executor)
    made, failed, lost = [], [], []
    try:
        for script in chosen:
            run = Run(script.id, workers, None if bench else arguments.out / ".cells")
            try:
                one = runner.make(script, run, full=arguments.full)
                runner.write(one, arguments.out / script.id)
                lost += runner.lost(one, docs)
                if arguments.write_docs:
                    runner.write_docs(one, docs)
                made.append(one)
                seconds = one.record["measured"]["seconds"]
                print(f"{script.id}: {seconds:.1f} s, {arguments.out / script.id}", flush=True)
            except Exception as error:
                failed.append(script.id)
                text = str(error) if isinstance(error, CellError) else traceback.format_exc()
                print(f"{script.id}: FAILED: {text}", file=sys.stderr, flush=True)
        workers.close()
    except KeyboardInterrupt:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second Ctrl-C
        workers.close(kill=True)
        signal.signal(signal.SIGINT, before)
        raise
    if made:
        print(f"\n{runner.report(made)}")
    for claim in lost:
        print(f"figures: reproduced in the committed record, no longer: {claim}", file=sys.stderr)
    if failed:
        print(f"figures: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 3 if lost else 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m figures", description="Regenerate the papers' figures, judge their claims."
    )
    add = parser.add_argument
    add(
        "what",
        nargs="*",
        metavar="ID",
        help="id of a figure or statement; or list, all (default), bench",
    )
    add("--full", action="store_true", help="the paper's sizes, and the grid of open settings")
    add("--jobs", type=_jobs, default=_default_jobs(), help="processes (default: %(default)s)")
    add("--out", type=Path, default=HERE / "out", help="folder to write (default: figures/out)")
    add("--data", type=Path, help="folder of data files, passed on as REFGROW_DATA")
    add("--write-docs", action="store_true", help="also renew docs/records and docs/gallery")
    return parser


def pin_threads() -> None:
    """One thread for every library, here and in processes started; cells are the parallelism."""
    for library in ("OPENBLAS_NUM", "OMP_NUM", "MKL_NUM", "NUMBA_NUM", "VECLIB_MAXIMUM"):
        os.environ[f"{library}_THREADS"] = "1"
    os.environ["MPLBACKEND"] = "Agg"


def _jobs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"must be a whole number of at least 1; got {text}. Leave --jobs out for one per core."
        )
    return int(text)


def _default_jobs() -> int:
    if hasattr(os, "sched_getaffinity"):  # what this process may use, not what the machine has
        return min(len(os.sched_getaffinity(0)), MOST_JOBS)
    return min(os.cpu_count() or 1, MOST_JOBS)


if __name__ == "__main__":
    sys.exit(main())
