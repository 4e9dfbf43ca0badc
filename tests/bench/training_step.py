#!/usr/bin/env python3
"""Training steps of a ResNet-18 and its evaluation: bissl's and PyTorch's, in turns.

    /usr/bin/python3 tests/bench/training_step.py [--program build/release/bin/training_bench]
        [--kinds pretrain,finetune,evaluate] [--shapes imagenet:64,imagenet:96,small:32] [--batch 128]
        [--threads 1] [--steps 3] [--turns 3] [--precisions fp32,bf16] [--torch-kernels]

wants Debian's python3-torch and python3-torchvision, and training_bench (-DBISSL_BUILD_BENCHMARKS=ON). Prints the
medians over all steps of the processor's seconds (user and system, all threads) and of the clock's, and PyTorch's over
bissl's. A step of pretraining is SimCLR's on two views of each image, with SGD. --precisions makes a row for each: the
network of both in it, by autocast, heads and losses in single precision. --torch-kernels gives PyTorch's OpenBLAS
the kernels that bissl names for itself (docs/dependencies.md).
"""

import argparse
import os
import statistics
import subprocess
import sys
import time


def torch_steps(kind, stem, precision, size, batch, threads, steps):
    import torch
    import torchvision
    from torch.nn import functional

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = torchvision.models.resnet18()
    network.fc = torch.nn.Identity()
    if stem == "small":
        network.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
        network.maxpool = torch.nn.Identity()
    if kind == "pretrain":
        head = torch.nn.Sequential(
            torch.nn.Linear(512, 256), torch.nn.BatchNorm1d(256), torch.nn.ReLU(),
            torch.nn.Linear(256, 256), torch.nn.BatchNorm1d(256), torch.nn.ReLU(),
            torch.nn.Linear(256, 256, bias=False))
    else:
        head = torch.nn.Linear(512, 10)
    parameters = list(network.parameters()) + list(head.parameters())
    optimizer = torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, weight_decay=1e-4)
    views = torch.randn(2, batch, 3, size, size)
    targets = torch.randint(0, 10, (batch,))
    partners = torch.cat([torch.arange(batch, 2 * batch), torch.arange(batch)])

    def features(images):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16", cache_enabled=False):
            return network(images).float()

    def loss():
        if kind == "finetune":
            return functional.cross_entropy(head(features(views[0])), targets)
        z = functional.normalize(head(features(torch.cat([views[0], views[1]]))), dim=1)
        similarity = z @ z.T / 0.5
        similarity.fill_diagonal_(float("-inf"))
        return functional.cross_entropy(similarity, partners)

    def step():
        if kind == "evaluate":
            with torch.no_grad():
                head(features(views[0]))
            return
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    if kind == "evaluate":
        network.eval()
        head.eval()
    step()
    for _ in range(steps):
        processor, clock = time.process_time(), time.perf_counter()
        step()
        print(time.process_time() - processor, time.perf_counter() - clock, flush=True)


def measured(command, environment):
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return [tuple(float(number) for number in line.split()) for line in output.splitlines()]


def compare(arguments, kind, precision, stem, size):
    work = [kind, stem, size, str(arguments.batch), str(arguments.threads), str(arguments.steps)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    kernels = {"OPENBLAS_CORETYPE": "SkylakeX"} if arguments.torch_kernels else {}
    ours, theirs = [], []
    for _ in range(arguments.turns):
        ours += measured([arguments.program, *work, precision], environment)
        theirs += measured([sys.executable, __file__, "--torch", kind, stem, precision, *work[2:]], {**environment, **kernels})
    medians = [statistics.median(step[i] for step in steps) for i in (0, 1) for steps in (ours, theirs)]
    print(f"{kind:<9} {stem:<9} {size:>3} px  {precision}  processor {medians[0]:8.3f} {medians[1]:8.3f} s  {medians[1] / medians[0]:5.2f} x"
          f"   clock {medians[2]:8.3f} {medians[3]:8.3f} s  {medians[3] / medians[2]:5.2f} x", flush=True)


def main():
    if sys.argv[1:2] == ["--torch"]:
        torch_steps(*sys.argv[2:5], *(int(number) for number in sys.argv[5:]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bin/training_bench")
    parser.add_argument("--kinds", default="pretrain,finetune,evaluate")
    parser.add_argument("--shapes", default="imagenet:64,imagenet:96,small:32")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--precisions", default="fp32")
    parser.add_argument("--torch-kernels", action="store_true")
    arguments = parser.parse_args()
    print(f"batch {arguments.batch}, {arguments.threads} threads; bissl, PyTorch, PyTorch over bissl")
    for kind in arguments.kinds.split(","):
        for shape in arguments.shapes.split(","):
            for precision in arguments.precisions.split(","):
                compare(arguments, kind, precision, *shape.split(":"))


main()
