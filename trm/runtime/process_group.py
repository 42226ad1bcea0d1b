"""The processes that train or evaluate together, and how they exchange tensors and results.

Every process takes the same steps. The first one (rank 0) also writes files and shows progress.
"""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from trm.errors import ConfigError, TrainingError, TrmError

T = TypeVar("T")


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a run, as this process sees them. A group of one exchanges nothing.

    The rows of a batch are dealt in order: the first process has the first rows. So the order of
    the examples does not depend on the number of processes.

    Attributes:
        rank: the number of this process, from 0.
        size: the number of processes, on all machines.
        local_rank: the number of this process on its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def shard(self, count: int, rank: int | None = None) -> slice:
        """Which of ``count`` rows a process holds: this process, unless ``rank`` is given.

        >>> [ProcessGroup(rank, 3).shard(7) for rank in range(3)]
        [slice(0, 2, None), slice(2, 4, None), slice(4, 7, None)]
        """
        rank = self.rank if rank is None else rank
        return slice(count * rank // self.size, count * (rank + 1) // self.size)

    def all_reduce_(self, tensor: Tensor) -> None:
        """Replace a tensor by its sum over all processes."""
        if self.size > 1:
            dist.all_reduce(tensor)

    def all_gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, in rank order. Each process has the same number of rows."""
        if self.size == 1:
            return rows
        gathered = rows.new_empty((self.size * len(rows), *rows.shape[1:]))
        dist.all_gather(list(gathered.chunk(self.size)), rows.contiguous())
        return gathered

    def gather_to_first(self, rows: Tensor, count: int) -> Tensor:
        """All ``count`` rows, from the shards of all processes, as a copy on the CPU.

        Only the first process gets them. It receives one shard at a time into its place.
        """
        if not self.is_first:
            if len(rows):
                dist.send(rows.detach().cpu().contiguous(), 0)
            return rows[:0]
        gathered = torch.empty((count, *rows.shape[1:]), dtype=rows.dtype)
        gathered[self.shard(count)] = rows.detach()
        for rank in range(1, self.size):
            place = gathered[self.shard(count, rank)]
            if len(place):
                dist.recv(place, rank)
        return gathered

    def any_process(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether it is set in at least one process."""
        return tuple(map(bool, self.largest(*map(int, flags))))

    def largest(self, *numbers: int) -> tuple[int, ...]:
        """For each number, the largest one of all processes."""
        if self.size == 1:
            return numbers
        tensor = torch.tensor(numbers, dtype=torch.int64)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return tuple(tensor.tolist())

    def broadcast_from_first(self, call: Callable[[], T]) -> T:
        """Call a function in the first process only, and return its result in all processes.

        Raises:
            TrmError: in all processes, if the function raised it. If it raised another exception,
                the other processes raise a TrainingError.
        """
        if self.size == 1:
            return call()
        result: list[Any] = [None, None]
        if self.is_first:
            try:
                result[0] = call()
            except TrmError as error:
                result[1] = error
            except Exception as error:
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                result[1] = TrainingError(f"the first process failed: {reason}. See its log.")
                dist.broadcast_object_list(result, 0)
                raise
        dist.broadcast_object_list(result, 0)
        if result[1] is not None:
            raise result[1]
        value: T = result[0]
        return value

    def run_in_all(self, call: Callable[[], T]) -> T:
        """Call a function in every process, and return when it has succeeded in all of them.

        Raises:
            TrmError: in all processes, if the function raised it in one of them.
        """
        if self.size == 1:
            return call()
        result: list[T] = []
        own_error: TrmError | None = None
        try:
            result.append(call())
        except TrmError as error:
            own_error = error
        errors: list[TrmError | None] = [None] * self.size
        dist.all_gather_object(errors, own_error)
        for first_error in filter(None, errors):
            raise first_error
        return result[0]


#: The group of a run with one process.
SINGLE_PROCESS = ProcessGroup()


def process_group_from_env(environment: Mapping[str, str]) -> ProcessGroup | None:
    """The group that a launcher's environment variables describe, None without a launcher.

    The variables of torchrun, which other launchers set too (Kubeflow), and of ``srun``.

    Raises:
        ConfigError: if they contradict each other.
    """
    env = environment
    if {"RANK", "WORLD_SIZE"} <= env.keys():
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    elif {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"} <= env.keys():
        names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
    else:
        return None
    try:
        rank, size, local = (int(env.get(name, "0")) for name in names)
    except ValueError:
        raise ConfigError(
            f"{', '.join(f'{n} = {env.get(n)!r}' for n in names)}: these have to be numbers. "
            "Unset them, or start trm with a launcher that sets them."
        ) from None
    if not 0 <= rank < size or local < 0:
        raise ConfigError(
            f"{names[0]} = {rank} is not below {names[1]} = {size}. Unset both, or start trm "
            "with a launcher that sets them."
        )
    return ProcessGroup(rank, size, local)


def slurm_rendezvous(environment: Mapping[str, str]) -> dict[str, str]:
    """Where the processes of ``srun`` connect: the first machine of the step, and a port.

    Empty outside of a Slurm step.
    """
    nodes = environment.get("SLURM_STEP_NODELIST")
    if nodes is None:
        return {}
    first = re.sub(r"\[(\w+).*", r"\1", re.split(r",(?![^[]*\])", nodes)[0])
    job = int(environment.get("SLURM_JOB_ID", "0"))
    return {"MASTER_ADDR": first, "MASTER_PORT": str(20_000 + job % 20_000)}


_was_connected = False


@contextlib.contextmanager
def init_process_group(group: ProcessGroup, device: torch.device) -> Iterator[None]:
    """Connect with the other processes inside the block, unless they are connected already.

    Args:
        group: from :func:`process_group_from_env`.
        device: of this process. NCCL exchanges tensors on a GPU, Gloo all others.

    Raises:
        ConfigError: if no address is set.
        TrainingError: if the processes did not connect.
    """
    global _was_connected
    if group.size == 1 or dist.is_initialized():
        yield
        return
    for name, value in slurm_rendezvous(os.environ).items():
        os.environ.setdefault(name, value)
    missing = {"MASTER_ADDR", "MASTER_PORT"} - os.environ.keys()
    if missing:
        raise ConfigError(
            f"{min(missing)} is not set, but WORLD_SIZE = {group.size} is. Set it to where the "
            "processes connect, or unset RANK and WORLD_SIZE."
        )
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, rank=group.rank, world_size=group.size)
    except dist.DistError as error:
        where = ":".join(os.environ.get(name, "?") for name in ("MASTER_ADDR", "MASTER_PORT"))
        reason = " ".join(str(error).split()).rstrip(".")
        raise TrainingError(
            f"the {group.size} processes did not connect at {where}: {reason}. Start all of them "
            "again, with another MASTER_PORT if that one is in use."
        ) from error
    _was_connected = True
    yield
    # Not after an error: it would wait for the other processes. See exit_process.
    dist.destroy_process_group()


def exit_process(code: int) -> NoReturn:
    """End this process, at once if it was connected with others.

    After an error these may never answer. After a disconnect, threads of the connection that are
    still there abort some processes as they end: "terminate called without an active exception".
    """
    if _was_connected:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
