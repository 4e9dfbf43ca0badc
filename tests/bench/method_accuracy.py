#!/usr/bin/env python3
"""What the recipes of pipelines/methods learn: nearest neighbours on Fashion-MNIST, over three seeds.

    method_accuracy.py BISSL --out FOLDER --write [--only NAME ...] [--jobs N]
    method_accuracy.py BISSL --check [--only NAME ...] [--jobs N]

Of each pipeline it computes the pretraining, the share of right nearest neighbours of its features (the
stage `neighbours`) and of random ones (`random-neighbours`), and once the share of raw pixels: the same
stage with a TorchScript network that gives back its images. Each pipeline is a sweep over the seeds in
FOLDER, so a call that was interrupted continues, and one with other names adds to what is there.

`--write` puts the figures and the margins that they allow into tests/bench/method_accuracy.json, for the
pipelines that were run, and makes the table of docs/methods.md of that file. `--check`, the test
`method_margins` (label long), computes all of it anew in a folder of its own and asks for these margins. It
exits with 1 where one is not reached or a network has collapsed, and with 77 where the file has none.
Needs Debian's python3-torch and dataset-fashion-mnist.
"""

import argparse
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile
import tomllib

SOURCE = pathlib.Path(__file__).resolve().parents[2]
METHODS = SOURCE / "pipelines/methods"
FIGURES = SOURCE / "tests/bench/method_accuracy.json"
PAGE = SOURCE / "docs/methods.md"
IMAGES = pathlib.Path("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz")
BEGIN = "<!-- Below: written by tests/bench/method_accuracy.py. -->"
END = "<!-- Until here. -->"
SKIPPED = 77
# The files that the others include are pipelines of SimCLR.
NAMES = {"base": "simclr", "token-base": "simclr-tokens"}
# Of four classes: features that are all alike get a quarter.
COLLAPSED = 0.4
# Values from 0 to 1: centred ones, which networks are given, are a weaker baseline by cosines.
PIXEL_VIEWS = ('"stage.random-neighbours.augment" = '
               '{ use = "evaluation", size = 28, mean = [0.0], std = [1.0] }')

ABLATION = """name      = "{name}"
pipeline  = "{pipeline}"
metric    = [{metrics}]
stages    = [{stages}]
[set]
{changes}
[axes]
seed = {seeds}
"""


def recipes():
    """Pipelines by the names that figures have."""
    return {NAMES.get(path.stem, path.stem): path for path in sorted(METHODS.glob("*.toml"))}


def backbone_of(path):
    table = tomllib.loads(path.read_text())
    own = table.get("model", {}).get("backbone", {}).get("use")
    return own or next(backbone_of(path.parent / name) for name in table["include"])


def sweep(arguments, folder, name, pipeline, stages, seeds, changes):
    """For each stage its top1 of each seed; None where the sweep failed, which it has said then."""
    file = folder / "files" / f"{name}.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    quoted = [", ".join(f'"{text}"' for text in texts)
              for texts in ([f"{stage}.test.top1" for stage in stages], stages)]
    text = ABLATION.format(name=name, pipeline=pipeline, metrics=quoted[0], stages=quoted[1],
                           seeds=seeds, changes="\n".join(changes))
    if not file.exists() or file.read_text() != text:
        file.write_text(text)
    call = [arguments.bissl, "sweep", str(file), "--out", str(folder / "runs"),
            "--jobs", str(arguments.jobs)]
    if subprocess.run(call, stdout=subprocess.DEVNULL, check=False).returncode:
        print(f"failed: {' '.join(call)}", file=sys.stderr)
        return None
    found = {stage: [] for stage in stages}
    for seed in seeds:
        results = folder / "runs" / name / "cells" / f"seed={seed}" / "results.json"
        of_stages = json.loads(results.read_text())["stages"]
        for stage in stages:
            found[stage].append(of_stages[stage]["metrics"]["test"]["top1"]["mean"])
    return found


def pixels(arguments, folder):
    """top1 of the images themselves. The factor makes a network of them: it is 1."""
    import torch

    class Pixels(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.logarithm = torch.nn.Parameter(torch.zeros(1))

        def forward(self, images):
            return images.flatten(1) * self.logarithm.exp()

    files = folder / "files"
    files.mkdir(parents=True, exist_ok=True)
    if not (files / "pixels.pt").exists():
        torch.jit.script(Pixels()).save(str(files / "pixels.pt"))
    found = sweep(arguments, folder, "pixels", METHODS / "base.toml", ["random-neighbours"],
                  arguments.seeds[:1],
                  ['"model.backbone" = { use = "torchscript", file = "pixels.pt" }', PIXEL_VIEWS,
                   *changes_of(arguments)])
    return found and found["random-neighbours"][0]


def changes_of(arguments):
    return ["{} = {}".format(*(part.strip() for part in change.split("=", 1)))
            for change in arguments.set]


def differences(figures, baseline):
    """Of each seed: how much better than random features or raw pixels."""
    below = figures[baseline] if baseline == "random" else [figures[baseline]] * len(figures["top1"])
    return [top1 - other for top1, other in zip(figures["top1"], below)]


def margin(figures, baseline):
    """Two deviations below the mean, rounded down; None where that is not above 0: it does not beat."""
    values = differences(figures, baseline)
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    steps = math.floor((statistics.fmean(values) - 2 * spread) * 200 + 1e-9)
    return steps / 200 if steps > 0 else None


def measure(arguments, folder, stated):
    """Runs the pipelines; yields each name with its figures, None where it failed."""
    of_pixels = pixels(arguments, folder)
    if of_pixels is None:
        sys.exit(1)
    for name, path in recipes().items():
        if arguments.only and name not in arguments.only:
            continue
        found = sweep(arguments, folder, name, path, ["neighbours", "random-neighbours"],
                      arguments.seeds, changes_of(arguments))
        figures = found and {"backbone": backbone_of(path), "top1": found["neighbours"],
                             "random": found["random-neighbours"], "pixels": of_pixels}
        if figures:
            print(row(name, figures, stated.get(name, {}).get("margins")), flush=True)
        yield name, figures


HEAD = ["| pipeline | backbone | neighbours | random features | over random | over raw pixels | asked for |",
        "| --- | --- | --- | --- | --- | --- | --- |"]


def mean_and_spread(values, sign=""):
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):{sign}.4f}{spread}"


def row(name, figures, margins):
    """`margins` may be None: nothing is known of them yet."""
    asked = [f"{baseline} {value:+g}" for baseline, value in (margins or {}).items() if value is not None]
    cells = [name, figures["backbone"], mean_and_spread(figures["top1"]),
             mean_and_spread(figures["random"]), mean_and_spread(differences(figures, "random"), "+"),
             mean_and_spread(differences(figures, "pixels"), "+"),
             "–" if margins is None else ", ".join(asked) or "nothing: it beats neither"]
    return "| " + " | ".join(cells) + " |"


def load_figures():
    return json.loads(FIGURES.read_text()) if FIGURES.exists() else {"methods": {}}


def write(found, seeds):
    content = load_figures()
    content["seeds"] = seeds
    for name, figures in found.items():
        margins = {baseline: margin(figures, baseline) for baseline in ("random", "pixels")}
        content["methods"][name] = {**figures, "margins": margins}
    known = recipes()
    content["methods"] = {name: content["methods"][name] for name in known if name in content["methods"]}
    FIGURES.write_text(json.dumps(content, indent=1) + "\n")
    methods = content["methods"]
    share = next(iter(methods.values()))["pixels"]
    missing = [name for name in known if name not in methods]
    lines = [BEGIN, "", f"Seeds {', '.join(map(str, seeds))}; raw pixels: {share:.4f}.", "", *HEAD,
             *[row(name, figures, figures["margins"]) for name, figures in methods.items()]]
    if missing:
        lines += ["", f"Not measured: {', '.join(f'`{name}`' for name in missing)}."]
    text = PAGE.read_text()
    head, rest = text.split(BEGIN)
    PAGE.write_text(head + "\n".join([*lines, END]) + rest.split(END, 1)[1])


def check(found, stated):
    """The faults: margins that are not reached, collapsed networks, failed runs."""
    faults = []
    for name, figures in found.items():
        if figures is None:
            faults.append(f"{name}: it did not run to its end")
            continue
        if statistics.fmean(figures["top1"]) < COLLAPSED:
            faults.append(f"{name}: {statistics.fmean(figures['top1']):.4f} of the neighbours are right: "
                          "its features are alike")
        if name not in stated:
            faults.append(f"{name}: {FIGURES.name} has no figures of it; call this with --write")
            continue
        for baseline, wanted in stated[name]["margins"].items():
            reached = statistics.fmean(differences(figures, baseline))
            if wanted is not None and reached < wanted - 1e-9:  # the mean is rounded, too
                faults.append(f"{name}: better than {baseline} by {reached:+.4f}, "
                              f"{FIGURES.name} states {wanted:+.4f}")
    return faults


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bissl")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these pipelines alone")
    parser.add_argument("--out", type=pathlib.Path, help="where runs are kept; without it, nowhere")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="worker processes, which share the threads")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="a key of all pipelines, to try other recipes; not with --write")
    parser.add_argument("--write", action="store_true", help="write figures, margins and the table")
    parser.add_argument("--check", action="store_true", help="ask for the margins that are written")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.only if name not in recipes()]
    if unknown:
        parser.error(f"no pipelines: {', '.join(unknown)}; there are {', '.join(recipes())}")
    if arguments.write and arguments.set:
        parser.error("--write is for the pipelines as they ship, not with --set")
    return arguments


def main():
    arguments = parse()
    stated = load_figures()["methods"]
    if arguments.check and not stated:
        print(f"{FIGURES} states no margins yet: call this with --write")
        sys.exit(SKIPPED)
    try:
        import torch  # noqa: F401
    except ImportError as error:
        print(error)
        sys.exit(SKIPPED)
    if not IMAGES.exists():
        print("Debian's package dataset-fashion-mnist is not installed")
        sys.exit(SKIPPED)
    print("\n".join(HEAD), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.out or pathlib.Path(temporary)).resolve()
        found = dict(measure(arguments, folder, stated))
    if arguments.write and any(found.values()):
        write({name: figures for name, figures in found.items() if figures}, arguments.seeds)
    faults = check(found, stated) if arguments.check else []
    for fault in faults:
        print(fault, file=sys.stderr)
    sys.exit(1 if faults or None in found.values() else 0)


if __name__ == "__main__":
    main()
