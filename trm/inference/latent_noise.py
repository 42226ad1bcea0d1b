"""What disturbs the latents of further samples."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trm.models import TinyRecursiveModel
from trm.models.layers import Hidden
from trm.runtime.device import seeded

_SEED = 0
#: What is kept on the device, in bytes; beyond that it is drawn again.
_KEPT = 2**30


class LatentNoise:
    """Gaussian noise on the latents, before each supervision step of all samples but the first.

    It is the same for all examples: a function of the sample and the step alone. Otherwise an
    example's noise would depend on its place in a batch or on the process that it came to, and its
    answer on its neighbours. A CPU draws it, for every device has random numbers of its own.

    Args:
        model: whose latents.
        scale: the standard deviation.
    """

    def __init__(self, model: TinyRecursiveModel, scale: float) -> None:
        self.scale = scale
        self._device, self._dtype = model.device, model.dtype
        config = model.config
        self._shape = (config.prefix_len + model.spec.seq_len, config.hidden_size)
        size = int(np.prod(self._shape)) * self._dtype.itemsize
        self._kept = lru_cache(maxsize=max(1, _KEPT // size))(self._drawn)

    def disturb(
        self, latent: Hidden, samples: NDArray[np.integer[Any]], steps: NDArray[np.integer[Any]]
    ) -> Hidden:
        """Latents with it. What was given stays as it is: it may be the model's own initial one.

        Args:
            latent: of some rows.
            samples: (batch,), which sample of its puzzle each row is, from 0 on.
            steps: (batch,), the supervision steps that each row has behind it.
        """
        rows = np.flatnonzero(samples)
        if not len(rows) or not self.scale:
            return latent
        pairs, which = np.unique(
            np.stack([samples[rows], steps[rows]]), axis=1, return_inverse=True
        )
        drawn = torch.stack([self._kept(*pair) for pair in pairs.T.tolist()])
        if len(rows) == len(latent) and len(drawn) == 1:
            return latent + drawn
        index, place = (torch.from_numpy(a).to(self._device) for a in (rows, which.ravel()))
        return latent.index_add(0, index, drawn[place])

    def _drawn(self, sample: int, step: int) -> Float[Tensor, "tokens hidden"]:
        generator = seeded(torch.device("cpu"), _SEED, sample, step)
        drawn = torch.randn(self._shape, generator=generator) * self.scale
        return drawn.to(self._device, self._dtype)
