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

import training
from training import numbers, pattern, write

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


# Convolutional networks

CONVNEXT_NAMES = [
    (r"^features\.0\.", "stem."), (r"^features\.([246])\.([01])\.", r"stages.+\1.downsample.\2."),
    (r"^features\.([1357])\.(\d+)\.", r"stages.-\1.blocks.\2."),
    (r"\.block\.0\.", ".conv_dw."), (r"\.block\.2\.", ".norm."), (r"\.block\.3\.", ".mlp.fc1."),
    (r"\.block\.5\.", ".mlp.fc2."), (r"\.layer_scale$", ".gamma"), (r"^classifier\.0\.", "head.norm."),
]
STAGES = {"+2": 1, "+4": 2, "+6": 3, "-1": 0, "-3": 1, "-5": 2, "-7": 3}


def convnext_state(net):
    state = {}
    for name, tensor in net.state_dict(keep_vars=True).items():
        name = re.sub(r"stages\.([+-]\d)", lambda m: f"stages.{STAGES[m[1]]}",
                      rename(name, CONVNEXT_NAMES))
        state[name] = tensor.squeeze() if name.endswith("gamma") else tensor
    return {name: tensor for name, tensor in sorted(state.items())
            if not name.startswith("classifier.")}


def plain_state(net):
    return {name: tensor for name, tensor in sorted(net.state_dict(keep_vars=True).items())
            if not name.startswith(("classifier.", "fc."))}


def shapes(state):
    return {name: list(tensor.shape) for name, tensor in state.items()}


def parameters(state):
    return sum(tensor.numel() for tensor in state.values() if tensor.requires_grad)


def features_case(name, options, net, state, images_shape, features):
    net.double()
    set_weights(state(net))
    images = 2 * pattern(1, images_shape)
    net.eval()
    case = {"name": name, "options": options, "images": list(images_shape),
            "eval": some_numbers(features(net, images))}
    net.train()
    trained = features(net, images)
    (trained * pattern(2, trained.shape)).sum().backward()
    parameters = {key for key, tensor in state(net).items() if tensor.requires_grad}
    by_name = {key: tensor for key, tensor in state(net).items() if key in parameters}
    case["train"] = some_numbers(trained)
    case["gradient_norms"] = {key: float(gradient_of(tensor).norm())
                              for key, tensor in by_name.items()}
    return case


def some_numbers(features):
    """Those of each sample's first channels: files stay small."""
    return numbers(features[:, :12])


def gradient_of(tensor):
    """A gamma is a view of torchvision's layer_scale: its gradient is that one's."""
    return tensor.grad if tensor.is_leaf else tensor._base.grad


def mean_of_map(net, images):
    return net.features(images).mean((2, 3))


def normed_mean(net, images):
    return net.classifier[0](net.avgpool(net.features(images))).flatten(1)


class Mixer(torch.nn.Module):
    """Equations 1 to 3 of arXiv 2201.09792, with the names that timm gives the layers."""

    def __init__(self, width, depth, kernel, patch):
        super().__init__()
        nn = torch.nn
        self.stem = nn.Sequential(nn.Conv2d(3, width, patch, patch), nn.GELU(), nn.BatchNorm2d(width))
        self.blocks = nn.ModuleList()
        for _ in range(depth):
            residual = nn.Module()
            residual.fn = nn.Sequential(
                nn.Conv2d(width, width, kernel, groups=width, padding="same"), nn.GELU(),
                nn.BatchNorm2d(width))
            self.blocks.append(nn.ModuleList(
                [residual, nn.Conv2d(width, width, 1), nn.GELU(), nn.BatchNorm2d(width)]))

    def forward(self, images):
        x = self.stem(images)
        for residual, convolution, activation, norm in self.blocks:
            x = norm(activation(convolution(x + residual.fn(x))))
        return x.mean((2, 3))


class Preactivation(torch.nn.Module):
    """A block of arXiv 1605.07146, figure 1 (a), with normalisation first."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        nn = torch.nn
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        if inputs != outputs:
            self.convShortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        y = torch.relu(self.bn1(x))
        beside = self.convShortcut(y) if hasattr(self, "convShortcut") else x
        return beside + self.conv2(torch.relu(self.bn2(self.conv1(y))))


class Wide(torch.nn.Module):
    def __init__(self, blocks, factor, width):
        super().__init__()
        nn = torch.nn
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        inputs = width
        for i in range(3):
            outputs = width * factor * 2 ** i
            block = nn.Module()
            block.layer = nn.Sequential(*[
                Preactivation(inputs if j == 0 else outputs, outputs, 2 if i and j == 0 else 1)
                for j in range(blocks)])
            setattr(self, f"block{i + 1}", block)
            inputs = outputs
        self.bn1 = nn.BatchNorm2d(inputs)

    def forward(self, images):
        x = self.conv1(images)
        for block in (self.block1, self.block2, self.block3):
            x = block.layer(x)
        return torch.relu(self.bn1(x)).mean((2, 3))


def resnet_case(name, net):
    net = net.double().eval()
    training.set_weights(net)
    features = net(2 * pattern(1, (2, 3, 48, 48)))[:, :12]
    return {"name": name, "shapes": shapes(plain_state(net)),
            "eval": numbers(features / features.abs().max())}


def deep_counts(state):
    return {"parameters": parameters(state), "tensors": len(state)}


@torch.no_grad()
def resnets():
    models = torchvision.models
    nets = {"resnext50-32x4d": models.resnext50_32x4d, "wide-resnet50-2": models.wide_resnet50_2}
    deep = {"resnet101": models.resnet101, "resnet152": models.resnet152,
            "resnext101-32x8d": models.resnext101_32x8d,
            "wide-resnet101-2": models.wide_resnet101_2}
    return {
        "parameters": {name: parameters(plain_state(net())) for name, net in nets.items()},
        "deep": {name: deep_counts(plain_state(net())) for name, net in deep.items()},
        "forward": [resnet_case(name, without_classifier(nets[name]()))
                    for name in nets],
    }


def without_classifier(net):
    net.fc = torch.nn.Identity()
    return net


def call(net, images):
    return net(images)


def swin_state(net):
    return {name: tensor for name, tensor in plain_state(net).items()
            if not name.startswith("head.")}


def small_swin():
    net = torchvision.models.SwinTransformer([2, 2], 8, [2, 1, 2, 1], [2, 2, 4, 4], [3, 3],
                                             mlp_ratio=2.0, stochastic_depth_prob=0.0)
    net.head = torch.nn.Identity()
    return net


def convolutional():
    models = torchvision.models
    tiny = models.convnext
    setting = [tiny.CNBlockConfig(8, 16, 1), tiny.CNBlockConfig(16, 32, 1),
               tiny.CNBlockConfig(32, 64, 2), tiny.CNBlockConfig(64, None, 1)]
    vgg_layers = models.vgg.make_layers([4, "M", 8, "M", 16, 16, "M", 32, "M", 32, "M"], True)
    return {
        "shapes": {
            "convnext-tiny": shapes(convnext_state(models.convnext_tiny())),
            "vgg16": shapes(plain_state(models.vgg16_bn())),
            "mobilenet-v2": shapes(plain_state(models.mobilenet_v2())),
            "efficientnet-b0": shapes(plain_state(models.efficientnet_b0())),
            "swin-tiny": shapes(swin_state(models.swin_t())),
        },
        "parameters": {
            "convnext-small": parameters(convnext_state(models.convnext_small())),
            "convnext-base": parameters(convnext_state(models.convnext_base())),
            "vgg11": parameters(plain_state(models.vgg11_bn())),
            "vgg19": parameters(plain_state(models.vgg19_bn())),
            "swin-small": parameters(swin_state(models.swin_s())),
            "swin-base": parameters(swin_state(models.swin_b())),
        },
        "forward": [
            features_case("convnext-tiny", {"width": 8, "depths": [1, 1, 2, 1]},
                          tiny.ConvNeXt(setting, stochastic_depth_prob=0.0), convnext_state,
                          (2, 3, 64, 32), normed_mean),
            features_case("vgg11", {"width": 4, "depths": [1, 1, 2, 1, 1]},
                          models.VGG(vgg_layers, init_weights=False), plain_state, (4, 3, 64, 64),
                          mean_of_map),
            features_case("mobilenet-v2", {"width": 0.25},
                          models.MobileNetV2(width_mult=0.25, dropout=0.0), plain_state,
                          (4, 3, 64, 64), mean_of_map),
            features_case("efficientnet-b0", {},
                          models.EfficientNet(models.efficientnet._efficientnet_conf(
                              "efficientnet_b0", width_mult=1.0, depth_mult=1.0)[0], 0.0,
                              stochastic_depth_prob=0.0), plain_state, (4, 3, 64, 64), mean_of_map),
            # 10x13 places, then 5x7, 3x4 and 2x2: windows of 3 do not divide them, and in the third
            # stage they are moved along one side alone.
            features_case("swin-tiny",
                          {"patch": 2, "width": 8, "depths": [2, 1, 2, 1], "heads": [2, 2, 4, 4],
                           "window": 3, "mlp_ratio": 2.0},
                          small_swin(), swin_state, (2, 3, 20, 26), call),
            features_case("conv-mixer", {"width": 6, "depth": 2, "kernel": 3, "patch": 2},
                          Mixer(6, 2, 3, 2), plain_state, (3, 3, 8, 10), call),
            features_case("wide-resnet", {"depth": 16, "factor": 2, "width": 3}, Wide(2, 2, 3),
                          plain_state, (3, 3, 8, 8), call),
        ],
    }


def main():
    write("backbones.json", {"made_by": "tests/reference/backbones.py", "vit": vit(),
                             "convolutional": convolutional(), "resnet": resnets()})


if __name__ == "__main__":
    torch.set_grad_enabled(True)
    torch.set_num_threads(1)
    main()
