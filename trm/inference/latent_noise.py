"""Noise on the latents, so that several samples of a puzzle differ."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trm.models import RecursiveModel
from trm.models.layers import Hidden
from trm.runtime.device import seeded

_SEED = 0


class LatentNoise:
    """Gaussian noise on the latents, before each supervision step of all samples but the first.

    It depends on the sample and the step alone, and is the same for all examples. So no answer
    depends on the other examples of a batch, or on the process that answers it. The CPU draws the
    noise, because each device has its own random numbers.

    Args:
        model: the model whose latents are disturbed.
        scale: the standard deviation.
        cache_bytes: how much noise to keep on the device; the rest is drawn again.
    """

    def __init__(self, model: RecursiveModel, scale: float, *, cache_bytes: int = 2**30) -> None:
        self.scale = scale
        self._device, self._dtype = model.device, model.dtype
        self._shape = model.state_shape
        size = int(np.prod(self._shape)) * self._dtype.itemsize
        self._cached = lru_cache(maxsize=max(1, cache_bytes // size))(self._draw)

    def disturb(
        self, latent: Hidden, samples: NDArray[np.integer[Any]], steps: NDArray[np.integer[Any]]
    ) -> Hidden:
        """Add the noise to latents. ``latent`` itself does not change.

        Args:
            latent: the latents of some rows.
            samples: (batch,), the sample of each row, from 0.
            steps: (batch,), the supervision steps that each row has taken.
        """
        rows = np.flatnonzero(samples)
        if not len(rows) or not self.scale:
            return latent
        pairs, which = np.unique(
            np.stack([samples[rows], steps[rows]]), axis=1, return_inverse=True
        )
        drawn = torch.stack([self._cached(*pair) for pair in pairs.T.tolist()])
        if len(rows) == len(latent) and len(drawn) == 1:
            return latent + drawn
        index, place = (torch.from_numpy(a).to(self._device) for a in (rows, which.ravel()))
        return latent.index_add(0, index, drawn[place])

    def _draw(self, sample: int, step: int) -> Float[Tensor, "tokens hidden"]:
        generator = seeded(torch.device("cpu"), _SEED, sample, step)
        drawn = torch.randn(self._shape, generator=generator) * self.scale
        return drawn.to(self._device, self._dtype)
