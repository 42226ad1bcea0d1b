"""Starting the processes of a run, by torch's own elastic launcher.

It runs the same command line again, once for each process, with the variables of torchrun in the
environment (see :func:`trm.runtime.process_group.process_group_from_env`); restarts all of them
where one dies; and passes on signals. What each process says is in ``RUN/logs``.
"""

import contextlib
import dataclasses
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.elastic.rendezvous import RendezvousError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from trm.errors import ConfigError, TrainingError, TrmError
from trm.runtime.worker import TOLD_BY_LAUNCHER, error_of
from trm.storage import storage_errors

#: How long a process may take to finish its step and save, once it was asked to stop. Before
#: torch 2.12 the launcher knows 30 seconds only.
_GRACE_S = 600


@dataclass(frozen=True)
class Machines:
    """Which processes to start here, and where those of other machines are met.

    Attributes:
        num_processes: on this machine.
        num_nodes: machines; with several, each runs the same command.
        node_rank: the number of this one, from 0.
        endpoint: HOST:PORT on the first one; left out where there is but one.
        max_restarts: how often to start all processes again after one has died.
    """

    num_processes: int = 1
    num_nodes: int = 1
    node_rank: int = 0
    endpoint: str | None = None
    max_restarts: int = 3

    def __post_init__(self) -> None:
        if self.endpoint is not None and not _is_endpoint(self.endpoint):
            raise ConfigError(
                f"--rdzv-endpoint {self.endpoint!r} is no HOST:PORT. Name the machine of "
                "--node-rank 0, and a port there that is free, such as gpu1:29500."
            )
        if self.num_nodes > 1 and self.endpoint is None:
            raise ConfigError(
                f"--nnodes {self.num_nodes} needs a place to meet. Give all machines the same "
                "--rdzv-endpoint HOST:PORT, HOST being the machine of --node-rank 0."
            )
        if not 0 <= self.node_rank < self.num_nodes:
            raise ConfigError(
                f"--node-rank {self.node_rank} is none of --nnodes {self.num_nodes}. "
                f"Give 0 to {self.num_nodes - 1}."
            )


def _is_endpoint(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 2**16


def launch(
    arguments: Sequence[str],
    machines: Machines,
    folder: Path,
    *,
    way_out: Callable[[], str],
    shows_errors: bool = False,
) -> int:
    """Run ``trm ARGUMENTS`` in several processes until all are done; returns the exit code.

    Args:
        arguments: of the command line, the same for all.
        machines: how many, and where.
        folder: what they say is in ``FOLDER/logs``; its name is that under which machines meet.
        way_out: says what to do when a process has died.
        shows_errors: leave not only the output of the first process to the terminal, but also
            what it writes to stderr.

    Raises:
        TrmError: that of the process that failed first, if it had one.
        TrainingError: if it died of something else.
    """
    # What torch's agent says of dying processes is said in our own words. Each of its modules has
    # a logger with a level of its own.
    for name in [n for n in logging.root.manager.loggerDict if n.startswith("torch.distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(_GRACE_S))
    # Processes that are started again must not read the addresses of those before them.
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (cores or 1) // machines.num_processes)))
    # The first process has the terminal, for its progress; all else goes to files. On which
    # machine the first of all is, the order in which they meet decides; the others print nothing.
    redirects = dict.fromkeys(range(machines.num_processes), Std.ALL)
    redirects[0] = Std.NONE if shows_errors else Std.ERR
    if shows_errors:
        os.environ[TOLD_BY_LAUNCHER] = "1"  # for the processes; we do tell
    known = {field.name for field in dataclasses.fields(LaunchConfig)}
    more: dict[str, Any] = {}
    if "signals_to_handle" in known and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        more["signals_to_handle"] = "SIGTERM,SIGINT,SIGQUIT"  # under nohup
    config = LaunchConfig(
        min_nodes=machines.num_nodes,
        max_nodes=machines.num_nodes,
        nproc_per_node=machines.num_processes,
        run_id=folder.name,
        rdzv_backend="c10d",
        rdzv_endpoint=machines.endpoint or "localhost:0",
        rdzv_configs={"is_host": machines.node_rank == 0} if machines.endpoint else {},
        # A machine need not be able to find itself by name.
        local_addr="localhost" if machines.num_nodes == 1 else None,
        max_restarts=machines.max_restarts,
        monitor_interval=0.1,
        logs_specs=_logs(folder / "logs", redirects),
        **more,
    )
    try:
        with storage_errors(folder / "logs"):
            elastic_launch(config, sys.executable)("-m", "trm", *arguments)
    except SignalException as asked:
        return 128 + asked.sigval
    except ChildFailedError as failed:
        raise _error_of(failed, folder, way_out()) from failed
    except (RendezvousError, ConnectionError, TimeoutError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise TrainingError(
            f"the machines did not meet at {machines.endpoint}: {reason}. Start all of them again, "
            "with the same --nnodes, --run-name and --rdzv-endpoint."
        ) from error
    finally:
        os.environ.pop(TOLD_BY_LAUNCHER, None)
    return 0


def _logs(folder: Path, redirects: dict[int, Std]) -> DefaultLogsSpecs:
    with storage_errors(folder):
        return DefaultLogsSpecs(log_dir=str(folder), redirects=redirects)


def _error_of(failed: ChildFailedError, folder: Path, way_out: str) -> TrmError:
    """The error of the process that failed first."""
    rank, failure = min(failed.failures.items(), key=lambda item: _order(item[1]))
    text = _text(failure)
    error = error_of(text)
    if error is not None:
        return error
    logs = sorted((folder / "logs").glob(f"*/attempt_*/{failure.local_rank}"), key=_age)
    return TrainingError(
        f"process {rank} failed: {' '.join(text.split())}. Its log is in "
        f"{logs[-1] if logs else folder}. {way_out}"
    )


def _age(path: Path) -> float:
    return path.stat().st_mtime


def _order(failure: ProcessFailure) -> tuple[int, float]:
    """Sorts what went wrong before what that broke, such as the others' connections.

    First what a signal ended, but for SIGTERM, with which the launcher ends the others, and
    SIGABRT, with which NCCL and Gloo give up; then our own errors; of the rest the earliest.
    """
    killed = failure.exitcode < 0 and -failure.exitcode not in (signal.SIGTERM, signal.SIGABRT)
    ours = error_of(_text(failure)) is not None
    when = float(failure.timestamp)
    with contextlib.suppress(OSError):  # more precise
        when = Path(failure.error_file).stat().st_mtime
    return 0 if killed else 1 if ours else 2, when


def _text(failure: ProcessFailure) -> str:
    message: object = failure.message
    if isinstance(message, dict):  # what the process said itself
        return str(message["message"])
    return str(message) if failure.exitcode < 0 else f"exit code {failure.exitcode}"
