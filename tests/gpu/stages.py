#!/usr/bin/env python3
"""Trainings by the program on a GPU beside those on the processor: stages.py BISSL [--tolerance 1e-3]

Prints rows of a table: how far losses of each stage are from those of the processor, whether a run
that was interrupted ends with the weights of one that was not, and how many images a second SimCLR
trains on. Called by `tests/gpu/run`. Exit code 1 where a bound is not kept.
"""

import argparse
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
LOSSES = ("loss", "lower", "upper")
STAGES = ("pretrain", "bissl", "finetune")


def row(what, found, bound=""):
    print(f"| {what:<44} | {found:>14} | {bound:>10} |", flush=True)


def call(program, out, pipeline, *options):
    return [program, "run", str(HERE / pipeline), "--out", str(out), *options]


def run(*arguments):
    done = subprocess.run(call(*arguments), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"stages.py: {' '.join(done.args)} ended with {done.returncode}:\n{done.stderr}")


def logs(folder):
    """The event logs of a stage's folder, which repeats of a fine-tuning are below."""
    return sorted(folder.rglob("events.jsonl"))


def losses(folder):
    found = []
    for log in logs(folder):
        for line in log.read_text().splitlines():
            event = json.loads(line)
            found += [event[name] for name in LOSSES if event.get(name) is not None]
    return found


def difference(left, right):
    if len(left) != len(right) or not left:
        return float("inf")
    return max(abs(a - b) / (1 + abs(b)) for a, b in zip(left, right))


def weights(folder):
    files = sorted(folder.rglob("*.safetensors"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def stop_at_half(arguments, log, size, limit=600):
    """Stops the run when the log has half of `size` bytes; whether that was before its end."""
    process = subprocess.Popen(call(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + limit
    while process.poll() is None and time.monotonic() < end:
        if log.exists() and log.stat().st_size >= size / 2:
            process.send_signal(signal.SIGTERM)
            break
        time.sleep(0.005)
    return process.wait(timeout=limit) == 130


def rate(program, out, *options):
    """Images a second of the pretraining, its start left out: two lengths, and the difference."""
    done = []
    for steps in (40, 400) if "cuda" in options else (1, 3):
        folder = out / str(steps)
        run(program, folder, "throughput.toml", "--set", f"stage.pretrain.steps={steps}", *options)
        stage = json.loads((folder / "throughput" / "results.json").read_text())["stages"]["pretrain"]
        done.append((stage["images"], stage["seconds"]))
    (few, short), (many, long) = done
    return (many - few) / max(long - short, 1e-9)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", help="the built bissl")
    parser.add_argument("--tolerance", type=float, default=1e-3)
    options = parser.parse_args()
    gpu = ("--device", "cuda", "--deterministic")
    kept = True
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)

        run(options.program, work / "cpu", "stages.toml")
        run(options.program, work / "gpu", "stages.toml", *gpu)
        for stage in STAGES:
            found = difference(losses(work / "gpu" / "stages" / stage),
                               losses(work / "cpu" / "stages" / stage))
            kept = kept and found <= options.tolerance
            row(f"losses of stage {stage}", f"{found:.1e}", f"{options.tolerance:.0e}")

        broken = work / "broken"
        stops = 0
        for stage in STAGES[:2]:
            log = pathlib.Path("stages") / stage / "events.jsonl"
            size = (work / "gpu" / log).stat().st_size
            stops += stop_at_half((options.program, broken, "stages.toml", *gpu), broken / log, size)
        run(options.program, broken, "stages.toml", *gpu)
        same = all(weights(broken / "stages" / stage) == weights(work / "gpu" / "stages" / stage)
                   for stage in STAGES)
        kept = kept and same and stops > 0
        row(f"weights after {stops} interruptions", "same bits" if same else "other bits", "same bits")

        row("images/s, SimCLR, ResNet-18, 64 px, CPU", f"{rate(options.program, work / 'a'):.0f}")
        for text, more in (("GPU", ()), ("GPU, --tf32", ("--tf32",)),
                           ("GPU, --channels-last", ("--channels-last",)),
                           ("GPU, --tf32 --channels-last", ("--tf32", "--channels-last")),
                           ("GPU, --deterministic", ("--deterministic",))):
            found = rate(options.program, work / f"b{text}", "--device", "cuda", *more)
            row(f"images/s, SimCLR, ResNet-18, 64 px, {text}", f"{found:.0f}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
