"""Several workers of one study on this machine, each a process with its share of the threads."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.synchronize import Event

from rlvit.errors import RlvitError
from rlvit.home import Home
from rlvit.runs.together import passing_on, start_deaf
from rlvit.tune.hearing import Hearing

LOOK_SECONDS = 0.2  # between looks at the workers
CODES = {"done": 0, "stopped": 0, "interrupted": 130}


@dataclass(frozen=True)
class Job:
    """What a worker process needs to know."""

    home: Home
    study: str
    number: int
    parent: int  # pid: workers of a killed command end after their trial
    threads: int
    storage: str | None
    data_root: str | None
    max_failures: int
    until: float | None  # monotonic: no trial is begun after it


def run_pool(jobs: list[Job], say: Callable[[str], None]) -> int:
    """Let workers do jobs, and return 0, or the exit code of the first that did not end well.

    A worker that is killed is not replaced: the others take its trial over. Ctrl-C and SIGTERM
    reach each of them twice over: as a signal, and by an event that they look at.
    """
    context = multiprocessing.get_context("spawn")
    stopping = context.Event()
    heard: list[int] = []
    workers = [context.Process(target=enter, args=(job, stopping)) for job in jobs]
    with passing_on(lambda: [one for one in workers if one.pid is not None], heard.append):
        for worker in workers:
            start_deaf(worker)
        said: set[int] = set()
        while any(worker.is_alive() for worker in workers):
            time.sleep(LOOK_SECONDS)
            if heard:
                stopping.set()
            for job, worker in zip(jobs, workers, strict=True):
                code = worker.exitcode
                if code is not None and code < 0 and job.number not in said:
                    said.add(job.number)
                    name = signal.Signals(-code).name
                    say(f"worker {job.number} was ended by {name}; another takes its trial over")
    codes = [worker.exitcode or 0 for worker in workers]
    if heard:
        return CODES["interrupted"]
    if all(code < 0 for code in codes):
        return 1
    return next((code for code in codes if code > 0), 0)


def enter(job: Job, stopping: Event) -> None:
    """Be a worker: the main function of its process, in which signals are held back until now."""
    os.setpgid(0, 0)  # a terminal's Ctrl-C reaches the command alone, which passes it on once

    def say(text: str) -> None:
        sys.stderr.write(f"[{job.number}] {text}\n")
        sys.stderr.flush()

    with Hearing(say, stopping.is_set) as hearing:
        sys.exit(_work(job, hearing, say))


def _work(job: Job, hearing: Hearing, say: Callable[[str], None]) -> int:
    from rlvit.catalog import build_catalog
    from rlvit.manager import create_plugin_manager
    from rlvit.registry.studies import StudyStore
    from rlvit.runs.display import Silent
    from rlvit.tune.study import open_study
    from rlvit.tune.worker import Worker

    store: StudyStore | None = None
    try:
        store = StudyStore(job.home.registry_url)
        opened = open_study(
            build_catalog(create_plugin_manager()),
            job.home,
            store,
            job.study,
            where=job.storage,
            threads=job.threads,
            data_root=job.data_root,
        )
        worker = Worker(
            opened,
            say,
            Silent,
            lambda: os.getppid() == job.parent,
            hearing=hearing,
            max_failures=job.max_failures,
            until=job.until,
        )
        return CODES[worker.work()]
    except RlvitError as problem:
        say(f"Error: {problem}")
        return problem.exit_code
    except KeyboardInterrupt:
        return 130
    finally:
        if store is not None:
            store.close()
