#!/usr/bin/env python3
"""Runs tests/bench/reading-a-run.toml and draws docs/reading-a-run.svg: the losses and figures of a
healthy pretraining, of one that collapses, and of a fine-tuning that overfits.

    /usr/bin/python3 tests/bench/reading_a_run.py

Needs a built program, the dataset of quickstart.toml and Debian's python3-matplotlib.
`--draw-only FOLDER` draws the run in that folder instead of a new one.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
PIPELINE = ROOT / "tests/bench/reading-a-run.toml"
PICTURE = ROOT / "docs/reading-a-run.svg"

# Colours that people who see fewer of them tell apart (Okabe and Ito).
BLUE, ORANGE = "#0072B2", "#D55E00"


def train(preset, folder):
    program = ROOT / "build" / preset / "bin/bissl"
    subprocess.run([program, "run", PIPELINE, "--out", folder], check=True)
    return folder / "reading-a-run"


def events(run, stage):
    with open(next((run / stage).rglob("events.jsonl")), encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def figures(run, stage, group):
    """The values of each figure of an event's `group` with their steps, by name."""
    series = {}
    for event in events(run, stage):
        for name, value in event.get(group, {}).items():
            if isinstance(value, (int, float)):
                steps, values = series.setdefault(name, ([], []))
                steps.append(event["step"] + 1)
                values.append(value)
    return series


def losses(run, stage):
    rows = [(event["step"] + 1, event["loss"]) for event in events(run, stage) if "loss" in event]
    return [step for step, _ in rows], [loss for _, loss in rows]


def panel(axis, title, *lines):
    for (steps, values), colour, label in lines:
        axis.plot(steps, values, color=colour, linewidth=1.2, label=label)
    axis.set_title(title)
    axis.grid(alpha=0.3)
    axis.set_ylim(bottom=0)
    if len(lines) > 1:
        axis.legend(frameon=False, loc="center right")


def draw_pretraining(axes, run, stage, name):
    monitored = figures(run, stage, "monitor")
    panel(axes[0], "pretext loss", (losses(run, stage), BLUE, None))
    panel(axes[1], "feature_std", (monitored["feature_std"], BLUE, None))
    panel(axes[2], "rankme", (monitored["rankme"], BLUE, None))
    panel(axes[3], "knn", (monitored["knn"], BLUE, None))
    axes[1].axhline(0.1, color=ORANGE, linewidth=0.8, linestyle="--")  # monitor.warn_below
    axes[1].set_ylim(top=max(0.5, *monitored["feature_std"][1]))
    axes[2].set_ylim(top=30)
    axes[3].set_ylim(top=1)
    axes[0].set_ylabel(name, fontweight="bold")


def draw_finetuning(axes, run, stage, name):
    held_out = figures(run, stage, "validation")
    panel(axes[0], "loss", (losses(run, stage), BLUE, "training"),
          (held_out["loss"], ORANGE, "held-out images"))
    panel(axes[1], "top1 of held-out images", (held_out["top1"], ORANGE, None))
    axes[1].set_ylim(top=1)
    axes[0].set_ylabel(name, fontweight="bold")
    for axis in axes[2:]:
        axis.set_axis_off()


def draw(run, target):
    pyplot.rcParams.update({"svg.hashsalt": "bissl", "svg.fonttype": "none", "font.size": 8})
    figure, rows = pyplot.subplots(3, 4, figsize=(11, 7))
    draw_pretraining(rows[0], run, "pretrain", "healthy")
    draw_pretraining(rows[1], run, "collapsed", "collapsed")
    draw_finetuning(rows[2], run, "overfitted", "overfitted")
    for axis in (*rows[1], *rows[2][:2]):
        axis.set_xlabel("step")
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="release")
    parser.add_argument("--draw-only", type=pathlib.Path, metavar="FOLDER")
    arguments = parser.parse_args()
    if arguments.draw_only:
        draw(arguments.draw_only, PICTURE)
        return
    with tempfile.TemporaryDirectory() as folder:
        draw(train(arguments.preset, pathlib.Path(folder)), PICTURE)


if __name__ == "__main__":
    main()
