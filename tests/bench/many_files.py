#!/usr/bin/env python3
"""What folders of very many images cost: many_files.py BISSL [--counts N ...] [--cached N]

Makes folders of N files of 8 x 8 pixels, a thousand in each, in a temporary place, and calls `bissl
check` on each: first with no hashes of files kept, then with them. Prints processor time (user and
system) and the largest resident memory of each call, and of a call on ten files for comparison.
--cached N: opens a source of N images whose decoded copies are kept, too.
"""

import argparse
import os
import pathlib
import random
import subprocess
import tempfile
import time

PIPELINE = """name = "many"
[data.images]
use      = "image-folder"
root     = "{root}"
channels = "gray"
{more}
[model.backbone]
use   = "resnet18"
stem  = "small"
width = 2
[stage.pretrain]
kind      = "pretrain"
data      = "images"
augment   = {{ use = "simclr", size = 8 }}
pretext   = {{ use = "simclr" }}
optimizer = {{ use = "sgd", lr = 0.05 }}
batch     = 8
steps     = 1
"""


def make(root, count):
    for begin in range(0, count, 1000):
        folder = root / f"class_{begin // 1000:04}"
        folder.mkdir(parents=True)
        for number in range(begin, min(begin + 1000, count)):
            (folder / f"image_{number:07}.pgm").write_bytes(b"P5 8 8 255\n" + random.randbytes(64))


def call(words, place):
    """Seconds of processor, seconds, bytes of memory."""
    environment = dict(os.environ, XDG_CACHE_HOME=str(place / "cache"))
    begin = time.monotonic()
    child = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(words)} ended with {child.returncode}")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - begin, usage.ru_maxrss * 1024


def measure(bissl, place, root, what, more=""):
    file = place / "p.toml"
    file.write_text(PIPELINE.format(root=root, more=more))
    words = [bissl, "check", str(file), "--out", str(place / "runs")]
    cpu, wall, memory = call(words, place)
    print(f"{what}: {cpu:.1f} s of processor, {wall:.1f} s, {memory / 1e6:.0f} MB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("bissl")
    parser.add_argument("--counts", type=int, nargs="*", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--cached", type=int)
    arguments = parser.parse_args()
    for count in [10, *arguments.counts]:
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder)
            make(place / "images", count)
            time.sleep(3)  # files that have just changed are hashed again
            for what in ("first", "again"):
                measure(arguments.bissl, place, place / "images", f"{count} files, check, {what}")
            if count == arguments.cached:
                more = "cache_pixels = 8"
                for what in ("decodes", "opens decoded copies"):
                    measure(arguments.bissl, place, place / "images",
                            f"{count} files, check, {what}", more=more)


if __name__ == "__main__":
    main()
