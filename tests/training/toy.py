"""A network of a few numbers and endless data: what the trainer's own tests need."""

import torch
from torch import nn


class ToyNet(nn.Module):
    """A line of pixels to a line of pixels, with dropout, so that random states matter."""

    def __init__(self, seed=0, dropout=0.2):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.one, self.two = nn.Linear(8, 16), nn.Linear(16, 8)
        self.unused = nn.Linear(2, 2)  # as the last block's support half: no way to the loss
        self.drop = nn.Dropout(dropout)
        self.norm = nn.BatchNorm2d(16)  # its statistics are those of the whole batch
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=generator) / 4)
            self.norm.weight.add_(1)

    def forward(self, x):
        x = self.norm(self.one(x)[..., None, None])[..., 0, 0]
        return self.two(self.drop(torch.relu(x)))


class ToySource:
    """Lines and the same lines reversed; `broken` numbers give NaN or infinite gradients."""

    fingerprint = "toy"

    def __init__(self, broken=(), kind="nan"):
        self.broken, self.kind, self.asked = set(broken), kind, []

    def batch(self, numbers, seed, device):
        self.asked += list(numbers)
        rows = []
        for n in numbers:
            generator = torch.Generator().manual_seed(1000 * seed + n)
            rows.append(torch.randn(8, generator=generator))
        x = torch.stack(rows).to(device)
        weight = torch.ones(len(numbers), device=device)
        for row, n in enumerate(numbers):
            if n in self.broken and self.kind == "nan":
                x[row, 0] = float("nan")
            elif n in self.broken:
                weight[row] = 0.0
        return {"x": x, "weight": weight}


def toy_loss(model, batch):
    """Mean squared error; a weight of zero gives a finite loss with an infinite gradient."""
    error = (model(batch["x"]) - batch["x"].flip(-1)).square().mean(-1)
    spoilt = batch["weight"] == 0
    if spoilt.any():  # the root of zero is zero, and its slope is not finite
        error = error + (0 * error).sqrt() * spoilt
    return error.mean(), {"largest": error.detach().amax()}


def weights(model):
    return {name: x.clone() for name, x in model.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)
