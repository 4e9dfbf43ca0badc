#!/usr/bin/env python3
"""Writes golden/resnet.json, golden/losses.json and golden/optimizers.json: what PyTorch and
torchvision make of networks, losses and optimizers, in double precision.

Run with Debian's Python (packages python3-torch and python3-torchvision):

    /usr/bin/python3 tests/reference/training.py

Nothing is random: numbers come from `pattern`, which the C++ tests compute too.
"""

import json
import math
import pathlib

import numpy
import torch
import torchvision
from torch import nn
from torch.nn import functional
from torchvision.models import resnet

FOLDER = pathlib.Path(__file__).parent / "golden"
MODULUS = 2003
PATTERN = f"((31 i i + 7919 i + 104729 k) mod {MODULUS}) / {MODULUS} - 0.5"


def pattern(k, shape):
    """Numbers in [-0.5, 0.5) that look random, the same in every language (see PATTERN)."""
    i = numpy.arange(math.prod(shape), dtype=numpy.int64)
    whole = (31 * i * i + 7919 * i + 104729 * k) % MODULUS
    return torch.from_numpy(whole / MODULUS - 0.5).reshape(shape)


def numbers(tensor):
    return [float(f"{value:.17g}") for value in tensor.detach().flatten().tolist()]


def write(name, content):
    golden = {
        "made_by": "tests/reference/training.py",
        "seed": PATTERN,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": numpy.__version__,
        **content,
    }
    target = FOLDER / name
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(golden, indent=None, separators=(",", ":"))
                      .replace('{"name"', '\n{"name"') + "\n")
    print(f"{target}: {target.stat().st_size} bytes")


# Networks


class Network(resnet.ResNet):
    """torchvision's ResNet with its blocks, another width and stem, and no classifier."""

    def __init__(self, block, layers, channels=3, width=64, small=False):
        nn.Module.__init__(self)
        self._norm_layer = nn.BatchNorm2d
        self.inplanes = width
        self.dilation = 1
        self.groups = 1
        self.base_width = 64
        self.conv1 = (nn.Conv2d(channels, width, 3, 1, 1, bias=False) if small else
                      nn.Conv2d(channels, width, 7, 2, 3, bias=False))
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        for i, blocks in enumerate(layers):
            layer = self._make_layer(block, width << i, blocks, stride=1 if i == 0 else 2)
            setattr(self, f"layer{i + 1}", layer)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Identity()


NETWORKS = {
    "resnet18": (resnet.resnet18, resnet.BasicBlock, [2, 2, 2, 2]),
    "resnet34": (resnet.resnet34, resnet.BasicBlock, [3, 4, 6, 3]),
    "resnet50": (resnet.resnet50, resnet.Bottleneck, [3, 4, 6, 3]),
}


def shapes(module):
    return {name: list(tensor.shape) for name, tensor in module.state_dict().items()
            if not name.startswith("fc.")}


def set_weights(module):
    """Weights that keep activations near 1. k counts the names in alphabetical order."""
    for k, (name, tensor) in enumerate(sorted(module.state_dict().items())):
        if not tensor.is_floating_point():
            continue
        values = pattern(k, tuple(tensor.shape))
        if tensor.dim() == 4:
            values = values * math.sqrt(24 / tensor[0].numel())
        elif name.endswith("bias") or name.endswith("running_mean"):
            values = 0.2 * values
        else:
            values = 1 + 0.5 * values
        tensor.copy_(values)


def forward_case(name, width, small, images_shape):
    _, block, layers = NETWORKS[name]
    network = Network(block, layers, images_shape[1], width, small).double()
    set_weights(network)
    images = 2 * pattern(1, images_shape)
    case = {"name": name, "width": width, "stem": "small" if small else "imagenet",
            "images": list(images_shape)}
    network.eval()
    case["eval"] = numbers(network(images))
    network.train()
    features = network(images)
    case["train"] = numbers(features)
    case["running_mean"] = numbers(network.bn1.running_mean)
    case["running_var"] = numbers(network.bn1.running_var)
    (features * pattern(2, features.shape)).sum().backward()
    case["gradient_norms"] = {key: float(parameter.grad.norm())
                              for key, parameter in network.named_parameters()}
    return case


def write_resnet():
    networks = []
    for name, (constructor, block, layers) in NETWORKS.items():
        standard = constructor()
        assert shapes(Network(block, layers)) == shapes(standard)
        without = sum(parameter.numel() for key, parameter in standard.named_parameters()
                      if not key.startswith("fc."))
        small = Network(block, layers, 1, 16, True)
        networks.append({
            "name": name,
            "parameters": without,
            "parameters_gray_width16_small": sum(p.numel() for p in small.parameters()),
            "shapes": shapes(standard),
        })
    write("resnet.json", {
        "networks": networks,
        "forward": [forward_case("resnet18", 8, True, (4, 3, 12, 12)),
                    forward_case("resnet50", 4, False, (4, 1, 40, 32))],
    })


# Losses


def nt_xent(first, second, temperature):
    """Equation 1 of arXiv 2002.05709, pair by pair."""
    both = torch.cat([first, second])
    n = len(first)
    total = 0
    for i in range(2 * n):
        def weight(k):
            return torch.exp(functional.cosine_similarity(both[i], both[k], dim=0) / temperature)
        positive = weight((i + n) % (2 * n))
        total = total - torch.log(positive / sum(weight(k) for k in range(2 * n) if k != i))
    return total / (2 * n)


def nt_xent_case(n, width, temperature):
    first = pattern(3, (n, width)).requires_grad_()
    second = pattern(4, (n, width)).requires_grad_()
    loss = nt_xent(first, second, temperature)
    loss.backward()
    return {"name": "nt_xent", "samples": n, "width": width, "temperature": temperature,
            "loss": float(loss), "first": numbers(first.grad), "second": numbers(second.grad)}


def simclr_case(forward):
    """Projector 6 → 5 → 4 → 3 on features that are the images themselves."""
    projector = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 4),
                              nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3, bias=False)).double()
    for k, (_, tensor) in enumerate(projector.named_parameters()):
        tensor.data.copy_(2 * pattern(10 + k, tuple(tensor.shape)))
    views = pattern(5, (2, 4, 6))

    def loss():
        if forward == "joint":
            return nt_xent(*projector(views.flatten(0, 1)).chunk(2), 0.2)
        return nt_xent(projector(views[0]), projector(views[1]), 0.2)

    value = loss()
    value.backward()
    case = {"name": "simclr", "forward": forward, "train": float(value),
            "gradients": [numbers(parameter.grad) for parameter in projector.parameters()]}
    projector.eval()
    case["eval"] = float(loss())
    return case


def cross_entropy_case(smoothing):
    logits = (6 * pattern(6, (5, 4))).requires_grad_()
    targets = torch.tensor([0, 3, 1, 1, 2])
    loss = functional.cross_entropy(logits, targets, label_smoothing=smoothing)
    loss.backward()
    return {"name": "cross_entropy", "smoothing": smoothing, "targets": targets.tolist(),
            "loss": float(loss), "gradient": numbers(logits.grad)}


def write_losses():
    write("losses.json", {
        "nt_xent": [nt_xent_case(5, 7, 0.5), nt_xent_case(3, 4, 0.07), nt_xent_case(2, 3, 1.5)],
        "simclr": [simclr_case("joint"), simclr_case("separate")],
        "cross_entropy": [cross_entropy_case(0.0), cross_entropy_case(0.15)],
    })


# Optimizers

RATES = [1.0, 0.5, 0.25, 0.75, 1.0]
SHAPES = {"weight": (3, 4), "bias": (4,)}


def start():
    return {name: pattern(20 + k, shape) for k, (name, shape) in enumerate(SHAPES.items())}


def gradient(step, k, parameter):
    """Depends on the parameter, so that an error grows from step to step."""
    return pattern(30 + 2 * step + k, tuple(parameter.shape)) + 0.3 * parameter


def torch_run(make, lr):
    """`make` gets the parameters by name and returns an optimizer with the rate `lr`."""
    parameters = {name: nn.Parameter(value) for name, value in start().items()}
    optimizer = make(parameters)
    trace = []
    for step, rate in enumerate(RATES):
        for k, parameter in enumerate(parameters.values()):
            parameter.grad = gradient(step, k, parameter.detach())
        for group in optimizer.param_groups:
            group["lr"] = lr * rate
        optimizer.step()
        trace.append([numbers(parameter) for parameter in parameters.values()])
    return trace


def sgd_case(momentum, nesterov, decay, decay_1d):
    def make(parameters):
        groups = [{"params": [parameters["weight"]], "weight_decay": decay},
                  {"params": [parameters["bias"]], "weight_decay": decay if decay_1d else 0.0}]
        return torch.optim.SGD(groups, lr=0.3, momentum=momentum, nesterov=nesterov)
    return {"name": "sgd", "options": {"lr": 0.3, "momentum": momentum, "nesterov": nesterov,
                                       "weight_decay": decay, "decay_1d": decay_1d},
            "trace": torch_run(make, 0.3)}


def adamw_case(betas, epsilon, decay, decay_1d):
    def make(parameters):
        groups = [{"params": [parameters["weight"]], "weight_decay": decay},
                  {"params": [parameters["bias"]], "weight_decay": decay if decay_1d else 0.0}]
        return torch.optim.AdamW(groups, lr=0.05, betas=betas, eps=epsilon)
    return {"name": "adamw",
            "options": {"lr": 0.05, "beta1": betas[0], "beta2": betas[1], "epsilon": epsilon,
                        "weight_decay": decay, "decay_1d": decay_1d},
            "trace": torch_run(make, 0.05)}


def lars_case(momentum, decay, trust, decay_1d, scale_1d, zero_first_gradient=False):
    """You et al. 2017 (arXiv 1708.03888): the local rate is trust·‖w‖/‖g‖, where g holds the weight
    decay (their algorithm 1 has the bound ‖∇‖ + β·‖w‖ in its place). The global rate stands outside
    the momentum, as it does in torch.optim.SGD."""
    lr = 0.3
    weights = {name: value.numpy() for name, value in start().items()}
    momenta = {name: numpy.zeros_like(value) for name, value in weights.items()}
    trace = []
    for step, rate in enumerate(RATES):
        for k, name in enumerate(weights):
            weight = weights[name]
            is_1d = weight.ndim == 1
            slope = gradient(step, k, torch.from_numpy(weight)).numpy()
            if zero_first_gradient and step == 0:
                slope = numpy.zeros_like(slope)
            if decay_1d or not is_1d:
                slope = slope + decay * weight
            local = 1.0
            sizes = math.sqrt((weight ** 2).sum()), math.sqrt((slope ** 2).sum())
            if (scale_1d or not is_1d) and min(sizes) > 0:
                local = trust * sizes[0] / sizes[1]
            momenta[name] = momentum * momenta[name] + local * slope
            weights[name] = weight - lr * rate * momenta[name]
        trace.append([numbers(torch.from_numpy(weight)) for weight in weights.values()])
    return {"name": "lars",
            "options": {"lr": lr, "momentum": momentum, "weight_decay": decay, "trust": trust,
                        "decay_1d": decay_1d, "scale_1d": scale_1d},
            "zero_first_gradient": zero_first_gradient, "trace": trace}


def adam_case(betas, epsilon, decay, decay_1d):
    def make(parameters):
        groups = [{"params": [parameters["weight"]], "weight_decay": decay},
                  {"params": [parameters["bias"]], "weight_decay": decay if decay_1d else 0.0}]
        return torch.optim.Adam(groups, lr=0.05, betas=betas, eps=epsilon)
    return {"name": "adam",
            "options": {"lr": 0.05, "beta1": betas[0], "beta2": betas[1], "epsilon": epsilon,
                        "weight_decay": decay, "decay_1d": decay_1d},
            "trace": torch_run(make, 0.05)}


def numpy_run(name, options, update):
    """`update(state, t, weight, slope, lr)` returns the new weight; `state` is a weight's own."""
    weights = {key: value.numpy() for key, value in start().items()}
    states = {key: {} for key in weights}
    trace = []
    for step, rate in enumerate(RATES):
        for k, key in enumerate(weights):
            slope = gradient(step, k, torch.from_numpy(weights[key])).numpy()
            weights[key] = update(states[key], step + 1, weights[key], slope, rate)
        trace.append([numbers(torch.from_numpy(weight)) for weight in weights.values()])
    return {"name": name, "options": options, "trace": trace}


def lamb_case(decay, decay_1d, scale_1d):
    """You et al. 2020 (arXiv 1904.00962), algorithm 2 with φ the identity."""
    lr, b1, b2, epsilon = 0.1, 0.85, 0.95, 1e-6

    def update(state, t, x, g, rate):
        state["m"] = b1 * state.get("m", 0.0) + (1 - b1) * g
        state["v"] = b2 * state.get("v", 0.0) + (1 - b2) * g ** 2
        r = state["m"] / (1 - b1 ** t) / (numpy.sqrt(state["v"] / (1 - b2 ** t)) + epsilon)
        u = r + (decay * x if decay_1d or x.ndim > 1 else 0.0)
        ratio = numpy.linalg.norm(x) / numpy.linalg.norm(u) if scale_1d or x.ndim > 1 else 1.0
        return x - lr * rate * ratio * u
    return numpy_run("lamb", {"lr": lr, "beta1": b1, "beta2": b2, "epsilon": epsilon,
                              "weight_decay": decay, "decay_1d": decay_1d, "scale_1d": scale_1d},
                     update)


def lion_case(decay, decay_1d):
    """Chen et al. 2023 (arXiv 2302.06675), algorithm 2."""
    lr, b1, b2 = 0.02, 0.9, 0.8

    def update(state, _, x, g, rate):
        m = state.get("m", numpy.zeros_like(x))
        c = b1 * m + (1 - b1) * g
        wd = decay if decay_1d or x.ndim > 1 else 0.0
        state["m"] = b2 * m + (1 - b2) * g
        return x - lr * rate * (numpy.sign(c) + wd * x)
    return numpy_run("lion", {"lr": lr, "beta1": b1, "beta2": b2, "weight_decay": decay,
                              "decay_1d": decay_1d}, update)


def adan_case(decay, decay_1d):
    """Xie et al. 2022 (arXiv 2208.06677), algorithm 1; a decay b here is 1 − β there. The moments
    start at 0 and are divided by 1 − bᵗ."""
    lr, b1, b2, b3, epsilon = 0.03, 0.9, 0.8, 0.95, 1e-6

    def update(state, t, x, g, rate):
        d = g - state.get("g", g)
        state["g"] = g
        state["m"] = b1 * state.get("m", 0.0) + (1 - b1) * g
        state["v"] = b2 * state.get("v", 0.0) + (1 - b2) * d
        state["n"] = b3 * state.get("n", 0.0) + (1 - b3) * (g + b2 * d) ** 2
        root = numpy.sqrt(state["n"] / (1 - b3 ** t)) + epsilon
        step = (state["m"] / (1 - b1 ** t) + b2 * state["v"] / (1 - b2 ** t)) / root
        wd = decay if decay_1d or x.ndim > 1 else 0.0
        return (x - lr * rate * step) / (1 + lr * rate * wd)
    return numpy_run("adan", {"lr": lr, "beta1": b1, "beta2": b2, "beta3": b3, "epsilon": epsilon,
                              "weight_decay": decay, "decay_1d": decay_1d}, update)


def muon_case(nesterov, decay):
    """Jordan et al. 2024: the polynomial 3.4445·x − 4.775·x³ + 2.0315·x⁵ on the singular values,
    five times, worked out with the singular vectors. Vectors: AdamW."""
    lr, mu, lr_1d, b1, b2, epsilon = 0.05, 0.9, 0.02, 0.8, 0.95, 1e-8

    def update(state, t, x, g, rate):
        if x.ndim == 1:
            state["m"] = b1 * state.get("m", 0.0) + (1 - b1) * g
            state["v"] = b2 * state.get("v", 0.0) + (1 - b2) * g ** 2
            root = numpy.sqrt(state["v"] / (1 - b2 ** t)) + epsilon
            return x - lr_1d * rate * state["m"] / (1 - b1 ** t) / root
        state["m"] = mu * state.get("m", 0.0) + g
        u = g + mu * state["m"] if nesterov else state["m"]
        left, s, right = numpy.linalg.svd(u, full_matrices=False)
        s = s / (numpy.linalg.norm(u) + 1e-7)
        for _ in range(5):
            s = 3.4445 * s - 4.7750 * s ** 3 + 2.0315 * s ** 5
        scale = math.sqrt(max(1.0, x.shape[0] / x.shape[1]))
        return x * (1 - lr * rate * decay) - lr * rate * scale * (left * s) @ right
    return numpy_run("muon", {"lr": lr, "momentum": mu, "nesterov": nesterov, "weight_decay": decay,
                              "lr_1d": lr_1d, "beta1": b1, "beta2": b2, "epsilon": epsilon}, update)


def write_optimizers():
    write("optimizers.json", {
        "rates": RATES,
        "cases": [
            sgd_case(0.0, False, 0.0, True),
            sgd_case(0.9, False, 0.0, True),
            sgd_case(0.9, True, 0.1, True),
            sgd_case(0.9, False, 0.1, False),
            adamw_case((0.9, 0.999), 1e-8, 0.0, True),
            adamw_case((0.8, 0.95), 1e-3, 0.2, True),
            adamw_case((0.9, 0.999), 1e-8, 0.2, False),
            lars_case(0.9, 0.0, 0.05, False, False),
            lars_case(0.9, 0.1, 0.05, False, False),
            lars_case(0.9, 0.1, 0.05, True, False),
            lars_case(0.9, 0.1, 0.05, False, True),
            lars_case(0.0, 0.1, 0.05, True, True),
            lars_case(0.9, 0.0, 0.05, True, True, zero_first_gradient=True),
            adam_case((0.9, 0.999), 1e-8, 0.0, True),
            adam_case((0.8, 0.95), 1e-3, 0.2, True),
            adam_case((0.9, 0.999), 1e-8, 0.2, False),
            lamb_case(0.0, False, False),
            lamb_case(0.1, False, False),
            lamb_case(0.1, True, True),
            lion_case(0.0, True),
            lion_case(0.3, False),
            adan_case(0.0, True),
            adan_case(0.3, False),
            muon_case(True, 0.2),
            muon_case(False, 0.0),
        ],
    })


def main():
    torch.set_num_threads(1)
    write_resnet()
    write_losses()
    write_optimizers()


if __name__ == "__main__":
    main()
