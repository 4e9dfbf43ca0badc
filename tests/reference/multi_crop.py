#!/usr/bin/env python3
"""Writes golden/multi_crop.json: what torchvision makes of the boxes of a multi-crop batch.

Run with Debian's Python (packages python3-torch and python3-torchvision):

    /usr/bin/python3 tests/reference/multi_crop.py

Two large and three small views of two draws of one image. The boxes are what the host's streams
draw; the C++ test (tests/core/data/chain_test.cpp) compares them with the views' geometries, and the
views with the values here.
"""

import json
import pathlib

import numpy
import torch
import torchvision.transforms.functional as F
from torchvision.transforms import InterpolationMode

SEED = 20200617
HEIGHT, WIDTH = 20, 30
TARGET = pathlib.Path(__file__).parent / "golden" / "multi_crop.json"

# (size, top, left, height, width, exchanged left and right), view after view, both draws of each.
BOXES = [
    (12, 4, 8, 15, 17, 1),
    (12, 1, 1, 19, 20, 0),
    (12, 1, 5, 18, 21, 1),
    (12, 0, 1, 19, 24, 0),
    (6, 5, 16, 13, 11, 1),
    (6, 4, 12, 14, 13, 0),
    (6, 2, 9, 15, 14, 1),
    (6, 0, 5, 14, 15, 0),
    (6, 5, 13, 15, 15, 0),
    (6, 12, 9, 8, 9, 0),
]


def view(image, size, top, left, height, width, exchanged):
    values = F.resized_crop(image, top, left, height, width, [size, size],
                            InterpolationMode.BILINEAR, antialias=True)
    if exchanged:
        values = F.hflip(values)
    return F.normalize(values, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def main():
    generator = numpy.random.default_rng(SEED)
    pixels = generator.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(numpy.uint8)
    image = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    views = []
    for size, *box in BOXES:
        values = view(image, size, *box)
        views.append({"box": [float(number) for number in box],
                      "values": [round(number, 7) for number in values.flatten().tolist()]})
    content = {"height": HEIGHT, "width": WIDTH, "pixels": pixels.flatten().tolist(),
               "views": views}
    TARGET.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    main()
