"""One step of the upper level as the method's published code takes it: the forward and the first
backward pass are built again in every iteration of conjugate gradient. Written for the comparison
that hypergradient_bench prints; it shares no code with bissl.

Prints the median seconds of a gradient of the pretext loss and of an upper step."""

import argparse
import copy
import statistics
import time

import torch
import torchvision
from torch.nn import functional


def backbone(stem):
    model = torchvision.models.resnet18()
    model.fc = torch.nn.Identity()
    if stem == "small":
        model.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
        model.maxpool = torch.nn.Identity()
    return model


def projector():
    return torch.nn.Sequential(
        torch.nn.Linear(512, 256), torch.nn.BatchNorm1d(256), torch.nn.ReLU(),
        torch.nn.Linear(256, 256), torch.nn.BatchNorm1d(256), torch.nn.ReLU(),
        torch.nn.Linear(256, 256, bias=False))


def nt_xent(first, second, temperature=0.5):
    z = functional.normalize(torch.cat([first, second]), dim=1)
    n = len(first)
    similarity = z @ z.T / temperature
    similarity.fill_diagonal_(float("-inf"))
    partners = torch.cat([torch.arange(n, 2 * n), torch.arange(n)])
    return functional.cross_entropy(similarity, partners)


class Problem:
    def __init__(self, arguments):
        torch.manual_seed(0)
        size, batch = arguments.size, arguments.batch
        self.lower = backbone(arguments.stem)
        self.upper = copy.deepcopy(self.lower)
        self.projector = projector()
        self.head = torch.nn.Linear(512, 10)
        self.views = torch.randn(2, batch, 3, size, size)
        self.images = torch.randn(batch, 3, size, size)
        self.targets = torch.randint(0, 10, (batch,))
        self.iterations = arguments.iterations
        self.weights = list(self.lower.parameters())
        trained = list(self.upper.parameters()) + list(self.head.parameters())
        self.optimizer = torch.optim.SGD(trained, lr=1e-4, momentum=0.9)

    def pretext_loss(self):
        z = self.projector(self.lower(self.views.flatten(0, 1)))
        return nt_xent(*z.chunk(2))

    def pretext_gradient(self):
        return torch.autograd.grad(self.pretext_loss(), self.weights)

    def hessian_product(self, x):
        gradient = torch.autograd.grad(self.pretext_loss(), self.weights, create_graph=True)
        return torch.autograd.grad(gradient, self.weights, grad_outputs=x)

    def solve(self, u):
        """Conjugate gradient on (I + H/(lambda + damping)) v = u, a fixed number of iterations."""
        weight = 0.001 + 10.0
        v = [torch.zeros_like(t) for t in u]
        residual = [t.clone() for t in u]
        direction = [t.clone() for t in u]
        squared = sum((r * r).sum() for r in residual)
        for _ in range(self.iterations):
            product = self.hessian_product(direction)
            image = [d + p / weight for d, p in zip(direction, product)]
            alpha = squared / sum((d * i).sum() for d, i in zip(direction, image))
            v = [a + alpha * d for a, d in zip(v, direction)]
            residual = [r - alpha * i for r, i in zip(residual, image)]
            following = sum((r * r).sum() for r in residual)
            direction = [r + following / squared * d for r, d in zip(residual, direction)]
            squared = following
        return v

    def upper_step(self):
        head = list(self.head.parameters())
        loss = functional.cross_entropy(self.head(self.lower(self.images)), self.targets)
        both = torch.autograd.grad(loss, self.weights + head)
        u, through = both[: len(self.weights)], both[len(self.weights):]
        v = self.solve(u)
        gamma = 0.01
        loss = functional.cross_entropy(self.head(self.upper(self.images)), self.targets)
        self.optimizer.zero_grad()
        (gamma * loss).backward()
        for parameter, extra in zip(list(self.upper.parameters()) + head, v + list(through)):
            parameter.grad.add_(extra)
        torch.nn.utils.clip_grad_norm_(list(self.upper.parameters()) + head, 10.0)
        self.optimizer.step()


def median_seconds(work, repeats):
    work()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--stem", default="imagenet")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    problem = Problem(arguments)
    print(median_seconds(problem.pretext_gradient, arguments.repeats),
          median_seconds(problem.upper_step, arguments.repeats))


main()
