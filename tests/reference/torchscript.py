#!/usr/bin/env python3
"""Writes golden/torchscript: modules that torch.jit.save wrote, and what they make of images.

    /usr/bin/python3 tests/reference/torchscript.py
"""

import json
import os
import pathlib

import torch
from torch import nn

from training import numbers, pattern

FOLDER = pathlib.Path(__file__).parent / "golden" / "torchscript"


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))
        self.fc = nn.Linear(4, 6)

    def forward(self, images):
        return self.fc(torch.tanh(self.stem(images)).mean((2, 3)))


class Maps(nn.Module):
    """The result has a place for every pixel."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, padding=1)

    def forward(self, images):
        return torch.tanh(self.conv(images))


class Pair(Maps):
    def forward(self, images):
        x = torch.tanh(self.conv(images)).mean((2, 3))
        return x, x


class Once(Maps):
    """LibTorch has no second derivative of distances."""

    def forward(self, images):
        x = self.conv(images).mean((2, 3))
        return torch.cdist(x, self.conv.weight.flatten(1)[:, :5])


class Detached(Maps):
    def forward(self, images):
        with torch.no_grad():
            return self.conv(images).mean((2, 3))


class Twelve(Maps):
    """Wants images of one size."""

    def forward(self, images):
        if images.shape[2] != 12:
            raise RuntimeError("only images of 12 pixels")
        return torch.tanh(self.conv(images)).mean((2, 3))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3)
        self.second.weight = self.first.weight

    def forward(self, images):
        return self.second(torch.tanh(self.first(images.mean((2, 3)))))


def without_gradient(net):
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    return net


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    os.chdir(FOLDER)
    torch.manual_seed(11)
    network = Network()
    with torch.no_grad():  # running statistics that are not those of a new network
        for _ in range(3):
            network(torch.randn(8, 3, 6, 6) * 2 + 0.3)
    nets = {"network": network, "maps": Maps(), "pair": Pair(), "once": Once(),
            "detached": Detached(), "twelve": Twelve(), "tied": Tied(),
            "without_gradient": without_gradient(Maps()), "half": Maps().half()}
    for name, net in nets.items():
        torch.jit.script(net).save(f"{name}.pt")
    torch.jit.freeze(torch.jit.script(Maps().eval())).save("frozen.pt")
    torch.save(network.state_dict(), "state_dict.pth")
    images = 2 * pattern(1, (4, 3, 6, 5)).float()
    with torch.no_grad():
        expected = {
            "made_by": "tests/reference/torchscript.py",
            "torch": torch.__version__,
            "state": {name: numbers(tensor) for name, tensor in network.state_dict().items()},
            "eval": numbers(network.eval()(images)),
            "train": numbers(network.train()(images)),
            "running_mean": numbers(network.stem[1].running_mean),
            "maps": numbers(nets["maps"](images).mean((2, 3))),
        }
    pathlib.Path("expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
