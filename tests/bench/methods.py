#!/usr/bin/env python3
"""What a step of each pretext task costs beside SimCLR's: methods.py BISSL [--only NAME ...]

Trains the pretext task of each pipeline in pipelines/methods for a few steps on synthetic images, with its
number and sizes of views and its backbone, all with one batch size and views that cost next to nothing, on
one thread. Prints the processor time of a training step and of a product H*x with a kept graph, and the
largest memory of both beyond what the program takes by itself, each over that of SimCLR with the same
backbone. One run has stages of two lengths; their differences leave out what begins and ends a stage.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

SOURCE = pathlib.Path(__file__).resolve().parents[2]
STEPS = (1, 5)
TERMS = (1, 5)
BATCH = 32

PIPELINE = """name = "cost"
[data.images]
use     = "synthetic"
samples = 4096
size    = 28
[data.labelled]
use     = "synthetic"
samples = 256
size    = 28
[model.backbone]
{backbone}
[stage.short]
kind      = "pretrain"
data      = "images"
views     = [{views}]
pretext   = {pretext}
optimizer = {{ use = "sgd", lr = 1e-3 }}
batch     = {batch}
steps     = {steps[0]}
[stage.long]
like  = "short"
steps = {steps[1]}
[stage.few]
kind          = "bissl"
from          = "long"
rounds        = 1
lambda        = 1.0
head_warmup   = {{ fit = "none" }}
hypergradient = {{ use = "minres", iterations = {terms[0]}, tolerance = 0.0, damping = 10.0 }}
[stage.few.lower]
steps = 1
[stage.few.upper]
data       = "labelled"
steps      = 1
batch      = 8
augment    = {{ use = "evaluation", size = 28 }}
downstream = {{ use = "classification" }}
optimizer  = {{ use = "sgd", lr = 1e-3 }}
[stage.many]
like          = "few"
hypergradient = {{ iterations = {terms[1]} }}
"""


def inline(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {inline(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(inline(one) for one in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def load(path):
    """A pipeline with what it includes, as far as this script reads it."""
    table = tomllib.loads(path.read_text())
    for name in table.get("include", []):
        below = load(path.parent / name)
        backbone = below["model"]["backbone"]
        own = table.get("model", {}).get("backbone", {})
        same = own.get("use", backbone["use"]) == backbone["use"]
        table["model"] = {"backbone": {**backbone, **own} if same else own}
        stage = table.setdefault("stage", {}).setdefault("pretrain", {})
        stage.setdefault("pretext", below["stage"]["pretrain"]["pretext"])
    return table


def views_of(stage):
    sizes = [view["augment"]["size"] for view in stage.get("views", [])
             for _ in range(view.get("count", 1))]
    return ", ".join('{ augment = { use = "evaluation", size = %d } }' % size for size in sizes)


def call(bissl, *arguments):
    """Runs the program; returns what the process used."""
    process = subprocess.Popen([bissl, *arguments], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    error = process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{bissl} {' '.join(arguments)}\n{error}")
    return used


def measure(bissl, pipeline, declared):
    """Processor seconds of a step, bytes beside it, the same of a product."""
    stage = pipeline["stage"]["pretrain"]
    views = views_of(stage) or ", ".join(
        ['{ augment = { use = "evaluation", size = 28 } }'] * declared)
    backbone = "\n".join(f"{key} = {inline(value)}"
                         for key, value in pipeline["model"]["backbone"].items())
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "cost.toml"
        file.write_text(PIPELINE.format(backbone=backbone, views=views, terms=TERMS, steps=STEPS,
                                        pretext=inline(stage["pretext"]), batch=BATCH))
        call(bissl, "run", str(file), "--out", folder + "/out", "--threads", "1", "--profile")
        run = pathlib.Path(folder) / "out" / "cost"
        results = json.loads((run / "results.json").read_text())["stages"]

        def seconds(name):
            text = (run / "profile" / (name + ".txt")).read_text()
            return float(re.search(r"([0-9.]+) s of processor time", text)[1])

        return ((seconds("long") - seconds("short")) / (STEPS[1] - STEPS[0]),
                results["long"]["peak_memory_bytes"],
                (seconds("many") - seconds("few")) / (TERMS[1] - TERMS[0]),
                results["many"]["peak_memory_bytes"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bissl")
    parser.add_argument("--only", nargs="*", default=[])
    arguments = parser.parse_args()
    one_view = {"rotation", "relative-location", "jigsaw", "sela", "inpainting", "simmim", "mae",
                "i-jepa"}
    own = call(arguments.bissl, "describe", "cg").ru_maxrss * 1024
    baselines = {}

    def measured(pipeline, declared):
        step, memory, product, memory_of_product = measure(arguments.bissl, pipeline, declared)
        return step, memory - own, product, memory_of_product - own

    print("| pipeline | backbone | step | its memory | H·x | its memory |")
    print("| --- | --- | --- | --- | --- | --- |")
    for path in sorted((SOURCE / "pipelines/methods").glob("*.toml")):
        pipeline = load(path) if path.stem != "base" else None
        if path.stem in ("base", "token-base") or (arguments.only and path.stem not in arguments.only):
            continue
        backbone = pipeline["model"]["backbone"]["use"]
        if backbone not in baselines:
            simclr = load(SOURCE / "pipelines/methods/vicreg.toml")
            simclr["model"] = pipeline["model"]
            simclr["stage"]["pretrain"] = {
                "pretext": {"use": "simclr", "temperature": 0.5, "projector": [128, 128, 64]}}
            baselines[backbone] = measured(simclr, 2)
            step, memory, product, of_product = baselines[backbone]
            print(f"| simclr | {backbone} | 1 ({step:.3f} s) | 1 ({memory / 2**20:.0f} MB) | "
                  f"1 ({product:.3f} s) | 1 ({of_product / 2**20:.0f} MB) |", flush=True)
        use = pipeline["stage"]["pretrain"]["pretext"]["use"]
        try:
            found = measured(pipeline, 1 if use in one_view else 2)
        except RuntimeError as error:
            print(f"{path.stem}: {error}", file=sys.stderr)
            continue
        ratios = [a / b for a, b in zip(found, baselines[backbone])]
        print(f"| {path.stem} | {backbone} | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) +
              " |", flush=True)


if __name__ == "__main__":
    main()
