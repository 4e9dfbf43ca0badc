#!/usr/bin/env python3
"""How a run fares beside busy neighbours.

    python3 tests/bench/neighbours.py [--program build/release/bin/bissl] [--repeats 3] [--steps 20] [--nice N]

trains a small pretrain and a bissl stage, alone and beside as many busy single-thread processes as there are
processors, with `--threads auto`, with one thread and with all. The calls take turns, so that other load
of the machine meets all of them alike; medians of the stages' seconds are printed, with what the choice of threads took in them, and the share: with the machine shared fairly between the run and its neighbours a stage takes twice as long as alone with
all threads, which is a share of 1. `--nice -15` (as root) keeps other programs on the machine out of it.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile

PIPELINE = """
name = "neighbours"
seed = 1
[data.images]
use = "synthetic"
samples = 2048
size = 20
[data.labelled]
use = "synthetic"
samples = 512
size = 20
[model.backbone]
use = "resnet18"
stem = "small"
width = 8
[stage.pretrain]
kind = "pretrain"
data = "images"
augment = { use = "simclr", size = 20 }
pretext = { use = "simclr", projector = [64, 32] }
optimizer = { use = "lars", lr = 0.5 }
batch = 128
steps = {steps}
[stage.bissl]
kind = "bissl"
from = "pretrain"
rounds = 1
lambda = 0.1
hypergradient = { use = "cg", iterations = 3 }
[stage.bissl.lower]
steps = {lower}
[stage.bissl.upper]
data = "labelled"
steps = {upper}
batch = 64
augment = { use = "supervised", size = 20 }
downstream = { use = "classification" }
optimizer = { use = "adamw", lr = 0.01 }
"""


def pipeline(steps):
    text = PIPELINE
    for key, value in {"steps": steps, "lower": max(1, 2 * steps // 5), "upper": max(1, steps // 5)}.items():
        text = text.replace(f"{{{key}}}", str(value))
    return text


BUSY = ["sh", "-c", "while :; do :; done"]


def run(program, file, threads, nice):
    with tempfile.TemporaryDirectory() as out:
        call = subprocess.run(["nice", "-n", str(nice), program, "run", file, "--out", out, "--threads", threads],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if call.returncode != 0:
            sys.exit(f"{' '.join(call.args)} ended with {call.returncode}:\n{call.stderr}")
        with open(os.path.join(out, "neighbours", "results.json")) as results:
            stages = json.load(results)["stages"]
    return {name: (stage["seconds"], stage["environments"][-1]["threads"]["compute"])
            for name, stage in stages.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bin/bissl")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20, help="of pretrain; bissl has as many in proportion")
    parser.add_argument("--nice", type=int, default=0)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the neighbours must end, too
    processors = len(os.sched_getaffinity(0))
    found = {}
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(pipeline(arguments.steps))
        file.flush()
        for _ in range(arguments.repeats):
            for beside in (0, processors):
                neighbours = [subprocess.Popen(["nice", "-n", str(arguments.nice)] + BUSY)
                              for _ in range(beside)]
                try:
                    for threads in dict.fromkeys(("auto", "1", str(processors))):
                        for stage, taken in run(arguments.program, file.name, threads, arguments.nice).items():
                            found.setdefault((stage, beside, threads), []).append(taken)
                finally:
                    for neighbour in neighbours:
                        neighbour.kill()
                        neighbour.wait()
    print("| stage | busy neighbours | --threads | threads chosen | seconds | share of the fair half |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (stage, beside, threads), taken in sorted(found.items()):
        seconds = statistics.median(second for second, _ in taken)
        alone = statistics.median(second for second, _ in found[(stage, 0, str(processors))])
        chosen = ", ".join(str(number) for _, number in taken) if threads == "auto" else ""
        share = f"{2 * alone / seconds:.2f}" if beside else ""
        print(f"| {stage} | {beside} | {threads} | {chosen} | {seconds:.2f} | {share} |")


if __name__ == "__main__":
    main()
