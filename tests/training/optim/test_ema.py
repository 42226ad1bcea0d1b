"""The exponential moving average of the weights."""

import torch

from trm.training.optim.ema import EMA


def test_the_average_starts_as_a_copy_and_follows() -> None:
    weight = torch.zeros(2)
    ema = EMA({"w": weight}, rate=0.75)
    weight += 1
    ema.update()
    assert ema.weights["w"].tolist() == [0.25, 0.25]
    ema.update()
    assert ema.weights["w"].tolist() == [0.4375, 0.4375]
