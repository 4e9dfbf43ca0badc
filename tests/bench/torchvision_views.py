#!/usr/bin/env python3
"""Two SimCLR views of photographs: bissl against torchvision on Pillow, in one run, one thread each.

Run with Debian's Python (packages python3-torch and python3-torchvision) after building view_bench
(cmake -DBISSL_BUILD_BENCHMARKS=ON):

    /usr/bin/python3 tests/bench/torchvision_views.py [--photos FOLDER] [--sizes 32 96 224]

Without a folder it makes 64 JPEG files of 500 x 375 pixels. Both sides do the same: a random crop
scaled to the view, flip, colour jitter, grayscale, blur, a float tensor, normalisation; both put the
views of all photographs into one batch. Each repetition is a pass of bissl and one of torchvision
after the other. Printed are medians of processor time for an image (two views), and the ratios:

    files       both read and decode the files
    scaled      bissl decodes them at a part of their size (scaled_decoding, one and a half times the
                view's), torchvision in full
    draft       both decode them at a part of their size, torchvision by Pillow's draft()
    cache       bissl takes decoded pixels from its cache (the shorter side twice the view's), for
                torchvision, which has none, the files
    in memory   bissl takes them from its cache, torchvision has images of that size in memory
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

# Before numpy and torch are loaded.
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import numpy  # noqa: E402
import PIL  # noqa: E402
import torch  # noqa: E402
import torchvision  # noqa: E402
from PIL import Image  # noqa: E402
from torchvision import transforms  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


def made_photo(number):
    """Smooth noise of several scales, which compresses about as photographs do."""
    generator = numpy.random.default_rng(number)
    pixels = numpy.full((375, 500, 3), 120.0)
    strength = 60.0
    for scale in (4, 8, 16, 32, 64, 128, 256):
        noise = generator.normal(0, 1, (375 * scale // 512 + 1, 500 * scale // 512 + 1, 3))
        for channel in range(3):
            layer = Image.fromarray(noise[:, :, channel].astype(numpy.float32))
            pixels[:, :, channel] += strength * numpy.asarray(layer.resize((500, 375), Image.BICUBIC))
        strength *= 0.62
    pixels += generator.normal(0, 3, pixels.shape)
    return Image.fromarray(numpy.clip(pixels, 0, 255).astype(numpy.uint8))


def recipe(size):
    """The recipe `simclr` with its defaults."""
    kernel = max(size // 10 // 2 * 2 + 1, 3)
    return transforms.Compose([
        transforms.RandomResizedCrop(size, scale=(0.2, 1.0)),
        transforms.RandomHorizontalFlip(),
        transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8),
        transforms.RandomGrayscale(p=0.2),
        transforms.RandomApply([transforms.GaussianBlur(kernel, (0.1, 2.0))], p=0.5),
        transforms.ToTensor(),
        transforms.Normalize([0.5] * 3, [0.5] * 3),
    ])


def read(path):
    """As torchvision's ImageFolder reads a file."""
    with open(path, "rb") as file:
        return Image.open(file).convert("RGB")


def read_draft(path, side):
    """With the scale that bissl takes for a shorter side of at least `side`."""
    with open(path, "rb") as file:
        image = Image.open(file)
        part = 1
        while part < 8 and -(-min(image.size) // (2 * part)) >= side:
            part *= 2
        image.draft("RGB", [length // part for length in image.size])
        return image.convert("RGB")


def reduced(image, side):
    shorter = min(image.size)
    if shorter <= side:
        return image
    return image.resize([side * length // shorter for length in image.size], Image.BILINEAR)


def seconds_of(load, sources, transform):
    start = time.process_time()
    pairs = []
    for source in sources:
        image = load(source)
        pairs.append((transform(image), transform(image)))
    [torch.stack(views) for views in zip(*pairs)]
    return (time.process_time() - start) / len(sources)


def pass_of_torchvision(files, sizes, memory):
    return {size: {"files": seconds_of(read, files, recipe(size)),
                   "draft": seconds_of(lambda path: read_draft(path, size * 3 // 2), files,
                                       recipe(size)),
                   "memory": seconds_of(lambda image: image, memory[size], recipe(size))}
            for size in sizes}


def pass_of_bissl(program, photos, cache, sizes):
    command = [str(program), str(photos), str(cache), *map(str, sizes)]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {result.returncode}")
    return {int(size): seconds for size, seconds in json.loads(result.stdout).items()}


def compare(arguments, folder):
    photos = arguments.photos
    if photos is None:
        photos = folder / "photos"
        photos.mkdir()
        for number in range(64):
            made_photo(number).save(photos / f"{number:02}.jpg", quality=90)
    files = sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not files:
        sys.exit(f"{photos}: has no JPEG files")
    images = [read(path) for path in files]
    memory = {size: [reduced(image, 2 * size) for image in images] for size in arguments.sizes}
    mean = [statistics.mean(side) for side in zip(*(image.size for image in images))]
    kilobytes = statistics.mean(path.stat().st_size for path in files) / 1000
    print(f"{len(files)} JPEG files, {mean[0]:.0f} x {mean[1]:.0f} pixels and {kilobytes:.0f} kB in "
          f"the mean; torch {torch.__version__}, torchvision {torchvision.__version__}, Pillow "
          f"{PIL.__version__}; medians of {arguments.repeats} passes")
    ours, theirs = [], []
    for _ in range(arguments.repeats):
        ours.append(pass_of_bissl(arguments.program, photos, folder / "cache", arguments.sizes))
        theirs.append(pass_of_torchvision(files, arguments.sizes, memory))

    def median(passes, size, source):
        return statistics.median(one[size][source] for one in passes)

    print(f"{'view':>6}  {'source':<10}{'bissl, µs':>12}{'torchvision, µs':>18}{'ratio':>8}")
    for size in arguments.sizes:
        for name, our, their in (("files", "files", "files"), ("scaled", "scaled", "files"),
                                 ("draft", "scaled", "draft"), ("cache", "cache", "files"),
                                 ("in memory", "cache", "memory")):
            a, b = median(ours, size, our), median(theirs, size, their)
            print(f"{size:>6}  {name:<10}{a * 1e6:>12.0f}{b * 1e6:>18.0f}{b / a:>8.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--photos", type=pathlib.Path, help="a folder of JPEG files")
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 96, 224])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--program", type=pathlib.Path,
                        default=ROOT / "build" / "release" / "bin" / "view_bench")
    arguments = parser.parse_args()
    if not arguments.program.exists():
        sys.exit(f"{arguments.program} is not there: configure with -DBISSL_BUILD_BENCHMARKS=ON and "
                 "build view_bench, or say with --program where it is")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        compare(arguments, pathlib.Path(folder))


if __name__ == "__main__":
    main()
