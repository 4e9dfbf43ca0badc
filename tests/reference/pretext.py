#!/usr/bin/env python3
"""Writes golden/pretext.json: what PyTorch makes of BYOL and SwAV over a few training steps of
small networks, in double precision.

Run with Debian's Python (package python3-torch):

    /usr/bin/python3 tests/reference/pretext.py

Nothing is random: numbers come from `pattern`, which the C++ tests compute too. BYOL is written
down as algorithm 1 of arXiv 2006.07733 has it, SwAV as algorithm 1 of arXiv 2006.09882 and the
code published with it, with the prototypes normalised before each step.
"""

import copy
import math

import torch
from torch import nn
from torch.nn import functional

from training import numbers, pattern, write

RATE = 0.3


class Images(nn.Module):
    """Features of images of any size: tanh(W·(mean of each channel) + b)."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 6).double()

    def forward(self, images):
        return torch.tanh(self.layer(images.mean((2, 3))))


def perceptron(inputs, hidden, outputs, bias):
    return nn.Sequential(nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(),
                         nn.Linear(hidden, outputs, bias=bias)).double()


def fill(k, *modules):
    with torch.no_grad():
        for module in modules:
            for parameter in module.parameters():
                parameter.copy_(pattern(k, parameter.shape) * 2)
                k += 1


def descend(parameters):
    with torch.no_grad():
        for parameter in parameters:
            parameter.sub_(RATE * parameter.grad)
            parameter.grad = None


def product(loss, parameters):
    """H·x for the backbone's parameters, x from pattern(77), pattern(78), ..."""
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)
    x = [pattern(77 + i, p.shape) for i, p in enumerate(parameters)]
    along = sum((g * v).sum() for g, v in zip(gradients, x))
    return torch.autograd.grad(along, parameters, retain_graph=True)


def flat(tensors):
    return numbers(torch.cat([t.detach().flatten() for t in tensors]))


# BYOL


def byol():
    backbone = Images()
    projector = perceptron(6, 5, 3, bias=False)
    predictor = perceptron(3, 4, 3, bias=False)
    fill(10, backbone)
    fill(20, projector, predictor)
    teacher = nn.ModuleList([copy.deepcopy(backbone), copy.deepcopy(projector)])
    fill(40, teacher)
    momentum, steps = 0.8, 5
    student = [*backbone.parameters(), *projector.parameters(), *predictor.parameters()]
    result = {"name": "byol", "losses": [], "momentum": momentum, "steps": steps}

    def regression(x, y):
        return 2 - 2 * (functional.normalize(x, dim=1) * functional.normalize(y, dim=1)).sum(1)

    for step in range(3):
        first, second = pattern(100 + step, (2, 4, 3, 2, 2)) * 4
        online = [predictor(projector(backbone(view))) for view in (first, second)]
        with torch.no_grad():
            target = [teacher[1](teacher[0](view)) for view in (second, first)]
        loss = sum(regression(p, t).mean() for p, t in zip(online, target))
        result["losses"].append(loss.item())
        if step == 0:
            result["product"] = flat(product(loss, list(backbone.parameters())))
        loss.backward()
        if step == 0:
            result["gradients"] = flat(p.grad for p in student)
        descend(student)
        kept = 1 - (1 - momentum) * (math.cos(math.pi * step / steps) + 1) / 2
        with torch.no_grad():
            pairs = zip(teacher.parameters(), [*backbone.parameters(), *projector.parameters()])
            for average, weight in pairs:
                average.copy_(kept * average + (1 - kept) * weight)
    result["student"] = flat(student)
    result["teacher"] = flat(teacher.parameters())
    return result


# SwAV


def sinkhorn(scores, epsilon, iterations):
    q = torch.exp(scores / epsilon).t()
    q = q / q.sum()
    prototypes, samples = q.shape
    for _ in range(iterations):
        q = q / q.sum(1, keepdim=True) / prototypes
        q = q / q.sum(0, keepdim=True) / samples
    return (q * samples).t()


def swav():
    backbone = Images()
    projector = perceptron(6, 5, 3, bias=True)
    prototypes = nn.Linear(3, 7, bias=False).double()
    fill(10, backbone)
    fill(20, projector, prototypes)
    temperature, epsilon, iterations = 0.2, 0.25, 3
    length, queue_after, freeze = 8, 1, 1
    queue, filled = torch.zeros(2, length, 3, dtype=torch.double), 0
    samples, count = 4, 4
    everything = [*backbone.parameters(), *projector.parameters(), *prototypes.parameters()]
    result = {"name": "swav", "losses": [], "temperature": temperature, "epsilon": epsilon,
              "iterations": iterations, "queue": length, "queue_after": queue_after,
              "freeze": freeze}
    for step in range(5):
        with torch.no_grad():
            prototypes.weight.copy_(functional.normalize(prototypes.weight, dim=1))
        large = pattern(100 + step, (2 * samples, 3, 4, 4)) * 4
        small = pattern(200 + step, (2 * samples, 3, 2, 2)) * 4
        features = torch.cat([backbone(large), backbone(small)])
        vectors = functional.normalize(projector(features), dim=1)
        scores = prototypes(vectors)
        loss = 0
        for view in range(2):
            rows = slice(view * samples, (view + 1) * samples)
            with torch.no_grad():
                out = scores[rows]
                if filled == length:
                    out = torch.cat([queue[view] @ prototypes.weight.t(), out])
                q = sinkhorn(out, epsilon, iterations)[-samples:]
                if step >= queue_after:
                    queue[view, samples:] = queue[view, :-samples].clone()
                    queue[view, :samples] = vectors[rows]
            for other in range(count):
                if other != view:
                    x = scores[other * samples:(other + 1) * samples] / temperature
                    loss = loss - (q * functional.log_softmax(x, dim=1)).sum(1).mean()
        loss = loss / (count - 1) / 2
        if step >= queue_after:
            filled = min(length, filled + samples)
        result["losses"].append(loss.item())
        if step == 0:
            result["product"] = flat(product(loss, list(backbone.parameters())))
        loss.backward()
        if step == 0:
            result["gradients"] = flat(p.grad for p in everything[:-1])
        if step < freeze:
            prototypes.weight.grad.zero_()
        descend(everything)
    with torch.no_grad():
        prototypes.weight.copy_(functional.normalize(prototypes.weight, dim=1))
    result["weights"] = flat(everything)
    result["rows"] = numbers(queue)
    return result


def main():
    torch.set_num_threads(1)
    write("pretext.json", {"made_by": "tests/reference/pretext.py", "byol": byol(),
                           "swav": swav()})


if __name__ == "__main__":
    main()
