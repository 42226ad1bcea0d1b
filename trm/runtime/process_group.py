"""The processes of a run: which of them this is, and how they exchange numbers.

Every process takes the same steps; the first one (rank 0) also writes and shows what comes out.
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
    """The processes of a run, of which this is one; what is exchanged goes through here.

    A group of one exchanges nothing. Rows of a batch are dealt in order: the first process has the
    first rows, so that the order of the whole does not depend on how many there are.

    Attributes:
        rank: the number of this process, from 0.
        size: how many there are, on all machines.
        local_rank: the number of this process on its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes and shows."""
        return self.rank == 0

    def share(self, count: int, rank: int | None = None) -> slice:
        """The rows of a batch of so many that a process has, this one if none is named.

        >>> [ProcessGroup(rank, 3).share(7) for rank in range(3)]
        [slice(0, 2, None), slice(2, 4, None), slice(4, 7, None)]
        """
        rank = self.rank if rank is None else rank
        return slice(count * rank // self.size, count * (rank + 1) // self.size)

    def all_reduce_(self, tensor: Tensor) -> None:
        """Replace a tensor by its sum over all processes."""
        if self.size > 1:
            dist.all_reduce(tensor)

    def all_gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, which have equally many, in all of them."""
        if self.size == 1:
            return rows
        everything = rows.new_empty((self.size * len(rows), *rows.shape[1:]))
        dist.all_gather(list(everything.chunk(self.size)), rows.contiguous())
        return everything

    def gather_to_first(self, rows: Tensor, count: int) -> Tensor:
        """The rows of all shares of ``count`` in the first process, on the CPU, as a copy.

        They come one process at a time, straight into their place. Other processes get nothing.
        """
        if not self.is_first:
            if len(rows):
                dist.send(rows.detach().cpu().contiguous(), 0)
            return rows[:0]
        everything = torch.empty((count, *rows.shape[1:]), dtype=rows.dtype)
        everything[self.share(count)] = rows.detach()
        for rank in range(1, self.size):
            place = everything[self.share(count, rank)]
            if len(place):
                dist.recv(place, rank)
        return everything

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether it is set in any process."""
        if self.size == 1:
            return flags
        tensor = torch.tensor(flags, dtype=torch.int32)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return tuple(map(bool, tensor.tolist()))

    def broadcast_from_first(self, call: Callable[[], T]) -> T:
        """What ``call`` gives in the first process, the only one to call it, in all of them.

        Raises:
            TrmError: in all processes, if the first one raised it; what else it raised is a
                TrainingError in the others.
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

    def together(self, call: Callable[[], T]) -> T:
        """What ``call`` gives in this process, once it has succeeded in all of them.

        Raises:
            TrmError: in all processes that of the first one that raised one.
        """
        if self.size == 1:
            return call()
        result: list[T] = []
        own: TrmError | None = None
        try:
            result.append(call())
        except TrmError as error:
            own = error
        errors: list[TrmError | None] = [None] * self.size
        dist.all_gather_object(errors, own)
        for theirs in filter(None, errors):
            raise theirs
        return result[0]


#: A run of one process.
SINGLE_PROCESS = ProcessGroup()


def process_group_from_env(environment: Mapping[str, str]) -> ProcessGroup | None:
    """The place that a launcher's environment gives this process; None where none started it.

    Known are the variables of torchrun, which others set too (Kubeflow), and those of ``srun``.

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
            f"{names[0]} = {rank} is no process of {names[1]} = {size}. Unset both, or start trm "
            "with a launcher that sets them."
        )
    return ProcessGroup(rank, size, local)


@contextlib.contextmanager
def joined(group: ProcessGroup, device: torch.device) -> Iterator[None]:
    """Be connected with the other processes inside the block.

    Args:
        group: from :func:`process_group_from_env`.
        device: of this process. Tensors there are exchanged by NCCL if it is a GPU, all others by
            Gloo.
    """
    if group.size == 1:
        yield
        return
    for name, value in _meeting_point(os.environ).items():
        os.environ.setdefault(name, value)
    missing = {"MASTER_ADDR", "MASTER_PORT"} - os.environ.keys()
    if missing:
        raise ConfigError(
            f"{min(missing)} is not set, but WORLD_SIZE = {group.size} is. Set it to where the "
            "processes meet, or unset RANK and WORLD_SIZE."
        )
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, rank=group.rank, world_size=group.size)
    except dist.DistError as error:
        where = ":".join(os.environ.get(name, "?") for name in ("MASTER_ADDR", "MASTER_PORT"))
        reason = " ".join(str(error).split()).rstrip(".")
        raise TrainingError(
            f"the {group.size} processes did not meet at {where}: {reason}. Start all of them "
            "again, with another MASTER_PORT if that one is in use."
        ) from error
    yield
    dist.destroy_process_group()  # not after an error, for it waits for the others: see leave


def leave(code: int) -> NoReturn:
    """End the process; at once where it is still connected with others, which may never answer."""
    if dist.is_available() and dist.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _meeting_point(environment: Mapping[str, str]) -> dict[str, str]:
    """Where the processes of ``srun`` find each other: at the first machine of the step."""
    nodes = environment.get("SLURM_STEP_NODELIST")
    if nodes is None:
        return {}
    first = re.sub(r"\[(\w+).*", r"\1", re.split(r",(?![^[]*\])", nodes)[0])
    job = int(environment.get("SLURM_JOB_ID", "0"))
    return {"MASTER_ADDR": first, "MASTER_PORT": str(20_000 + job % 20_000)}
