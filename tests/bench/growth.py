#!/usr/bin/env python3
"""How time and memory grow: growth.py BISSL [--only PART ...] [--cells 1e4] [--stages 1e5]

Measures the program against the number of images, classes, samples in a batch, channels, Hessian
products, processes, cells of a sweep and stages in a store, and prints a table for each as in
docs/growth.md. Processor time is user and system; memory is the largest resident set of a process.
Everything is made up, in a temporary folder. --images, --cells and --stages bound those numbers.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import tempfile
import time

MODEL = """[model.backbone]
use   = "resnet18"
stem  = "small"
width = {width}
"""

SYNTHETIC = """[data.images]
use     = "synthetic"
samples = {samples}
size    = 8
"""

PRETRAIN = """[stage.pretrain]
kind      = "pretrain"
data      = "images"
augment   = {{ use = "simclr", size = {size} }}
pretext   = {{ use = "simclr", projector = [32, 16] }}
optimizer = {{ use = "sgd", lr = 0.01 }}
batch     = {batch}
steps     = {steps}
"""

FINETUNE = """[stage.finetune]
kind       = "finetune"
from       = "scratch"
data       = "images"
augment    = {{ use = "supervised", size = 8 }}
downstream = {{ use = "classification" }}
optimizer  = {{ use = "sgd", lr = 0.01 }}
batch      = 64
steps      = {steps}
evaluate   = {{ data = "images", augment = {{ use = "evaluation", size = 8 }} }}
"""

BISSL = """[stage.bissl]
kind          = "bissl"
from          = "scratch"
rounds        = 1
lambda        = 1.0
hypergradient = {{ use = "neumann", terms = {terms}, damping = 1000.0 }}
[stage.bissl.lower]
data      = "images"
augment   = {{ use = "simclr", size = 16 }}
pretext   = {{ use = "simclr", projector = [32, 16] }}
optimizer = {{ use = "sgd", lr = 0.01 }}
batch     = 64
steps     = 1
[stage.bissl.upper]
data       = "images"
augment    = {{ use = "supervised", size = 16 }}
downstream = {{ use = "classification" }}
optimizer  = {{ use = "sgd", lr = 0.01 }}
batch      = 64
steps      = {steps}
"""

KNN = """[data.images]
use     = "synthetic"
samples = 32
size    = 8
[data.test]
use     = "synthetic"
samples = 32
size    = 8
split   = "test"
[stage.knn]
kind    = "knn"
from    = "scratch"
bank    = "images"
data    = "test"
k       = 3
augment = { use = "evaluation", size = 8 }
"""

IDX = """[data.images]
use  = "mnist"
root = "idx"
"""


class Calls:
    """Calls of the program in one folder."""

    def __init__(self, program, place):
        self.program = os.path.abspath(program)
        self.place = place
        self.environment = dict(os.environ, XDG_CACHE_HOME=str(place / "cache"), OMP_NUM_THREADS="1")

    def __call__(self, *words):
        """Seconds of processor, megabytes, and what was printed."""
        with open(self.place / "out", "w+b") as out, open(self.place / "err", "w+b") as err:
            child = subprocess.Popen([self.program, *words], cwd=self.place, env=self.environment,
                                     stdout=out, stderr=err)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            err.seek(0)
            text = out.read().decode()
            if child.returncode != 0:
                raise SystemExit(f"{' '.join(words)} ended with {child.returncode}:\n{text[-2000:]}"
                                 f"\n{err.read().decode()[-2000:]}")
        return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6, text

    def write(self, text, width=2):
        (self.place / "p.toml").write_text('name = "growth"\n' + text + MODEL.format(width=width))

    def run(self, text, width=2, more=()):
        """Runs a pipeline from the start."""
        self.write(text, width)
        shutil.rmtree(self.place / "runs", ignore_errors=True)
        return self("run", "p.toml", "--threads", "1", *more)

    def per_step(self, text, few, many, width=2, more=()):
        """Seconds of processor that a step adds, and the memory of the longer run."""
        short, _, _ = self.run(text(few), width, more)
        long, memory, _ = self.run(text(many), width, more)
        return max(0.0, long - short) / (many - few), memory


def table(title, head, rows):
    print(f"\n## {title}\n", flush=True)
    print("| " + " | ".join(head) + " |")
    print("| " + " | ".join("---" for _ in head) + " |")
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def write_idx(folder, count):
    """Images of 28 x 28 in MNIST's form, all of them different."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = random.Random(0).randbytes(1 << 20)
    with open(folder / "train-images-idx3-ubyte", "wb") as images:
        images.write(struct.pack(">4i", 0x803, count, 28, 28))
        for number in range(count):
            begin = number * 61 % (len(noise) - 784)
            images.write(struct.pack(">i", number) + noise[begin:begin + 780])
    with open(folder / "train-labels-idx1-ubyte", "wb") as labels:
        labels.write(struct.pack(">2i", 0x801, count) + bytes(i % 10 for i in range(count)))


def images(calls, arguments):
    counts = [n for n in (1_000, 10_000, 100_000, 1_000_000) if n <= arguments.images]

    def rows():
        for count in counts:
            write_idx(calls.place / "idx", count)
            time.sleep(3)  # files that have just changed are hashed again
            calls.write(IDX + PRETRAIN.format(size=8, batch=8, steps=1))
            first = calls("check", "p.toml", "--threads", "1")
            again = calls("check", "p.toml", "--threads", "1")
            score = calls.run(IDX + FINETUNE.format(steps=1).replace("batch      = 64", "batch = 8"))
            yield (f"{count:,}", f"{first[0]:.2f} s", f"{again[0]:.2f} s", f"{again[1]:.0f} MB",
                   f"{score[0]:.2f} s", f"{score[1]:.0f} MB")

    table("Images", ("images", "`check`, hashes all", "`check` again", "memory",
                     "`run`: one step, all scored", "memory"), rows())


def classes(calls, _):
    def rows():
        for count in (10, 100, 1_000, 10_000):
            root = calls.place / f"folders-{count}"
            for number in range(count):
                folder = root / f"class-{number:05}"
                folder.mkdir(parents=True)
                for image in range(2):
                    (folder / f"{image}.pgm").write_bytes(b"P5 8 8 255\n" + random.randbytes(64))
            source = ('[data.images]\nuse = "image-folder"\nchannels = "gray"\n'
                      f'root = "{root.name}"\n')
            calls.write(source + FINETUNE.format(steps=1))
            check = calls("check", "p.toml", "--threads", "1")
            step, memory = calls.per_step(lambda n: source + FINETUNE.format(steps=n), 2, 102)
            yield (f"{count:,}", f"{check[0]:.2f} s", f"{1e3 * step:.1f} ms", f"{memory:.0f} MB")

    table("Classes", ("classes", "`check`", "step of 64 images", "memory of `run`"), rows())


def batch(calls, _):
    def rows():
        for size in (16, 64, 256, 1_024):
            many = 1 + max(8, min(128, 8_192 // size))
            step, memory = calls.per_step(
                lambda n: SYNTHETIC.format(samples=1_024) + PRETRAIN.format(size=8, batch=size, steps=n), 1,
                many)
            yield f"{size:,}", f"{1e3 * step:.1f} ms", f"{1e6 * step / size:.0f} µs", f"{memory:.0f} MB"

    table("Batch", ("images in a batch", "SimCLR step", "for each image", "memory"), rows())


def width(calls, _):
    def rows():
        for channels in (2, 4, 8, 16, 32):
            step, memory = calls.per_step(
                lambda n: SYNTHETIC.format(samples=256) + PRETRAIN.format(size=16, batch=32, steps=n), 1,
                1 + max(8, 128 // channels), channels)
            yield f"{channels}", f"{1e3 * step:.1f} ms", f"{memory:.0f} MB"

    table("Width", ("channels of the first layers", "SimCLR step of 32 images of 16 px", "memory"), rows())


def products(calls, _):
    def rows():
        for count in (1, 2, 4, 8, 16):
            step, memory = calls.per_step(
                lambda n: SYNTHETIC.format(samples=256) +
                BISSL.format(terms=count, steps=n), 1, 9, 4)
            yield f"{count}", f"{1e3 * step:.1f} ms", f"{memory:.0f} MB"

    table("Hessian products", ("products of a solve", "upper step", "memory"), rows())


def ranks(calls, _):
    def rows():
        for count in (1, 2):
            step, memory = calls.per_step(
                lambda n: SYNTHETIC.format(samples=256) + PRETRAIN.format(size=16, batch=64, steps=n), 2,
                22, 8, ("--ranks", str(count)))
            yield f"{count}", f"{1e3 * step:.1f} ms", f"{memory:.0f} MB"

    table("Processes", ("`--ranks`", "SimCLR step of 64 images, processor time of all processes",
                        "memory of the largest"), rows())


def counts_up_to(most):
    return [n for n in (10, 100, 1_000, 10_000, 100_000) if n <= most]


def link_or_copy(file, other):
    """Puts a file in another place, too. Returns what the next link is best made to."""
    try:
        os.link(file, other)
        return file
    except OSError:  # it has as many links as a file may have
        shutil.copyfile(file, other)
        return other


def fill_store(store, template, keys):
    """Copies of a finished stage under other keys, which share its files."""
    text = (template / "stage.json").read_text()
    own = json.loads(text)["key"]
    others = [file for file in template.iterdir() if file.name != "stage.json"]
    assert all(file.is_file() for file in others)
    for key in keys:
        folder = store / key
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        with open(folder / "stage.json", "w") as record:
            record.write(text.replace(f'"{own}"', f'"{key}"'))
        others = [link_or_copy(file, folder / file.name) for file in others]


def finished_stage(calls):
    calls.write(KNN)
    calls("run", "p.toml", "--threads", "1")
    return (calls.place / "runs" / "growth" / "knn").resolve()


def cells(calls, arguments):
    def rows():
        for count in counts_up_to(arguments.cells):
            shutil.rmtree(calls.place / "runs", ignore_errors=True)
            template = finished_stage(calls)
            values = [2 + i for i in range(min(10, count))]
            (calls.place / "a.toml").write_text(
                'pipeline = "p.toml"\nmetric = "knn.test.top1"\n[axes]\n'
                f'"stage.knn.k" = {values}\nseed = {list(range(count // len(values)))}\n')
            plan = calls("sweep", "a.toml", "--threads", "1", "--plan", "--json")
            keys = {stage["key"] for stage in json.loads(plan[2])["stages"]}
            fill_store(template.parent, template, keys)
            sweep = calls("sweep", "a.toml", "--threads", "1")
            status = calls("sweep", "a.toml", "--threads", "1", "--status")
            report = calls("report", "runs/a")
            yield (f"{count:,}", *(f"{part[0]:.2f} s" for part in (plan, sweep, status, report)),
                   f"{max(part[1] for part in (plan, sweep, status)):.0f} MB", f"{report[1]:.0f} MB")

    table("Cells of a sweep", ("cells", "`--plan`", "`sweep`, all stages in the store", "`--status`",
                               "`report`", "memory of `sweep`", "memory of `report`"), rows())


def store(calls, arguments):
    def rows():
        shutil.rmtree(calls.place / "runs", ignore_errors=True)
        template = finished_stage(calls)
        for count in counts_up_to(arguments.stages):
            keys = [hashlib.md5(str(number).encode()).hexdigest() for number in range(count - 1)]
            fill_store(template.parent, template, keys)
            calls.write(KNN.replace("k       = 3", "k = 4"))
            missing = calls("store", "explain", "p.toml")
            calls.write(KNN)
            listed = calls("store", "list")
            explained = calls("store", "explain", "p.toml")
            verified = calls("store", "verify")
            pruned = calls("store", "prune", "--unused", "--dry-run")
            run = calls("run", "p.toml", "--threads", "1")
            all_calls = (listed, explained, missing, verified, pruned, run)
            yield (f"{count:,}", *(f"{part[0]:.2f} s" for part in all_calls),
                   f"{max(part[1] for part in all_calls):.0f} MB")

    table("Stages in a store", ("stages", "`store list`", "`store explain`, finished", "the same, missing",
                                "`store verify`", "`store prune --unused --dry-run`",
                                "`run` of a finished stage", "memory"), rows())


PARTS = {part.__name__: part for part in (images, classes, batch, width, products, ranks, cells, store)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("bissl")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--images", type=float, default=1e6)
    parser.add_argument("--cells", type=float, default=1e4)
    parser.add_argument("--stages", type=float, default=1e5)
    arguments = parser.parse_args()
    for part in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[part](Calls(arguments.bissl, pathlib.Path(folder)), arguments)


if __name__ == "__main__":
    main()
