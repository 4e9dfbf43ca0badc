#!/usr/bin/env python3
"""Golden numbers for calibration and Grad-CAM (core/analysis), with numpy and PyTorch of Debian.

    /usr/bin/python3 tests/reference/explanations.py >tests/reference/golden/explanations.json

The calibration error goes bin by bin through masks of all samples. The heat is taken of a network
as its authors do: PyTorch's autograd gives the gradients of a map inside it, the rest is loops.
"""
import json
import math

import numpy
import torch

MODULUS = 2003
SAMPLES, CLASSES, BINS = 300, 4, 15
IMAGES, CHANNELS, MAPS, HIDDEN = 3, 2, 4, 5
HEIGHT, WIDTH = 6, 9


def pattern(k, *shape):
    """The numbers of tests/reference/golden.h."""
    i = numpy.arange(math.prod(shape), dtype=numpy.int64)
    return ((i * i * 31 + i * 7919 + k * 104729) % MODULUS / MODULUS - 0.5).reshape(shape)


def calibration():
    logits = 9 * pattern(21, SAMPLES, CLASSES)
    labels = numpy.arange(SAMPLES) * 7 % 31 % CLASSES
    labels = numpy.where(numpy.arange(SAMPLES) % 3 > 0, logits.argmax(1), labels)
    shares = numpy.exp(logits) / numpy.exp(logits).sum(1, keepdims=True)
    confidence, right = shares.max(1), logits.argmax(1) == labels
    bins, error = [], 0
    for b in range(BINS):
        inside = (confidence > b / BINS) & (confidence <= (b + 1) / BINS)
        if inside.any():
            accuracy, mean = right[inside].mean(), confidence[inside].mean()
            error += inside.mean() * abs(accuracy - mean)
            bins.append([int(inside.sum()), mean, accuracy])
        else:
            bins.append([0, 0.0, 0.0])
    return {"labels": labels.tolist(), "bins": bins, "ece": error}


def enlarged(heat, height, width):
    """Bilinear, by the centres of pixels; beyond the outermost centres the value stays."""
    result = numpy.zeros((height, width))
    for row in range(height):
        for column in range(width):
            y = min(max((row + 0.5) * heat.shape[0] / height - 0.5, 0), heat.shape[0] - 1)
            x = min(max((column + 0.5) * heat.shape[1] / width - 0.5, 0), heat.shape[1] - 1)
            top, left = int(y), int(x)
            below, right = min(top + 1, heat.shape[0] - 1), min(left + 1, heat.shape[1] - 1)
            upper = heat[top, left] * (left + 1 - x) + heat[top, right] * (x - left)
            lower = heat[below, left] * (left + 1 - x) + heat[below, right] * (x - left)
            result[row, column] = upper * (top + 1 - y) + lower * (y - top)
    return result


def grad_cam():
    tensor = lambda *given: torch.from_numpy(pattern(*given))
    images = tensor(22, IMAGES, CHANNELS, HEIGHT, WIDTH)
    maps = torch.relu(torch.nn.functional.conv2d(
        images, 4 * tensor(23, MAPS, CHANNELS, 3, 3), stride=2, padding=1)).requires_grad_()
    hidden = torch.tanh(6 * maps.mean((2, 3)) @ tensor(24, MAPS, HIDDEN) + tensor(25, HIDDEN))
    logits = 3 * hidden @ tensor(26, HIDDEN, CLASSES)
    explained = [1, 3, 0]
    heats, largest = [], []
    for image, one in enumerate(explained):
        gradient, = torch.autograd.grad(logits[image, one], maps, retain_graph=True)
        heat = numpy.zeros(maps.shape[2:])
        for channel in range(MAPS):
            heat += gradient[image, channel].mean().item() * maps[image, channel].detach().numpy()
        heat = heat.clip(0)
        largest.append(heat.max())
        heats.append(enlarged(heat / max(heat.max(), 1e-300), HEIGHT, WIDTH).tolist())
    assert min(largest) > 1e-3, largest
    return {"explained": explained, "logits": logits.tolist(), "heats": heats}


print(json.dumps({"calibration": calibration(), "grad_cam": grad_cam()}, indent=1))
