#!/usr/bin/env python3
"""Measures every hypergradient approximator on one problem, error against cost, and writes
docs/approximators.svg and the tables of docs/approximators.md.

    cmake --preset release -DBISSL_BUILD_BENCHMARKS=ON && cmake --build --preset release
    /usr/bin/python3 tests/bench/approximators.py

Needs Debian's python3-matplotlib. `--draw-only RESULTS.json` draws results that are there already.
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
PIPELINE = ROOT / "tests/bench/approximators.toml"
PAGE = ROOT / "docs/approximators.md"
BEGIN = "<!-- Below: written by tests/bench/approximators.py. -->"
END = "<!-- Until here. -->"

# Colours that people who see fewer of them tell apart (Okabe and Ito), and a mark for each series.
COLOURS = ["#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#000000"]
MARKS = "osD^v<>PXd*ph"


def measure(arguments):
    binaries = ROOT / "build" / arguments.preset / "bin"
    with tempfile.TemporaryDirectory() as folder:
        runs, results = pathlib.Path(folder) / "runs", pathlib.Path(folder) / "results.json"
        subprocess.run([binaries / "bissl", "run", PIPELINE, "--out", runs], check=True)
        subprocess.run([binaries / "approximator_bench", PIPELINE, "--out", results,
                        "--weights", runs / "approximators" / "pretrain"]
                       + [word for damping in arguments.damping
                          for word in ("--damping", str(damping))], check=True)
        return json.loads(results.read_text())


def draw(results, target):
    comparisons = results["comparisons"]
    pyplot.rcParams.update({"svg.hashsalt": "bissl", "font.size": 9})
    figure, axes = pyplot.subplots(1, len(comparisons), figsize=(5.2 * len(comparisons), 5.6),
                                   squeeze=False)
    series = list(dict.fromkeys(row["series"] for row in comparisons[0]["rows"]))
    for axis, comparison in zip(axes[0], comparisons):
        for place, name in enumerate(series):
            rows = sorted((row for row in comparison["rows"] if row["series"] == name),
                          key=lambda row: row["cost"])
            # No cost has no place on a logarithmic axis.
            axis.plot([max(row["cost"], 0.003) for row in rows],
                      [max(row["error"], 1e-8) for row in rows],
                      marker=MARKS[place % len(MARKS)], color=COLOURS[place % len(COLOURS)],
                      linestyle=["-", "--"][place // len(COLOURS) % 2], linewidth=1,
                      markersize=5, label=name)
        axis.set(xscale="log", yscale="log", xlabel="cost of an upper step's solve, in gradients",
                 title=f"λ + δ = {results['lambda'] + comparison['damping']:g}")
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("‖v − v*‖ / ‖v*‖")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=5, frameon=False)
    figure.tight_layout(rect=(0, 0.13, 1, 1))
    figure.savefig(target, metadata={"Date": None})


def number(value):
    return f"{value:.1e}" if 0 < value < 0.001 else f"{value:.3g}"


def table(results, comparison):
    lines = [f"### λ + δ = {results['lambda'] + comparison['damping']:g}", "",
             f"The references' largest residual is {comparison['reference_residual']:.0e}.", "",
             "| approximator | parameters | cost | error | cosine | ended |",
             "| --- | --- | --- | --- | --- | --- |"]
    for row in comparison["rows"]:
        ended = ", ".join(f"{name} {count}" if len(row["ended"]) > 1 else name
                          for name, count in row["ended"].items())
        lines.append(f"| `{row['use']}` | {row['parameters'].replace('|', ' ')} "
                     f"| {number(row['cost'])} | {number(row['error'])} | {row['cosine']:.6f} "
                     f"| {ended.replace('_', ' ')} |")
    return lines


def write_page(results):
    setting = (f"{results['backbone_parameters']} backbone parameters, batch {results['batch']}, "
               f"λ = {results['lambda']:g}, {results['lower_steps']} lower steps, means over "
               f"{results['upper_steps']} upper steps; {results['threads']} threads, a gradient "
               f"takes {results['gradient_seconds'] * 1000:.1f} ms.")
    lines = [BEGIN, "", setting, ""]
    for comparison in results["comparisons"]:
        lines += table(results, comparison) + [""]
    text = PAGE.read_text()
    head, rest = text.split(BEGIN)
    PAGE.write_text(head + "\n".join(lines) + END + rest.split(END)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="release", help="which build")
    parser.add_argument("--damping", type=float, nargs="+", default=[10.0, 1.0])
    parser.add_argument("--draw-only", type=pathlib.Path, metavar="RESULTS.json")
    arguments = parser.parse_args()
    if arguments.draw_only:
        results = json.loads(arguments.draw_only.read_text())
    else:
        results = measure(arguments)
        (ROOT / "docs/approximators.json").write_text(json.dumps(results, indent=1) + "\n")
    draw(results, ROOT / "docs/approximators.svg")
    write_page(results)


if __name__ == "__main__":
    main()
