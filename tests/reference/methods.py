#!/usr/bin/env python3
"""Writes golden/methods.json: what PyTorch makes of pretext tasks over three training steps of small
networks, in double precision.

Run with Debian's Python (package python3-torch):

    /usr/bin/python3 tests/reference/methods.py

Numbers come from `pattern`, which the C++ tests compute too; what a task draws comes from PyTorch's
generator, seeded before each loss. Each loss is written down as its paper has it, term by term where
that is possible.
"""

import copy
import itertools
import math

import torch
from torch import nn
from torch.nn import functional

from training import numbers, pattern, write

RATE = 0.03
SAMPLES = 8
SEED = 5
STEPS = 3
FEATURES = 6


class Images(nn.Module):
    """Features of images of any size: tanh(W·m + b), where m are the means of each channel, of the
    channel times x and of the channel times y; x and y run from -1 to 1."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(9, FEATURES).double()

    def forward(self, images):
        height, width = images.shape[2:]
        x = torch.linspace(-1, 1, width, dtype=torch.double)
        y = torch.linspace(-1, 1, height, dtype=torch.double)[:, None]
        moments = [images, images * x, images * y]
        return torch.tanh(self.layer(torch.cat([m.mean((2, 3)) for m in moments], 1)))


class Patches(nn.Module):
    """A token for each patch of 2x2 pixels: the embedding, in whose place a hidden patch has another
    one, and the place's; both mixed with the mean of all. In front the mean of the tokens, which are
    the features."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(12, FEATURES).double()
        self.places = nn.Linear(2, FEATURES, bias=False).double()
        self.mix = nn.Linear(FEATURES, FEATURES).double()

    def tokens(self, images, kept=None, masked=None, mask_token=None):
        """kept: for each image the places that are seen; masked: those that are hidden."""
        size = images.shape[2] // 2
        ends = torch.linspace(-1, 1, size, dtype=torch.double)
        everything = []
        for n, image in enumerate(images):
            rows = []
            for place in range(size * size):
                i, j = divmod(place, size)
                patch = image[:, 2 * i:2 * i + 2, 2 * j:2 * j + 2].flatten()
                hidden = masked is not None and place in masked[n]
                rows.append((mask_token if hidden else self.embed(patch)) +
                            self.places(torch.stack([ends[i], ends[j]])))
            if kept is not None:
                rows = [rows[place] for place in kept[n]]
            rows = torch.tanh(torch.stack(rows))
            rows = torch.tanh(self.mix(rows + rows.mean(0)))
            everything.append(torch.cat([rows.mean(0, keepdim=True), rows]))
        return torch.stack(everything)

    def maps(self, images):
        rows = self.tokens(images)[:, 1:]
        size = images.shape[2] // 2
        return rows.transpose(1, 2).reshape(len(images), FEATURES, size, size)

    def forward(self, images):
        return self.tokens(images)[:, 0]


def perceptron(inputs, *widths, norm=True, last_bias=False, last_norm=None):
    layers = []
    for width in widths[:-1]:
        layers += [nn.Linear(inputs, width), *([nn.BatchNorm1d(width)] if norm else []), nn.ReLU()]
        inputs = width
    layers.append(nn.Linear(inputs, widths[-1], bias=last_bias))
    if last_norm is not None:
        layers.append(nn.BatchNorm1d(widths[-1], affine=last_norm))
    return nn.Sequential(*layers).double()


def unit(rows):
    return functional.normalize(rows, dim=1)


def flat(tensors):
    return numbers(torch.cat([t.detach().flatten() for t in tensors]))


def fill(k, parameters):
    with torch.no_grad():
        for parameter in parameters:
            parameter.copy_(pattern(k, parameter.shape) * 2)
            k += 1


class Method:
    """A task of the same parameters in the same order as the C++ one has them. `parameters` are what
    the component is given; `sizes` are pairs (views, their height and width)."""

    name = library = coupling = key = ""
    parameters = {}
    sizes = [(2, 6)]
    fixed_targets = False
    network = "moments"
    data = 20

    def __init__(self):
        self.backbone = Images() if self.network == "moments" else Patches()
        self.modules = []
        self.teacher = []
        self.buffers = {}
        self.make()
        fill(10, self.backbone.parameters())
        fill(20, self.own())
        fill(40, [p for module in self.teacher for p in module.parameters()])
        for k, buffer in enumerate(self.buffers.values()):
            buffer.copy_(pattern(60 + k, buffer.shape) * 2)

    def prepare(self, step):
        """What a batch has besides views."""
        self.indices = [(3 * i + step) % self.data for i in range(SAMPLES)]
        views = sum(count for count, _ in self.sizes)
        # Not of round numbers: places at equal distances would be ranked by rounding.
        self.geometry = [torch.sin(3 * pattern(700 + 10 * view + step, (SAMPLES, 2, 3))) +
                         torch.eye(2, 3, dtype=torch.double) for view in range(views)]

    def own(self):
        return [p for module in self.modules for p in module.parameters()]

    def with_teacher(self, head):
        self.teacher = [copy.deepcopy(self.backbone), copy.deepcopy(head)]
        for module in self.teacher:
            module.requires_grad_(False)

    def views(self, step):
        all_views = []
        for i, (count, size) in enumerate(self.sizes):
            shape = (count, SAMPLES, 3, size, size)
            all_views += list(pattern(100 * (i + 1) + step, shape) * 4)
        return all_views

    def follow(self, student, kept):
        with torch.no_grad():
            averages = [p for module in self.teacher for p in module.parameters()]
            weights = [*self.backbone.parameters(), *student.parameters()]
            for average, weight in zip(averages, weights):
                average.copy_(kept * average + (1 - kept) * weight)

    def before_step(self, step):
        pass

    def after_step(self, step):
        pass


def momentum(start, end, step):
    return end - (end - start) * (math.cos(math.pi * step / STEPS) + 1) / 2


def product(loss, parameters):
    """H·x for the backbone's parameters, x from pattern(77), pattern(78), ..."""
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)
    x = [pattern(77 + i, p.shape) for i, p in enumerate(parameters)]
    along = sum((g * v).sum() for g, v in zip(gradients, x))
    return torch.autograd.grad(along, parameters, retain_graph=True)


def check_fixed_targets(method):
    """The product is the difference of gradients of the loss with the targets of these weights."""
    parameters = list(method.backbone.parameters())
    views = method.views(0)
    targets = method.targets(views)
    expected = flat(product(method.loss(views), parameters))
    x = [pattern(77 + i, p.shape) for i, p in enumerate(parameters)]
    step = 1e-5

    def gradient(shift):
        with torch.no_grad():
            for p, v in zip(parameters, x):
                p.add_(shift * v)
        found = torch.autograd.grad(method.loss(views, targets), parameters)
        with torch.no_grad():
            for p, v in zip(parameters, x):
                p.sub_(shift * v)
        return torch.tensor(flat(found), dtype=torch.double)

    difference = (gradient(step) - gradient(-step)) / (2 * step)
    expected = torch.tensor(expected, dtype=torch.double)
    error = (difference - expected).norm() / difference.norm()
    assert error < 1e-6, f"{method.name}: {error}"


def run(kind):
    method = kind()
    method.prepare(0)
    if method.fixed_targets:
        check_fixed_targets(kind())
    trained = [*method.backbone.parameters(), *method.own()]
    result = {"key": method.key or method.name, "name": method.name, "library": method.library, "parameters": method.parameters,
              "views": [list(pair) for pair in method.sizes], "samples": SAMPLES, "rate": RATE,
              "seed": SEED, "steps": STEPS, "coupling": method.coupling,
              "fixed_targets": method.fixed_targets,
              "backbone": method.network, "data": method.data,
              "filled": {name: list(buffer.shape) for name, buffer in method.buffers.items()},
              "losses": []}
    if hasattr(method, "labels"):
        result["labels"] = method.labels.tolist()
    for step in range(STEPS):
        method.prepare(step)
        method.before_step(step)
        torch.manual_seed(SEED)
        loss = method.loss(method.views(step))
        result["losses"].append(loss.item())
        if step == 0:
            result["product"] = flat(product(loss, list(method.backbone.parameters())))
        gradients = torch.autograd.grad(loss, trained, allow_unused=True)
        gradients = [torch.zeros_like(p) if g is None else g for p, g in zip(trained, gradients)]
        if step == 0:
            result["gradients"] = flat(gradients)
        with torch.no_grad():
            for parameter, gradient in zip(trained, gradients):
                parameter.sub_(RATE * gradient)
        method.after_step(step)
    result["weights"] = flat(trained)
    result["teacher"] = flat([p for module in method.teacher for p in module.parameters()] or
                             [torch.zeros(0)])
    result["state"] = {name: numbers(buffer) for name, buffer in method.buffers.items()}
    return result


# Contrast


class Dcl(Method):
    """arXiv 2110.06848, L_DC: for each embedding the logarithm of the sum over all
    embeddings of other samples, minus the similarity with its positive."""

    name, library, coupling = "dcl", "contrastive", "gathered"
    parameters = {"temperature": 0.2, "projector": [5, 3]}

    def make(self):
        self.projector = perceptron(FEATURES, 5, 3)
        self.modules = [self.projector]

    def loss(self, views):
        z = unit(self.projector(self.backbone(torch.cat(views)))).chunk(2)
        temperature = self.parameters["temperature"]
        weights = torch.ones(SAMPLES, dtype=torch.double)
        if "sigma" in self.parameters:
            fall = torch.exp((z[0] * z[1]).sum(1) / self.parameters["sigma"])
            weights = 2 - fall / fall.mean()
        total = 0
        for k in range(2):
            for i in range(SAMPLES):
                negatives = sum(torch.exp(z[k][i] @ z[view][j] / temperature)
                                for view in range(2) for j in range(SAMPLES) if j != i)
                total = total - weights[i] * (z[0][i] @ z[1][i]) / temperature
                total = total + torch.log(negatives)
        return total / (2 * SAMPLES)


class Dclw(Dcl):
    name = "dclw"
    parameters = {"temperature": 0.2, "projector": [5, 3], "sigma": 0.4}


class SupCon(Method):
    """arXiv 2004.11362, equation 2."""

    name, library, coupling = "supcon", "contrastive", "gathered"
    parameters = {"temperature": 0.2, "projector": [5, 3]}
    labels = torch.tensor([0, 2, 1, 1, 0, 3, 1, 2])

    def make(self):
        self.projector = perceptron(FEATURES, 5, 3)
        self.modules = [self.projector]

    def loss(self, views):
        z = unit(self.projector(self.backbone(torch.cat(views))))
        labels = torch.cat([self.labels, self.labels])
        total = 0
        for i in range(len(z)):
            others = [a for a in range(len(z)) if a != i]
            all_of_them = sum(torch.exp(z[i] @ z[a] / 0.2) for a in others)
            positives = [p for p in others if labels[p] == labels[i]]
            total = total - sum(torch.log(torch.exp(z[i] @ z[p] / 0.2) / all_of_them)
                                for p in positives) / len(positives)
        return total / len(z)


class Moco(Method):
    """arXiv 1911.05722, algorithm 1, with the head of arXiv 2003.04297."""

    name, library, coupling = "moco", "contrastive", "separable"
    parameters = {"temperature": 0.3, "projector": [5, 3], "queue": 12, "momentum": 0.8,
                  "momentum_end": 0.8}

    def make(self):
        self.projector = perceptron(FEATURES, 5, 3, norm=False, last_bias=True)
        self.modules = [self.projector]
        self.with_teacher(self.projector)
        self.buffers = {"queue": torch.zeros(12, 3, dtype=torch.double)}
        self.pointer = 0

    def loss(self, views):
        queries = unit(self.projector(self.backbone(views[0])))
        with torch.no_grad():
            keys = unit(self.teacher[1](self.teacher[0](views[1])))
        queue = self.buffers["queue"].clone()
        total = 0
        for query, key in zip(queries, keys):
            positive = torch.exp(query @ key / 0.3)
            total = total - torch.log(positive / (positive + torch.exp(queue @ query / 0.3).sum()))
        for key in keys:
            self.buffers["queue"][self.pointer] = key
            self.pointer = (self.pointer + 1) % len(queue)
        return total / SAMPLES

    def after_step(self, step):
        self.follow(self.projector, 0.8)


class MocoV3(Method):
    """arXiv 2104.02057, algorithm 1."""

    name, library, coupling = "moco-v3", "contrastive", "gathered"
    parameters = {"temperature": 0.4, "projector": [5, 3], "predictor": [4], "momentum": 0.8,
                  "momentum_end": 0.9}

    def make(self):
        self.projector = perceptron(FEATURES, 5, 3, last_norm=False)
        self.predictor = perceptron(3, 4, 3)
        self.modules = [self.projector, self.predictor]
        self.with_teacher(self.projector)

    def loss(self, views):
        queries = [unit(self.predictor(self.projector(self.backbone(view)))) for view in views]
        with torch.no_grad():
            keys = [unit(self.teacher[1](self.teacher[0](view))) for view in views[::-1]]

        def contrast(q, k):
            return 2 * 0.4 * functional.cross_entropy(q @ k.t() / 0.4, torch.arange(len(q)))

        return contrast(queries[0], keys[0]) + contrast(queries[1], keys[1])

    def after_step(self, step):
        self.follow(self.projector, momentum(0.8, 0.9, step))


class Nnclr(Method):
    """arXiv 2104.14548, equations 3 and 4, both ways."""

    name, library, coupling = "nnclr", "contrastive", "gathered"
    parameters = {"temperature": 0.3, "projector": [5, 3], "predictor": [4], "queue": 12}

    def make(self):
        self.projector = perceptron(FEATURES, 5, 3, last_norm=True)
        self.predictor = perceptron(3, 4, 3, last_bias=True)
        self.modules = [self.projector, self.predictor]
        self.buffers = {"queue": torch.zeros(12, 3, dtype=torch.double)}
        self.pointer = 0

    def loss(self, views):
        z = [self.projector(self.backbone(view)) for view in views]
        p = [unit(self.predictor(one)) for one in z]
        queue = self.buffers["queue"].clone()

        def contrast(anchors, predictions):
            total = 0
            for i, anchor in enumerate(unit(anchors.detach())):
                neighbour = max(queue, key=lambda row: float(row @ anchor))
                weights = torch.exp(predictions @ neighbour / 0.3)
                total = total - torch.log(weights[i] / weights.sum())
            return total / SAMPLES

        loss = contrast(z[0], p[1]) / 2 + contrast(z[1], p[0]) / 2
        for row in unit(z[0].detach()):
            self.buffers["queue"][self.pointer] = row
            self.pointer = (self.pointer + 1) % len(queue)
        return loss


class ReSsl(Method):
    """arXiv 2107.09282, section 3.2."""

    name, library, coupling = "ressl", "contrastive", "separable"
    parameters = {"temperature": 0.4, "teacher_temperature": 0.2, "projector": [5, 3], "queue": 12,
                  "momentum": 0.8, "momentum_end": 0.8}

    def make(self):
        self.projector = perceptron(FEATURES, 5, 3, last_bias=True)
        self.modules = [self.projector]
        self.with_teacher(self.projector)
        self.buffers = {"queue": torch.zeros(12, 3, dtype=torch.double)}
        self.pointer = 0

    def loss(self, views):
        student = unit(self.projector(self.backbone(views[0])))
        with torch.no_grad():
            keys = unit(self.teacher[1](self.teacher[0](views[1])))
        queue = self.buffers["queue"].clone()
        total = 0
        for z, key in zip(student, keys):
            likely = torch.exp(queue @ z / 0.4)
            wanted = torch.exp(queue @ key / 0.2)
            total = total - (wanted / wanted.sum() * torch.log(likely / likely.sum())).sum()
        for key in keys:
            self.buffers["queue"][self.pointer] = key
            self.pointer = (self.pointer + 1) % len(queue)
        return total / SAMPLES

    def after_step(self, step):
        self.follow(self.projector, 0.8)


# Distillation


class SimSiam(Method):
    """arXiv 2011.10566, equations 1 to 4."""

    name, library, coupling, fixed_targets = "simsiam", "distillation", "separable", True
    parameters = {"projector": [5, 3], "predictor": [4]}

    def make(self):
        self.projector = perceptron(FEATURES, 5, 3, last_norm=False)
        self.predictor = perceptron(3, 4, 3, last_bias=True)
        self.modules = [self.projector, self.predictor]

    def targets(self, views):
        return [self.projector(self.backbone(view)).detach() for view in views]

    def loss(self, views, targets=None):
        z = [self.projector(self.backbone(view)) for view in views]
        targets = targets or [one.detach() for one in z]
        similar = [functional.cosine_similarity(self.predictor(z[i]), targets[1 - i]).mean()
                   for i in range(2)]
        return -similar[0] / 2 - similar[1] / 2


class DinoHead(nn.Module):
    def __init__(self, lengths):
        super().__init__()
        self.prototypes = nn.Parameter(torch.zeros(7, 4, dtype=torch.double))
        if lengths:
            self.lengths = nn.Parameter(torch.ones(7, 1, dtype=torch.double))
        self.layers = nn.Sequential(nn.Linear(FEATURES, 5), nn.GELU(), nn.Linear(5, 4)).double()

    def forward(self, features, frozen=False):
        rows = unit(self.prototypes)
        if hasattr(self, "lengths"):
            rows = rows * self.lengths
        return unit(self.layers(features)) @ (rows.detach() if frozen else rows).t()


class Dino(Method):
    """arXiv 2104.14294, algorithm 1 with multi-crop, and appendix A."""

    name, library, coupling = "dino", "distillation", "batch_statistics"
    parameters = {"hidden": [5], "bottleneck": 4, "prototypes": 7, "temperature": 0.2,
                  "teacher_temperature": 0.1, "teacher_temperature_start": 0.05,
                  "teacher_temperature_warmup": 2, "centre_momentum": 0.7, "freeze_prototypes": 1,
                  "scale_prototypes": True, "momentum": 0.8, "momentum_end": 1.0}
    sizes = [(2, 6), (2, 4)]

    def make(self):
        self.head = DinoHead(lengths=True)
        self.modules = [self.head]
        self.with_teacher(self.head)
        self.buffers = {"centre": torch.zeros(1, 7, dtype=torch.double)}
        self.age = 0

    def loss(self, views):
        centre = self.buffers["centre"]
        temperature = [0.05, 0.075, 0.1][self.age]
        frozen = self.age < 1
        student = [self.head(self.backbone(view), frozen) / 0.2 for view in views]
        with torch.no_grad():
            teacher = [self.teacher[1](self.teacher[0](view)) for view in views[:2]]
            targets = [functional.softmax((t - centre) / temperature, 1) for t in teacher]
        total, terms = 0, 0
        for i, target in enumerate(targets):
            for j, output in enumerate(student):
                if i != j:
                    total = total - (target * functional.log_softmax(output, 1)).sum(1).mean()
                    terms += 1
        centre.copy_(0.7 * centre + 0.3 * torch.cat(teacher).mean(0, keepdim=True))
        return total / terms

    def after_step(self, step):
        self.follow(self.head, momentum(0.8, 1.0, step))
        self.age += 1


# Redundancy reduction


class BarlowTwins(Method):
    """arXiv 2103.03230, equations 1 and 2, with the published code's constant in the deviations."""

    name, library, coupling = "barlow-twins", "redundancy-reduction", "batch_statistics"
    parameters = {"projector": [5, 3], "redundancy": 0.05}

    def make(self):
        self.projector = perceptron(FEATURES, 5, 3)
        self.modules = [self.projector]

    def loss(self, views):
        def standard(z):
            return (z - z.mean(0)) / torch.sqrt(z.var(0, unbiased=False) + 1e-5)
        a, b = [standard(self.projector(self.backbone(view))) for view in views]
        total = 0
        for i in range(3):
            for j in range(3):
                correlation = (a[:, i] * b[:, j]).sum() / SAMPLES
                total = total + ((1 - correlation) ** 2 if i == j else 0.05 * correlation ** 2)
        return total


class VicReg(Method):
    """arXiv 2105.04906, algorithm 1."""

    name, library, coupling = "vicreg", "redundancy-reduction", "batch_statistics"
    parameters = {"projector": [5, 3], "invariance": 5.0, "variance": 4.0, "covariance": 0.5}

    def make(self):
        self.projector = perceptron(FEATURES, 5, 3)
        self.modules = [self.projector]

    def loss(self, views):
        a, b = [self.projector(self.backbone(view)) for view in views]
        loss = 5 * functional.mse_loss(a, b)
        for z in (a, b):
            loss = loss + 4 * torch.relu(1 - torch.sqrt(z.var(0) + 1e-4)).mean()
            centred = z - z.mean(0)
            covariance = centred.t() @ centred / (SAMPLES - 1)
            loss = loss + 0.5 * sum(covariance[i, j] ** 2 for i in range(3) for j in range(3)
                                    if i != j) / 3
        return loss


class TiCo(Method):
    """arXiv 2206.10698, algorithm 1."""

    name, library, coupling = "tico", "redundancy-reduction", "batch_statistics"
    parameters = {"projector": [5, 3], "covariance": 3.0, "covariance_momentum": 0.6,
                  "momentum": 0.8, "momentum_end": 1.0}

    def make(self):
        self.projector = perceptron(FEATURES, 5, 3)
        self.modules = [self.projector]
        self.with_teacher(self.projector)
        self.buffers = {"covariance": torch.zeros(3, 3, dtype=torch.double)}

    def loss(self, views):
        first = unit(self.projector(self.backbone(views[0])))
        with torch.no_grad():
            second = unit(self.teacher[1](self.teacher[0](views[1])))
        batch = sum(torch.outer(row, row) for row in first) / SAMPLES
        covariance = 0.6 * self.buffers["covariance"] + 0.4 * batch
        loss = 1 - sum(a @ b for a, b in zip(first, second)) / SAMPLES
        loss = loss + 3.0 * sum(row @ covariance @ row for row in first) / SAMPLES
        self.buffers["covariance"].copy_(covariance.detach())
        return loss

    def after_step(self, step):
        self.follow(self.projector, momentum(0.8, 1.0, step))


class WMse(Method):
    """arXiv 2007.06346, equations 3 to 6: whitened by the inverse of the Cholesky factor."""

    name, library, coupling = "w-mse", "redundancy-reduction", "batch_statistics"
    parameters = {"projector": [5, 2], "part": 4, "iterations": 2, "epsilon": 0.1}

    def make(self):
        self.projector = perceptron(FEATURES, 5, 2, last_bias=True)
        self.modules = [self.projector]

    def loss(self, views):
        def whiten(v):
            centred = v - v.mean(0)
            covariance = 0.9 * centred.t() @ centred / (len(v) - 1) + 0.1 * torch.eye(2, dtype=v.dtype)
            return centred @ torch.linalg.inv(torch.linalg.cholesky(covariance)).t()
        a, b = [self.projector(self.backbone(view)) for view in views]
        total = 0
        for _ in range(2):
            for part in torch.randperm(SAMPLES).view(-1, 4):
                x, y = unit(whiten(a[part])), unit(whiten(b[part]))
                total = total + (x - y).square().sum()
        return total / (2 * SAMPLES)


class LeJepa(Method):
    """arXiv 2511.08544: the Epps-Pulley statistic with complex characteristic functions."""

    name, library, coupling = "lejepa", "redundancy-reduction", "batch_statistics"
    parameters = {"projector": [5, 3], "weight": 0.3, "slices": 4, "points": 5, "range": 3.0}
    sizes = [(2, 6), (2, 4)]

    def make(self):
        self.projector = perceptron(FEATURES, 5, 3, last_bias=True)
        self.modules = [self.projector]

    def loss(self, views):
        # Views of one size share a batch and its statistics.
        features = torch.cat([self.backbone(torch.cat(views[:2])),
                              self.backbone(torch.cat(views[2:]))])
        z = self.projector(features).chunk(4)
        slices = unit(torch.randn(4, 3, dtype=torch.double))
        t = torch.linspace(-3, 3, 5, dtype=torch.double)
        target = torch.exp(-t ** 2 / 2)
        centre = (z[0] + z[1]) / 2
        distance = sum(((one - centre) ** 2).mean() for one in z) / 4
        deviation = 0
        for one in z:
            for direction in slices:
                found = torch.exp(1j * (one @ direction)[:, None] * t).mean(0)
                error = (found - target).abs() ** 2 * target
                statistic = sum((error[i] + error[i + 1]) / 2 * (t[i + 1] - t[i])
                                for i in range(4))
                deviation = deviation + SAMPLES * statistic / (4 * 4)
        return 0.7 * distance + 0.3 * deviation


# Surrogate classes


class Rotation(Method):
    """arXiv 1803.07728, equations 2 and 3."""

    name, library, coupling = "rotation", "surrogate-classes", "separable"
    parameters = {"hidden": [5]}
    sizes = [(1, 6)]

    def make(self):
        self.head = perceptron(FEATURES, 5, 4, last_bias=True)
        self.modules = [self.head]

    def loss(self, views):
        turned = torch.cat([torch.rot90(views[0], turns, (2, 3)) for turns in range(4)])
        likely = functional.log_softmax(self.head(self.backbone(turned)), 1).chunk(4)
        return -sum(likely[turns][:, turns].mean() for turns in range(4)) / 4


class RelativeLocation(Method):
    """arXiv 1505.05192, section 3."""

    name, library, coupling = "relative-location", "surrogate-classes", "separable"
    parameters = {"hidden": [5], "gap": 0.5, "jitter": 0.25}
    sizes = [(1, 24)]

    def make(self):
        self.head = perceptron(2 * FEATURES, 5, 8, last_bias=True)
        self.modules = [self.head]

    def loss(self, views):
        # 24 pixels hold 3 patches of 5, 2 gaps of half as much and 1 pixel of jitter on each side.
        patch, jitter, pitch = 5, 1, 8.5

        def cut(cells):
            down = torch.randint(0, 2 * jitter + 1, (SAMPLES,))
            across = torch.randint(0, 2 * jitter + 1, (SAMPLES,))
            patches = []
            for image, cell, y, x in zip(views[0], cells, down, across):
                top = int(int(cell) // 3 * pitch) + int(y)
                left = int(int(cell) % 3 * pitch) + int(x)
                patches.append(image[:, top:top + patch, left:left + patch])
            return torch.stack(patches)

        places = torch.randint(0, 8, (SAMPLES,))
        around = [[0, 1, 2, 3, 5, 6, 7, 8][int(place)] for place in places]
        first = cut([4] * SAMPLES)
        second = cut(around)
        features = self.backbone(torch.cat([first, second])).chunk(2)
        return functional.cross_entropy(self.head(torch.cat(features, 1)), places)


class Jigsaw(Method):
    """arXiv 1603.09246, sections 3.1 to 3.3."""

    name, library, coupling = "jigsaw", "surrogate-classes", "separable"
    parameters = {"hidden": [5], "grid": 2, "permutations": 6, "tile": 0.7}
    sizes = [(1, 10)]

    def make(self):
        self.head = perceptron(4 * FEATURES, 5, 6, last_bias=True)
        self.modules = [self.head]
        orders = list(itertools.permutations(range(4)))
        self.orders = [orders[0]]
        while len(self.orders) < 6:
            def nearest(order):
                return min(sum(a != b for a, b in zip(order, other)) for other in self.orders)
            self.orders.append(max(orders, key=nearest))

    def loss(self, views):
        cell, side = 5, 3
        chosen = torch.randint(0, 6, (SAMPLES,))
        features = []
        for place in range(4):
            down = torch.randint(0, cell - side + 1, (SAMPLES,))
            across = torch.randint(0, cell - side + 1, (SAMPLES,))
            tiles = []
            for image, order, y, x in zip(views[0], chosen, down, across):
                which = self.orders[order][place]
                top, left = which // 2 * cell + int(y), which % 2 * cell + int(x)
                tile = image[:, top:top + side, left:left + side]
                tiles.append((tile - tile.mean()) / (tile.var(unbiased=False) + 1e-5).sqrt())
            features.append(torch.stack(tiles))
        # One pass over all tiles of a batch, place after place.
        outputs = self.backbone(torch.cat(features)).chunk(4)
        return functional.cross_entropy(self.head(torch.cat(outputs, 1)), chosen)


class SeLa(Method):
    """arXiv 1911.05371, equations 1 to 8, with the scaling of Cuturi 2013 as it stands."""

    name, library, coupling = "sela", "surrogate-classes", "separable"
    parameters = {"labels": 3, "hidden": [5], "relabel_every": 0.5, "sharpness": 4.0,
                  "sinkhorn_iterations": 6}
    sizes = [(1, 6)]

    def make(self):
        self.hidden = nn.Sequential(nn.Linear(FEATURES, 5), nn.BatchNorm1d(5), nn.ReLU()).double()
        self.classifier = nn.Linear(5, 3).double()
        self.modules = [self.hidden, self.classifier]
        self.buffers = {"features": torch.zeros(self.data, 5, dtype=torch.double)}
        self.labels_of = [i % 3 for i in range(self.data)]
        self.seen = set()
        self.since = 0

    def before_step(self, step):
        if self.since < 0.5 * self.data:
            return
        self.since = 0
        known = sorted(self.seen)
        with torch.no_grad():
            likely = functional.softmax(self.classifier(self.buffers["features"][known]), 1)
            shares = likely ** 4.0
            for _ in range(6):
                shares = shares / shares.sum(0, keepdim=True)
                shares = shares / shares.sum(1, keepdim=True)
        for sample, row in zip(known, shares):
            self.labels_of[sample] = int(row.argmax())

    def loss(self, views):
        features = self.hidden(self.backbone(views[0]))
        labels = torch.tensor([self.labels_of[sample] for sample in self.indices])
        for sample, row in zip(self.indices, features.detach()):
            self.buffers["features"][sample] = row
        self.seen.update(self.indices)
        self.since += SAMPLES
        return functional.cross_entropy(self.classifier(features), labels)


# Feature maps


class Inpainting(Method):
    """arXiv 1604.07379, equation 1, of a quarter of each image."""

    name, library, coupling, network = "inpainting", "dense", "separable", "patches"
    parameters = {"hole": 0.25, "width": 4}
    sizes = [(1, 8)]

    def make(self):
        self.up = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(FEATURES, 4, 3, padding=1,
                                                                       bias=False),
                                nn.BatchNorm2d(4), nn.ReLU()).double()
        self.pixels = nn.Conv2d(4, 3, 3, padding=1).double()
        self.modules = [self.up, self.pixels]

    def loss(self, views):
        tops = torch.randint(0, 5, (SAMPLES, 1))
        lefts = torch.randint(0, 5, (SAMPLES, 1))
        cut = views[0].clone()
        holes = [(slice(int(y), int(y) + 4), slice(int(x), int(x) + 4)) for y, x in zip(tops, lefts)]
        for image, (rows, columns) in zip(cut, holes):
            image[:, rows, columns] = 0
        filled = self.pixels(self.up(self.backbone.maps(cut)))
        return sum(((one[:, rows, columns] - image[:, rows, columns]) ** 2).mean()
                   for one, image, (rows, columns) in zip(filled, views[0], holes)) / SAMPLES


class VicRegL(Method):
    """arXiv 2210.01571, section 3, with the criterion of VICReg's algorithm 1."""

    name, library, coupling, network = "vicregl", "dense", "batch_statistics", "patches"
    parameters = {"projector": [5, 3], "local_projector": [4, 3], "global_weight": 0.6, "pairs": 3,
                  "invariance": 5.0, "variance": 4.0, "covariance": 0.5}
    sizes = [(1, 8), (1, 6)]

    def make(self):
        self.projector = perceptron(FEATURES, 5, 3)
        self.local = perceptron(FEATURES, 4, 3)
        self.modules = [self.projector, self.local]

    @staticmethod
    def criterion(a, b):
        loss = 5 * functional.mse_loss(a, b)
        for z in (a, b):
            covariance = torch.cov(z.t())
            loss = loss + 4 * torch.relu(1 - torch.sqrt(z.var(0) + 1e-4)).mean()
            loss = loss + 0.5 * (covariance.square().sum() - covariance.diagonal().square().sum()) / 3
        return loss

    def loss(self, views):
        whole, places, positions = [], [], []
        for images, geometry in zip(views, self.geometry):
            maps = self.backbone.maps(images)
            size = maps.shape[2]
            whole.append(self.projector(maps.mean((2, 3))))
            rows = maps.flatten(2).transpose(1, 2)
            places.append(self.local(rows.flatten(0, 1)).view(SAMPLES, size * size, 3))
            centres = torch.tensor([[2 * j + 1.0, 2 * i + 1.0, 1.0] for i in range(size)
                                    for j in range(size)], dtype=torch.double)
            positions.append(torch.einsum("nab,pb->npa", geometry, centres))

        def pairs(one, other, keys):
            first, second = [], []
            for n in range(SAMPLES):
                found = []
                for p, key in enumerate(keys[one][n].detach()):
                    distances = [float(((key - k) ** 2).sum()) for k in keys[other][n].detach()]
                    q = min(range(len(distances)), key=distances.__getitem__)
                    found.append((distances[q], p, q))
                found.sort()
                first.append(torch.stack([places[one][n][p] for _, p, _ in found[:3]]))
                second.append(torch.stack([places[other][n][q] for _, _, q in found[:3]]))
            first, second = torch.stack(first), torch.stack(second)
            return sum(self.criterion(first[:, k], second[:, k]) for k in range(3)) / 3

        local = sum(pairs(one, 1 - one, keys) for keys in (positions, places) for one in range(2))
        return 0.6 * self.criterion(*whole) + 0.4 * local / 2


# Masks


def hidden_places(places, count):
    """For each sample the places with the smallest random numbers."""
    return [sorted(row.tolist()[:count]) for row in torch.rand(SAMPLES, places).argsort(stable=True, dim=1)]


def others(places, hidden):
    return [[place for place in range(places) if place not in row] for row in hidden]


def pixels_of(image, place, size):
    i, j = divmod(place, size)
    return image[:, 2 * i:2 * i + 2, 2 * j:2 * j + 2].flatten()


class Holder(nn.Module):
    """A parameter by itself."""

    def __init__(self, *shape):
        super().__init__()
        self.value = nn.Parameter(torch.zeros(*shape, dtype=torch.double))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x):
        normed = self.norm1(x)
        x = x + self.attention(normed, normed, normed, need_weights=False)[0]
        return x + self.fc2(functional.gelu(self.fc1(self.norm2(x))))


def transformer(width, depth, heads):
    return nn.Sequential(*[Block(width, heads) for _ in range(depth)],
                         nn.LayerNorm(width, eps=1e-6)).double()


def wave(place, size, width):
    row, column = divmod(place, size)
    angles = [[x / 10000 ** (k / (width // 4)) for k in range(width // 4)] for x in (row, column)]
    return torch.tensor([f(a) for one in angles for f in (math.sin, math.cos) for a in one],
                        dtype=torch.double)


class SimMim(Method):
    """arXiv 2111.09886, section 3: the mean absolute error of hidden pixels."""

    name, library, coupling, network = "simmim", "masked", "separable", "patches"
    parameters = {"mask_ratio": 0.5, "mask_size": 4}
    sizes = [(1, 8)]

    def make(self):
        self.token = Holder(FEATURES)
        self.head = nn.Linear(FEATURES, 12).double()
        self.modules = [self.token, self.head]

    def loss(self, views):
        # Squares of 4 pixels hold 4 patches.
        squares = hidden_places(4, 2)
        hidden = [[place for place in range(16) if place // 8 * 2 + place % 4 // 2 in row]
                  for row in squares]
        tokens = self.backbone.tokens(views[0], masked=hidden, mask_token=self.token.value)
        told = self.head(tokens[:, 1:])
        errors = [(told[n, place] - pixels_of(views[0][n], place, 4)).abs().mean()
                  for n, row in enumerate(hidden) for place in row]
        return sum(errors) / len(errors)


class SimMimMaps(Method):
    """The same on maps: a learnt colour in the place of hidden pixels."""

    name, library, coupling, network = "simmim", "masked", "separable", "maps"
    key = "simmim-maps"
    parameters = {"mask_ratio": 0.5, "mask_size": 4}
    sizes = [(1, 8)]

    def make(self):
        self.colour = Holder(3)
        self.head = nn.Linear(FEATURES, 12).double()
        self.modules = [self.colour, self.head]

    def loss(self, views):
        mask = torch.zeros(SAMPLES, 8, 8, dtype=torch.bool)
        for n, row in enumerate(hidden_places(4, 2)):
            for square in row:
                i, j = divmod(square, 2)
                mask[n, 4 * i:4 * i + 4, 4 * j:4 * j + 4] = True
        mask = mask[:, None].expand(-1, 3, -1, -1)
        seen = torch.where(mask, self.colour.value[None, :, None, None], views[0])
        maps = self.backbone.maps(seen).permute(0, 2, 3, 1)
        told = functional.pixel_shuffle(self.head(maps).permute(0, 3, 1, 2), 2)
        return (told - views[0])[mask].abs().mean()


class Mae(Method):
    """arXiv 2111.06377, section 3."""

    name, library, coupling, network = "mae", "masked", "separable", "patches"
    parameters = {"mask_ratio": 0.625, "decoder_width": 8, "decoder_depth": 2, "decoder_heads": 2}
    sizes = [(1, 8)]

    def make(self):
        self.token = Holder(8)
        self.embedding = nn.Linear(FEATURES, 8).double()
        self.decoder = transformer(8, 2, 2)
        self.pixels = nn.Linear(8, 12).double()
        self.modules = [self.token, self.embedding, self.decoder, self.pixels]

    def loss(self, views):
        hidden = hidden_places(16, 10)
        kept = others(16, hidden)
        seen = self.embedding(self.backbone.tokens(views[0], kept=kept))
        total = 0
        for n in range(SAMPLES):
            rows = [seen[n, 0]]
            for place in range(16):
                row = seen[n, 1 + kept[n].index(place)] if place in kept[n] else self.token.value
                rows.append(row + wave(place, 4, 8))
            told = self.pixels(self.decoder(torch.stack(rows)[None]))[0, 1:]
            for place in hidden[n]:
                wanted = pixels_of(views[0][n], place, 4)
                wanted = (wanted - wanted.mean()) / (wanted.var(unbiased=False) + 1e-6).sqrt()
                total = total + functional.mse_loss(told[place], wanted)
        return total / (10 * SAMPLES)


class IJepa(Method):
    """arXiv 2301.08243, section 3, with the normalised targets and the trimmed contexts of the
    published code. A block that would leave a sample no patch to see is its first block again."""

    name, library, coupling, network = "i-jepa", "masked", "separable", "patches"
    parameters = {"targets": 2, "target_scale_min": 0.15, "target_scale_max": 0.3,
                  "predictor_width": 8, "predictor_depth": 1, "predictor_heads": 2,
                  "momentum": 0.8, "momentum_end": 1.0}
    sizes = [(1, 8)]

    def make(self):
        self.token = Holder(8)
        self.embedding = nn.Linear(FEATURES, 8).double()
        self.predictor = transformer(8, 1, 2)
        self.output = nn.Linear(8, FEATURES).double()
        self.modules = [self.token, self.embedding, self.predictor, self.output]
        self.teacher = [copy.deepcopy(self.backbone).requires_grad_(False)]

    @staticmethod
    def block(share, form, largest=16):
        height = min(max(round(math.sqrt(share * 16 * form)), 1), 4)
        width = min(max(round(math.sqrt(share * 16 / form)), 1), 4)
        if height * width > largest:
            height -= 1
        tops = torch.randint(0, 4 - height + 1, (SAMPLES, 1))
        lefts = torch.randint(0, 4 - width + 1, (SAMPLES, 1))
        return [[4 * (int(y) + i) + int(x) + j for i in range(height) for j in range(width)]
                for y, x in zip(tops, lefts)]

    def loss(self, views):
        def between(least, most):
            return least + (most - least) * float(torch.rand(1, dtype=torch.double))

        share, form = between(0.15, 0.3), between(0.75, 1.5)
        blocks = [self.block(share, form, 15) for _ in range(2)]
        hidden = [set() for _ in range(SAMPLES)]
        for block in blocks:
            for n in range(SAMPLES):
                if len(hidden[n].union(block[n])) == 16:
                    block[n] = blocks[0][n]
                hidden[n].update(block[n])
        context = self.block(between(0.85, 1.0), 1.0)
        kept = [[place for place in context[n] if place not in hidden[n]] for n in range(SAMPLES)]
        kept = [row or [place for place in range(16) if place not in hidden[n]]
                for n, row in enumerate(kept)]
        shortest = min(len(row) for row in kept)
        kept = [row[:shortest] for row in kept]
        with torch.no_grad():
            wanted = functional.layer_norm(self.teacher[0].tokens(views[0])[:, 1:], (FEATURES,))
        seen = self.embedding(self.backbone.tokens(views[0], kept=kept)[:, 1:])
        total = 0
        for block in blocks:
            for n in range(SAMPLES):
                rows = [seen[n, k] + wave(place, 4, 8) for k, place in enumerate(kept[n])]
                rows += [self.token.value + wave(place, 4, 8) for place in block[n]]
                told = self.output(self.predictor(torch.stack(rows)[None])[0, shortest:])
                total = total + functional.mse_loss(told, wanted[n, block[n]])
        return total / (2 * SAMPLES)

    def after_step(self, step):
        kept = momentum(0.8, 1.0, step)
        with torch.no_grad():
            for average, weight in zip(self.teacher[0].parameters(), self.backbone.parameters()):
                average.copy_(kept * average + (1 - kept) * weight)


class Msn(Method):
    """arXiv 2204.07141, equation 1, with one masked view and one smaller one."""

    name, library, coupling, network = "msn", "masked", "batch_statistics", "patches"
    parameters = {"projector": [5, 3], "prototypes": 7, "mask_ratio": 0.25, "temperature": 0.2,
                  "teacher_temperature": 0.1, "entropy_weight": 0.6, "momentum": 0.8,
                  "momentum_end": 1.0}
    sizes = [(2, 8), (1, 4)]

    def make(self):
        self.prototypes = Holder(7, 3)
        self.projector = perceptron(FEATURES, 5, 3, last_bias=True)
        self.modules = [self.prototypes, self.projector]
        self.teacher = [copy.deepcopy(module).requires_grad_(False)
                        for module in (self.prototypes, self.backbone, self.projector)]

    def loss(self, views):
        kept = others(16, hidden_places(16, 4))
        rows = torch.cat([self.backbone.tokens(views[1], kept=kept)[:, 0], self.backbone(views[2])])
        predicted = functional.softmax(unit(self.projector(rows)) @ unit(self.prototypes.value).t()
                                       / 0.2, 1)
        with torch.no_grad():
            prototypes, backbone, projector = self.teacher
            wanted = functional.softmax(unit(projector(backbone(views[0]))) @
                                        unit(prototypes.value).t() / 0.1, 1)
        mean = predicted.mean(0)
        crossed = -sum((wanted[i % SAMPLES] * torch.log(p)).sum() for i, p in enumerate(predicted))
        return crossed / len(predicted) + 0.6 * (mean * torch.log(mean)).sum()

    def after_step(self, step):
        kept = momentum(0.8, 1.0, step)
        students = [self.prototypes, self.backbone, self.projector]
        with torch.no_grad():
            for share, teacher, student in zip((0, kept, kept), self.teacher, students):
                for average, weight in zip(teacher.parameters(), student.parameters()):
                    average.copy_(share * average + (1 - share) * weight)


METHODS = [Dcl, Dclw, SupCon, Moco, MocoV3, Nnclr, ReSsl, SimSiam, Dino, BarlowTwins, VicReg, TiCo, WMse,
           LeJepa, Rotation, RelativeLocation, Jigsaw, SeLa, Inpainting, VicRegL, SimMim, SimMimMaps, Mae,
           IJepa, Msn]


def main():
    torch.set_num_threads(1)
    write("methods.json", {"made_by": "tests/reference/methods.py",
                           "methods": [run(method) for method in METHODS]})


if __name__ == "__main__":
    main()
