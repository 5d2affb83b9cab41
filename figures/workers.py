"""Where cells are computed: in processes, in this process, or in any executor one is given."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from typing import Any


class CellError(Exception):
    """A cell failed. The message names it, with its arguments, and carries its traceback."""


class Workers:
    """The executor of a whole run: processes, or this process when `jobs` is 1, unless given."""

    def __init__(self, jobs: int, executor: futures.Executor | None = None) -> None:
        self.jobs, self.given, self.started = jobs, executor, time.time()
        self.executor = executor or self._own()

    def _own(self) -> futures.Executor:
        return Inline() if self.jobs == 1 else Processes(self.jobs)

    def as_finished(
        self, function: Callable[..., Any], calls: Mapping[str, tuple[Any, ...]]
    ) -> Iterator[tuple[str, Any]]:
        """Yield (name, function(*arguments)) as calls finish, for calls = {name: arguments}.

        Few are handed out ahead, so that a failure ends it soon.

        Raises
        ------
        CellError
            A call raised an exception, or its process died.
        """
        ahead = 1 if isinstance(self.executor, Inline) else self.jobs + 1
        queue = iter(calls.items())
        active: dict[futures.Future[Any], str] = {}
        try:
            while True:
                for name, arguments in itertools.islice(queue, ahead - len(active)):
                    active[self.executor.submit(_outcome, function, arguments)] = name
                if not active:
                    return
                for future in futures.wait(active, return_when=futures.FIRST_COMPLETED).done:
                    result, error = future.result()
                    name = active.pop(future)
                    if error:
                        raise CellError(f"cell {name}:\n{error.rstrip()}")
                    yield name, result
        except futures.BrokenExecutor as broken:
            if self.given is None:
                self.executor = self._own()  # the next figure gets new processes
            names = "\n  ".join(active.values())
            raise CellError(f"a process died (out of memory?), in one of\n  {names}") from broken

    def close(self, *, kill: bool = False) -> None:
        """End our own executor; with `kill`, without waiting for the cells it is computing."""
        if self.given is None:
            if kill and isinstance(self.executor, Processes):
                self.executor.kill()
            self.executor.shutdown(wait=True, cancel_futures=True)


class Inline(futures.Executor):
    """Computes at once, in this process: for one job, for benchmarks, for a debugger."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        future: futures.Future[Any] = futures.Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Processes(futures.ProcessPoolExecutor):
    """Spawned processes that leave Ctrl-C to the parent, and never outlive it."""

    def __init__(self, jobs: int) -> None:
        self._others = set(multiprocessing.active_children())
        spawn = multiprocessing.get_context("spawn")
        super().__init__(jobs, mp_context=spawn, initializer=_die_with_parent)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        if not hasattr(signal, "pthread_sigmask"):  # Windows
            return super().submit(fn, *args, **kwargs)
        # Processes are born here and inherit the blocked signal, from their first line on.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def kill(self) -> None:
        for process in set(multiprocessing.active_children()) - self._others:
            process.terminate()


def _die_with_parent() -> None:
    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, str]:
    """(result, "") or (None, traceback): unlike some exceptions, a text always travels."""
    try:
        return function(*arguments), ""
    except (Exception, SystemExit):
        return None, traceback.format_exc()
