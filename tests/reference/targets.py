#!/usr/bin/env python3
"""Writes golden/targets.json: losses, gradients and metrics of the tasks whose targets are not one
class, in double precision.

Run with Debian's Python (packages python3-torch and python3-numpy):

    /usr/bin/python3 tests/reference/targets.py

Nothing is random: numbers come from `pattern`. Losses and gradients are PyTorch's over the entries
that count, average precision is worked out by trying every threshold, the errors of a regression
are NumPy's.
"""

import math

import numpy
import torch
from torch.nn import functional

from training import numbers, pattern, write


def entries(targets):
    """NaN, which does not count, as null."""
    return [None if math.isnan(value) else value for value in targets.flatten().tolist()]


def average_precision(scores, positive):
    """The area under the best precision at each recall or beyond, and its mean at 0, 0.1, …, 1."""
    curve = []
    for threshold in numpy.unique(scores):
        chosen = scores >= threshold
        right = int(numpy.sum(chosen & positive))
        curve.append((right / int(numpy.sum(positive)), right / int(numpy.sum(chosen))))

    def best(recall):
        return max((p for r, p in curve if r >= recall - 1e-12), default=0.0)

    recalls = sorted({0.0} | {r for r, _ in curve})
    area = sum((right - left) * best(right) for left, right in zip(recalls, recalls[1:]))
    return area, sum(best(tenth / 10) for tenth in range(11)) / 11


def multi_label_case(samples, labels, decimals, absent=None):
    """Scores rounded to `decimals`, so that some are tied; no sample has the label `absent`."""
    chance = [pattern(k, (samples * labels, 1)) for k in (40, 50, 60)]
    targets = (chance[0] * chance[1] > 0.03).double().reshape(samples, labels)
    scores = 2 * targets + 8 * (chance[1] * chance[2]).reshape(samples, labels)
    outputs = torch.round(scores, decimals=decimals).requires_grad_()
    if absent is not None:
        targets[:, absent] = 0
    targets[pattern(42, (samples, labels)) > 0.38] = math.nan
    counted = ~targets.isnan()
    loss = functional.binary_cross_entropy_with_logits(outputs[counted], targets[counted])
    loss.backward()
    scores = outputs.detach().numpy()
    found = []
    for label in range(labels):
        rows = counted[:, label].numpy()
        positive = targets[:, label].numpy()[rows] == 1
        if positive.any():
            found.append(average_precision(scores[rows, label], positive))
    return {"name": "multi_label", "samples": samples, "labels": labels,
            "outputs": numbers(outputs), "targets": entries(targets),
            "loss": float(loss), "gradient": numbers(outputs.grad),
            "mAP": float(numpy.mean([area for area, _ in found])),
            "mAP11": float(numpy.mean([points for _, points in found]))}


def regression_case(samples, values, std=None, constant=None):
    """Values far from 0; those of column `constant` are all the same."""
    targets = 1000 + 8 * pattern(43, (samples, values))
    if constant is not None:
        targets[:, constant] = 3
    targets[pattern(44, (samples, values)) > 0.4] = math.nan
    outputs = (torch.nan_to_num(targets, 1000) + pattern(45, (samples, values))).requires_grad_()
    counted = ~targets.isnan()
    scale = torch.ones(values) if std is None else torch.tensor(std).double()
    loss = functional.mse_loss((outputs / scale)[counted], (targets / scale)[counted])
    loss.backward()
    shares, errors = [], []
    for column in range(values):
        rows = counted[:, column].numpy()
        known = targets[:, column].numpy()[rows]
        error = outputs.detach()[:, column].numpy()[rows] - known
        errors.extend(error)
        if known.var() > 0:
            shares.append(1 - numpy.mean(error ** 2) / known.var())
    return {"name": "regression", "samples": samples, "values": values, "std": std or [],
            "outputs": numbers(outputs), "targets": entries(targets),
            "loss": float(loss), "gradient": numbers(outputs.grad),
            "mse": float(numpy.mean(numpy.square(errors))),
            "mae": float(numpy.mean(numpy.abs(errors))), "r2": float(numpy.mean(shares))}


if __name__ == "__main__":
    write("targets.json", {
        "multi_label": [multi_label_case(23, 4, 9), multi_label_case(40, 5, 0, absent=2)],
        "regression": [regression_case(17, 3), regression_case(30, 2, std=[2.5, 0.5]),
                       regression_case(12, 2, constant=1)],
    })
