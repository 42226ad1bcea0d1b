"""Muon for the matrices of the core, AdamW for everything else; both are torch's own."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trm.config import OptimConfig
from trm.training.optim.base import Optimizer

_CORE = "core."
#: torch's names of an optimizer's state, and the names in a checkpoint.
_KINDS = {"momentum_buffer": "momentum", "exp_avg": "mean", "exp_avg_sq": "square"}


class MuonAdamW(Optimizer):
    """Muon (Jordan et al. 2024) moves a matrix by its gradient's nearest orthogonal matrix.

    As in Dillon 2026 (arXiv 2601.19085), AdamW updates embeddings and heads, whose norm matters.
    Both learning rates follow one schedule.

    Args:
        parameters: of the network, by name.
        config: learning rates, weight decay, momentum and betas.
    """

    def __init__(self, parameters: Mapping[str, Tensor], config: OptimConfig) -> None:
        super().__init__(parameters, config)
        self.matrices = [p for n, p in parameters.items() if n.startswith(_CORE) and p.ndim == 2]
        matrices = {id(matrix) for matrix in self.matrices}
        self.others = [p for p in self.parameters if id(p) not in matrices]
        self._muon = torch.optim.Muon(
            self.matrices, weight_decay=config.muon_weight_decay, momentum=config.muon_momentum
        )
        betas = (config.beta1, config.beta2)
        self._adamw = torch.optim.AdamW(self.others, betas=betas, weight_decay=config.weight_decay)
        # Created before the first step, so that a resumed run can load into it.
        for parameter in self.matrices:
            self._muon.state[parameter] = {"momentum_buffer": torch.zeros_like(parameter)}
        for parameter in self.others:
            self._adamw.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }

    @property
    def num_steps(self) -> int:
        """See :class:`Optimizer`."""
        return int(self._steps[0])

    @num_steps.setter
    def num_steps(self, value: int) -> None:
        for steps in self._steps:
            steps.fill_(value)

    @property
    def _steps(self) -> list[Tensor]:
        return [self._adamw.state[parameter]["step"] for parameter in self.others]

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """See :meth:`Optimizer.step`."""
        for parameter, gradient in zip(self.parameters, self.gradients(), strict=True):
            parameter.grad = gradient
        for optimizer, lr in ((self._muon, self.config.muon_lr), (self._adamw, self.config.lr)):
            for group in optimizer.param_groups:
                group["lr"] = lr * scale
            optimizer.step()  # type: ignore[no-untyped-call]

    def moments(self) -> dict[str, Tensor]:
        """See :meth:`Optimizer.moments`."""
        found = {}
        for name, parameter in self.named.items():
            state: dict[str, Any] = self._adamw.state.get(parameter) or self._muon.state[parameter]
            for kind, name_on_disk in _KINDS.items():
                if kind in state:
                    found[f"{name_on_disk}.{name}"] = state[kind]
        return found
