#!/usr/bin/env python3
"""Golden numbers for core/numerics/linear_probe with Debian's python3-torch: the optimizers,
schedules and the normalisation of PyTorch, by automatic derivatives.

    /usr/bin/python3 tests/reference/linear_probe.py >tests/reference/golden/linear_probe.json

All samples are one batch, so the order in which they come does not matter.
"""
import json
import math

import torch

MODULUS = 2003
ROWS, WIDTH, CLASSES = 24, 6, 3


def pattern(k, rows, columns):
    """The numbers of tests/reference/golden.h."""
    i = torch.arange(rows * columns)
    return (((i * i * 31 + i * 7919 + k * 104729) % MODULUS).double() / MODULUS - 0.5).reshape(rows, columns)


class Lars(torch.optim.Optimizer):
    """You et al. 2017 with MoCo v3's rule: parameters of one dimension have no trust ratio."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                ratio = 0.001 * parameter.norm() / parameter.grad.norm() if parameter.dim() > 1 else 1.0
                state = self.state[parameter]
                state["speed"] = 0.9 * state.get("speed", 0.0) + ratio * parameter.grad
                parameter.sub_(group["lr"] * state["speed"])


def sgd(rate):
    return lambda parameters: torch.optim.SGD(parameters, rate, momentum=0.9)


def milestones(optimizer):
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, [60, 80], 0.1)


def half_cosine(share):
    return 0.5 * (1 + math.cos(math.pi * share))


def by_factor(factor):
    return lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


SCALED = ROWS / 256
PROTOCOLS = {
    "solo-learn": (100, sgd(SCALED), milestones),
    "lightly": (90, sgd(0.1 * SCALED), by_factor(lambda step: half_cosine(step / 89))),
    "moco": (100, sgd(30), milestones),
    "dino": (100, sgd(0.001 * SCALED),
             lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100)),
    "mae": (90, lambda parameters: Lars(parameters, 0.1 * SCALED),
            by_factor(lambda step: step / 10 if step < 10 else half_cosine((step - 10) / 80))),
}


def train(name, views, labels):
    """A classifier of the first view, of which epoch e has seen view e modulo their number."""
    epochs, make_optimizer, make_schedule = PROTOCOLS[name]
    linear = torch.nn.Linear(WIDTH, CLASSES)
    with torch.no_grad():
        linear.weight.copy_(pattern(3, CLASSES, WIDTH))
        linear.bias.copy_(pattern(4, 1, CLASSES)[0])
    layers = [linear]
    if name == "mae":
        layers.insert(0, torch.nn.BatchNorm1d(WIDTH, affine=False, eps=1e-6))
    model = torch.nn.Sequential(*layers)
    optimizer = make_optimizer(linear.parameters())
    schedule = make_schedule(optimizer)
    for epoch in range(epochs):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(views[epoch % len(views)]), labels).backward()
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        logits = model(views[0])
    return {"logits": logits.ravel().tolist(),
            "loss": float(torch.nn.functional.cross_entropy(logits, labels)),
            "top1": float((logits.argmax(1) == labels).double().mean())}


def main():
    torch.set_default_dtype(torch.float64)
    labels = torch.arange(ROWS) * 7 % CLASSES
    features = 0.3 * (pattern(1, ROWS, WIDTH) + pattern(2, CLASSES, WIDTH)[labels] + 0.2)
    views = [features, features + 0.1 * pattern(5, ROWS, WIDTH), features + 0.1 * pattern(6, ROWS, WIDTH)]
    print(json.dumps({"rows": ROWS, "width": WIDTH, "classes": CLASSES, "labels": labels.tolist(),
                      "protocols": {name: train(name, [features], labels) for name in PROTOCOLS},
                      "of_three_views": {name: train(name, views, labels) for name in PROTOCOLS}}))


main()
