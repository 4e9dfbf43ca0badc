#!/usr/bin/env python3
"""Writes golden/augmentations.json: what torchvision makes of small images.

Run with Debian's Python (packages python3-torch and python3-torchvision):

    /usr/bin/python3 tests/reference/augmentations.py

The C++ tests compare sdk/src/image_operations.cpp and resampling.cpp with it.
"""

import json
import pathlib

import numpy
import torch
import torchvision
import torchvision.transforms.functional as F
from torchvision.transforms import InterpolationMode

SEED = 20200213
TARGET = pathlib.Path(__file__).parent / "golden" / "augmentations.json"


def images():
    """Small 8-bit images (H, W, C): noise over a gradient, with black, white, gray and pure colours."""
    generator = numpy.random.default_rng(SEED)
    made = {}
    for name, shape in {"gray": (11, 13, 1), "colour": (10, 9, 3)}.items():
        gradient = numpy.linspace(0, 160, shape[0] * shape[1]).reshape(shape[0], shape[1], 1)
        image = (gradient + generator.integers(0, 96, shape)).astype(numpy.uint8)
        image[0, 0] = 0
        image[0, 1] = 255
        image[1, 0] = 128
        if shape[2] == 3:
            for x, colour in enumerate([(255, 0, 0), (255, 255, 0), (0, 255, 0), (0, 255, 255),
                                        (0, 0, 255), (255, 0, 255), (200, 200, 40), (9, 80, 80)]):
                image[2, x] = colour
        made[name] = image
    made["wide"] = generator.integers(0, 256, (9, 24, 3)).astype(numpy.uint8)
    made["tall"] = generator.integers(0, 256, (26, 7, 1)).astype(numpy.uint8)
    return made


def resize(size):
    return {"size": size, "interpolation": InterpolationMode.BILINEAR, "antialias": True}


def resized_crop(image, top, left, height, width, out_height, out_width):
    return F.resized_crop(image, top, left, height, width, **resize([out_height, out_width]))


def resize_and_center_crop(image, size):
    return F.center_crop(F.resize(image, **resize([size])), [size])


def gaussian_blur(image, kernel_size, sigma):
    return F.gaussian_blur(image, [kernel_size, kernel_size], [sigma, sigma])


OPERATIONS = {
    "flip_horizontal": F.hflip,
    "adjust_brightness": F.adjust_brightness,
    "adjust_contrast": F.adjust_contrast,
    "adjust_saturation": F.adjust_saturation,
    "adjust_hue": F.adjust_hue,
    "convert_to_grayscale": lambda image: F.rgb_to_grayscale(image, image.shape[0]),
    "gaussian_blur": gaussian_blur,
    "solarize": F.solarize,
    "normalize": lambda image, mean, std: F.normalize(image, [mean], [std]),
    "resized_crop": resized_crop,
    "resize_and_center_crop": resize_and_center_crop,
}

CASES = [
    ("flip_horizontal", ["gray", "colour"], [[]]),
    ("adjust_brightness", ["gray", "colour"], [[0.6], [1.4]]),
    ("adjust_contrast", ["gray", "colour"], [[0.6], [1.4]]),
    ("adjust_saturation", ["gray", "colour"], [[0.0], [0.8], [1.2]]),
    ("adjust_hue", ["gray", "colour"], [[-0.5], [-0.1], [0.03], [0.1]]),
    ("convert_to_grayscale", ["gray", "colour"], [[]]),
    ("gaussian_blur", ["gray", "colour"], [[3, 0.1], [3, 1.3], [9, 2.0]]),
    ("solarize", ["gray", "colour"], [[0.5], [0.25]]),
    ("normalize", ["gray", "colour"], [[0.5, 0.25]]),
    # Enlarged, reduced, both at once, and cut out without scaling.
    ("resized_crop", ["gray", "colour"], [[2, 3, 5, 4, 9, 11], [1, 0, 9, 9, 4, 3],
                                         [0, 2, 10, 3, 6, 7], [3, 1, 6, 7, 6, 7]]),
    ("resize_and_center_crop", ["wide", "tall"], [[5], [7], [12]]),
]


def main():
    sources = images()
    cases = []
    for name, images_used, variants in CASES:
        for image_name in images_used:
            image = torch.from_numpy(sources[image_name]).permute(2, 0, 1).float() / 255
            for arguments in variants:
                result = OPERATIONS[name](image, *arguments)
                cases.append({
                    "operation": name,
                    "image": image_name,
                    "arguments": arguments,
                    "shape": list(result.shape),
                    "values": [float(f"{value:.8g}") for value in result.flatten().tolist()],
                })
    golden = {
        "made_by": "tests/reference/augmentations.py",
        "seed": SEED,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": numpy.__version__,
        "images": {name: {"shape": list(image.shape), "pixels": image.flatten().tolist()}
                   for name, image in sources.items()},
        "cases": cases,
    }
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(golden, separators=(",", ":")).replace('{"operation"', '\n{"operation"')
                      + "\n")
    print(f"{TARGET}: {len(cases)} cases, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
