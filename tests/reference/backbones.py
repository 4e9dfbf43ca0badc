#!/usr/bin/env python3
"""Writes golden/backbones.json: what torchvision's networks, and the papers' formulas where it has
none, make of small images in double precision.

Run with Debian's Python (packages python3-torch, python3-torchvision):

    /usr/bin/python3 tests/reference/backbones.py

Nothing is random: weights and images come from `pattern`, which the C++ tests compute too. Vision
transformers: the blocks are torchvision's; class token, registers, masks, a choice of patches,
interpolated and fixed positions are written down here.
"""

import math
import re

import numpy
import torch
import torchvision
from torch.nn import functional
from torchvision.models import vision_transformer

from training import FOLDER, numbers, pattern, write

# Names


def rename(name, rules):
    for old, new in rules:
        name = re.sub(old, new, name)
    return name


VIT_NAMES = [
    (r"^class_token$", "cls_token"), (r"^encoder\.pos_embedding$", "pos_embed"),
    (r"^conv_proj\.", "patch_embed.proj."), (r"^encoder\.layers\.encoder_layer_(\d+)", r"blocks.\1"),
    (r"\.ln_(\d)\.", r".norm\1."), (r"\.self_attention\.in_proj_", ".attn.qkv."),
    (r"\.self_attention\.out_proj\.", ".attn.proj."), (r"\.mlp\.0\.", ".mlp.fc1."),
    (r"\.mlp\.3\.", ".mlp.fc2."), (r"^encoder\.ln\.", "norm."),
]


def state_by(module, names):
    """The state under our names, in their alphabetical order."""
    return dict(sorted((rename(name, names), tensor)
                       for name, tensor in module.state_dict(keep_vars=True).items()))


@torch.no_grad()
def set_weights(state):
    """Weights that keep activations near 1. k counts the names in alphabetical order."""
    for k, (name, tensor) in enumerate(sorted(state.items())):
        if not tensor.is_floating_point():
            continue
        values = pattern(k, tuple(tensor.shape))
        if tensor.dim() >= 2:
            values = values * math.sqrt(12 / tensor[0].numel())
        elif name.endswith("bias") or name.endswith("running_mean"):
            values = 0.2 * values
        else:
            values = 1 + 0.5 * values
        tensor.copy_(values)


# Vision transformers


def waves(positions, width):
    octaves = numpy.arange(width // 4) / (width / 4)
    angles = positions.reshape(-1, 1) / 10000 ** octaves
    return numpy.concatenate([numpy.sin(angles), numpy.cos(angles)], 1)


def sincos(rows, columns, width):
    down, across = numpy.meshgrid(numpy.arange(rows), numpy.arange(columns), indexing="ij")
    return torch.from_numpy(numpy.concatenate([waves(across, width), waves(down, width)], 1))


class Vit:
    WIDTH, HEADS, DEPTH, PATCH = 12, 3, 2, 4

    def __init__(self, image, registers=0, class_token=True, fixed=False):
        self.net = vision_transformer.VisionTransformer(
            image, self.PATCH, self.DEPTH, self.HEADS, self.WIDTH, 2 * self.WIDTH).double().eval()
        self.state = state_by(self.net, VIT_NAMES)
        self.state = {k: v for k, v in self.state.items() if not k.startswith("heads.")}
        self.grid = image // self.PATCH
        places = self.grid ** 2
        if not class_token:
            del self.state["cls_token"]
        in_front = 1 if class_token and not registers else 0
        self.state["pos_embed"] = torch.zeros(1, in_front + places, self.WIDTH).double()
        if registers:
            self.state["reg_token"] = torch.zeros(1, registers, self.WIDTH).double()
        set_weights(self.state)
        if fixed:
            waves = sincos(self.grid, self.grid, self.WIDTH).float().double()
            self.state["pos_embed"] = torch.cat([torch.zeros(in_front, self.WIDTH), waves])[None]
        for tensor in self.state.values():
            tensor.requires_grad_()

    def tokens(self, images, kept=None, masked=None, mask_token=None):
        state, places = self.state, self.grid ** 2
        x = functional.conv2d(images, state["patch_embed.proj.weight"],
                              state["patch_embed.proj.bias"], stride=self.PATCH)
        rows, columns = x.shape[2:]
        x = x.flatten(2).transpose(1, 2)
        if masked is not None:
            x = torch.where(masked[:, :, None], mask_token, x)
        grid = state["pos_embed"][:, -places:].reshape(1, self.grid, self.grid, -1)
        if (rows, columns) != (self.grid, self.grid):
            grid = functional.interpolate(grid.permute(0, 3, 1, 2), (rows, columns), mode="bicubic",
                                          align_corners=False).permute(0, 2, 3, 1)
        x = x + grid.flatten(1, 2)
        if kept is not None:
            x = torch.stack([sample[places] for sample, places in zip(x, kept)])
        extra = []
        if "cls_token" in state:
            token = state["cls_token"]
            extra.append(token if "reg_token" in state else token + state["pos_embed"][:, :1])
        if "reg_token" in state:
            extra.append(state["reg_token"])
        x = torch.cat([token.expand(len(x), -1, -1) for token in extra] + [x], 1)
        x = self.net.encoder.ln(self.net.encoder.layers(x))
        return x, sum(token.shape[1] for token in extra)

    def features(self, images, pool):
        x, extra = self.tokens(images)
        return x[:, 0] if pool == "token" else x[:, extra:].mean(1)


def vit_case(images_shape, image, pool="token", **options):
    vit = Vit(image, **options)
    images = 2 * pattern(1, images_shape)
    features = vit.features(images, pool)
    (features * pattern(2, features.shape)).sum().backward()
    fixed = options.get("fixed", False)
    return {"name": "vit", "images": list(images_shape), "position_size": image, "pool": pool,
            "registers": options.get("registers", 0),
            "class_token": options.get("class_token", True),
            "positions": "sincos" if fixed else "learnt",
            "features": numbers(features),
            "gradient_norms": {key: float(tensor.grad.norm()) for key, tensor in vit.state.items()
                               if not (fixed and key == "pos_embed")}}


def selection_case():
    vit = Vit(12, registers=2)
    images = 2 * pattern(1, (2, 3, 12, 12))
    kept = torch.tensor([[0, 4, 5], [2, 3, 8]])
    masked = (torch.arange(18).reshape(2, 9) % 3) == 0
    mask_token = pattern(9, (vit.WIDTH,))
    return {"name": "selection", "kept": kept.tolist(), "masked": masked.tolist(),
            "tokens_kept": numbers(vit.tokens(images, kept=kept)[0]),
            "tokens_masked": numbers(vit.tokens(images, masked=masked, mask_token=mask_token)[0])}


def vit_shapes():
    net = torchvision.models.vit_b_16()
    return {name: list(tensor.shape) for name, tensor in state_by(net, VIT_NAMES).items()
            if not name.startswith("heads.")}


def vit():
    # What torchvision computes from images to features is what the pieces above do.
    whole = Vit(12)
    with torch.no_grad():
        whole.net.class_token.copy_(whole.state["cls_token"])
        whole.net.encoder.pos_embedding.copy_(whole.state["pos_embed"])
        whole.net.heads = torch.nn.Identity()
        images = pattern(1, (2, 3, 12, 12))
        assert torch.allclose(whole.net(images), whole.features(images, "token"), atol=1e-12)
    return {
        "shapes": vit_shapes(),
        "forward": [
            vit_case((2, 3, 12, 12), 12),
            vit_case((2, 3, 12, 12), 12, "mean", class_token=False),
            vit_case((2, 3, 8, 16), 12, registers=2),
            vit_case((2, 3, 20, 20), 12, "mean", fixed=True),
        ],
        "selection": selection_case(),
    }


def main():
    write("backbones.json", {"made_by": "tests/reference/backbones.py", "vit": vit()})


if __name__ == "__main__":
    with torch.set_grad_enabled(True):
        torch.set_num_threads(1)
        main()
