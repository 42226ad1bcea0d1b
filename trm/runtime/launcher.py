"""Starting the processes of a command, through torch's own elastic launcher.

The launcher runs the same command line once for each process, with torchrun's environment
variables (see :func:`trm.runtime.process_group.process_group_from_env`). If a process dies, it
starts all of them again. It passes signals on. The output of the processes is in ``RUN/logs``.
"""

import contextlib
import dataclasses
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.elastic.rendezvous import RendezvousError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from trm.errors import ConfigError, TrainingError, TrmError
from trm.runtime.device import num_cores
from trm.runtime.stop_signals import ignores_hangup
from trm.runtime.worker import LAUNCHER_PID, LAUNCHER_SHOWS_ERRORS, parse_error
from trm.storage import storage_errors

#: How long a process of a training run may take to finish its step and save after a signal.
_SAVING_S = 600


@dataclass(frozen=True)
class LaunchOptions:
    """The processes to start on this machine, and how they connect to those of other machines.

    Attributes:
        num_processes: on this machine.
        num_nodes: the number of machines. Each of them runs the same command.
        node_rank: the number of this machine, from 0.
        endpoint: HOST:PORT on machine 0. None if there is only one machine.
        max_restarts: how often to start all processes again after one has died.

    Raises:
        ConfigError: if the options contradict each other.
    """

    num_processes: int = 1
    num_nodes: int = 1
    node_rank: int = 0
    endpoint: str | None = None
    max_restarts: int = 3

    @property
    def total_processes(self) -> int:
        """The number of processes on all machines."""
        return self.num_processes * self.num_nodes

    def __post_init__(self) -> None:
        if self.endpoint is not None:
            host, _, port = self.endpoint.rpartition(":")
            if not (host and port.isdecimal() and 0 < int(port) < 2**16):
                raise ConfigError(
                    f"--rdzv-endpoint {self.endpoint!r} is not HOST:PORT. Name the machine of "
                    "--node-rank 0, and a free port there, such as gpu1:29500."
                )
        if self.num_nodes > 1 and self.endpoint is None:
            raise ConfigError(
                f"--nnodes {self.num_nodes} needs an address to connect to. Give all machines the "
                "same --rdzv-endpoint HOST:PORT. HOST is the machine of --node-rank 0."
            )
        if not 0 <= self.node_rank < self.num_nodes:
            raise ConfigError(
                f"--node-rank {self.node_rank} is not below --nnodes {self.num_nodes}. "
                f"Give 0 to {self.num_nodes - 1}."
            )


def launch(
    arguments: Sequence[str],
    options: LaunchOptions,
    folder: Path,
    *,
    hint: Callable[[], str],
    grace_s: int = _SAVING_S,
    environment: Mapping[str, str] | None = None,
    shows_errors: bool = False,
) -> int:
    """Run ``trm ARGUMENTS`` in several processes until all have ended. Returns the exit code.

    Args:
        arguments: the command line, the same for all processes.
        options: how many processes, and on which machines.
        folder: their output goes to ``FOLDER/logs``. Machines find each other by its name.
        hint: what the user should do after a process has died.
        grace_s: how many seconds a process may take to end after a signal; 30 before torch 2.12.
        environment: more environment variables for the processes.
        shows_errors: show the stderr of the first process on the terminal too, not only its stdout.

    Raises:
        TrmError: if a process ended with one: that of the process that failed first.
        TrainingError: if a process died of anything else.
    """
    # The error messages below replace those of torch's agent. Each of its modules has its own
    # logger with its own level.
    for name in [n for n in logging.root.manager.loggerDict if n.startswith("torch.distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # Restarted processes must not read the addresses of the processes before them.
    os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    threads = max(1, num_cores() // options.num_processes)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    # The first process of each machine has the terminal, for its progress. Everything else goes to
    # files. Only the first of all prints; the order in which machines connect decides which it is.
    redirects = dict.fromkeys(range(options.num_processes), Std.ALL)
    redirects[0] = Std.NONE if shows_errors else Std.ERR
    for_workers = {**(environment or {}), LAUNCHER_PID: str(os.getpid())}
    if shows_errors:
        for_workers[LAUNCHER_SHOWS_ERRORS] = "1"
    more: dict[str, Any] = {}
    known = {field.name for field in dataclasses.fields(LaunchConfig)}
    if "signals_to_handle" in known and ignores_hangup():
        more["signals_to_handle"] = "SIGTERM,SIGINT,SIGQUIT"
    if "shutdown_timeout" in known and "TORCH_ELASTIC_SHUTDOWN_TIMEOUT" not in os.environ:
        more["shutdown_timeout"] = grace_s
    os.environ.update(for_workers)
    try:
        with storage_errors(folder / "logs"):
            config = LaunchConfig(
                min_nodes=options.num_nodes,
                max_nodes=options.num_nodes,
                nproc_per_node=options.num_processes,
                run_id=folder.name,
                rdzv_backend="c10d",
                rdzv_endpoint=options.endpoint or "localhost:0",
                rdzv_configs={"is_host": options.node_rank == 0} if options.endpoint else {},
                # A machine may be unable to resolve its own name.
                local_addr="localhost" if options.num_nodes == 1 else None,
                max_restarts=options.max_restarts,
                monitor_interval=0.1,
                logs_specs=DefaultLogsSpecs(log_dir=str(folder / "logs"), redirects=redirects),
                **more,
            )
            elastic_launch(config, sys.executable)("-m", "trm", *arguments)
    except SignalException as stopped:
        return 128 + stopped.sigval
    except ChildFailedError as failed:
        raise _first_error(failed, folder, hint()) from failed
    except (RendezvousError, ConnectionError, TimeoutError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise TrainingError(
            f"the machines did not connect at {options.endpoint}: {reason}. Start all of them "
            "again, with the same --nnodes, --run-name and --rdzv-endpoint."
        ) from error
    finally:
        for name in for_workers:
            os.environ.pop(name, None)
    return 0


def _first_error(failed: ChildFailedError, folder: Path, hint: str) -> TrmError:
    """The error of the process that failed first."""
    rank, failure = min(failed.failures.items(), key=lambda item: _cause_first(item[1]))
    text = _text(failure)
    if (error := parse_error(text)) is not None:
        return error
    logs = (folder / "logs").glob(f"*/attempt_*/{failure.local_rank}")
    log = max(logs, key=lambda path: path.stat().st_mtime, default=folder)
    return TrainingError(
        f"process {rank} failed: {' '.join(text.split())}. Its log is in {log}. {hint}"
    )


def _cause_first(failure: ProcessFailure) -> tuple[int, float]:
    """A sort key: what went wrong comes before its effects, such as broken connections.

    First the processes that a signal ended, except by SIGTERM (the launcher ends the others with
    it) and SIGABRT (NCCL and Gloo give up with it). Then those with a TrmError. Then the rest by
    time.
    """
    killed = failure.exitcode < 0 and -failure.exitcode not in (signal.SIGTERM, signal.SIGABRT)
    is_trm_error = parse_error(_text(failure)) is not None
    when = float(failure.timestamp)
    with contextlib.suppress(OSError):  # more precise
        when = Path(failure.error_file).stat().st_mtime
    return 0 if killed else 1 if is_trm_error else 2, when


def _text(failure: ProcessFailure) -> str:
    message: object = failure.message
    if isinstance(message, dict):  # reported by the process itself
        return str(message["message"])
    return str(message) if failure.exitcode < 0 else f"exit code {failure.exitcode}"
