#!/usr/bin/env python3
"""Small files of weights as other programs write them, and the numbers in them.

    /usr/bin/python3 tests/reference/weights.py

writes tests/reference/golden/weights: files by PyTorch's own torch.save, in both of its formats, and
expected.json, which says what is in them. The networks are made-up: a few tensors under the names
that the programs named in core/weights/key_rule_table.cpp would give them.
"""
import argparse
import collections
import json
import os
import pathlib

import torch
import torchvision

import backbones

FOLDER = pathlib.Path(__file__).parent / "golden" / "weights"

# The backbone that all files hold, in the order of its module.
BACKBONE = {"conv1.weight": (2, 1, 1, 1), "bn1.weight": (2,), "bn1.running_mean": (2,),
            "bn1.num_batches_tracked": (), "layer1.0.conv1.weight": (3, 2, 1, 1)}


def ramp(shape, start):
    """Numbers that single and half precision hold exactly."""
    count = int(torch.tensor(shape).prod()) if shape else 1
    return (torch.arange(count, dtype=torch.float32) * 0.25 + start).reshape(shape)


def network(start, prefix="", head="fc", head_width=2):
    """A state_dict of the backbone with a head; `start` tells networks of one file apart."""
    state = collections.OrderedDict()
    for name, shape in BACKBONE.items():
        counter = name.endswith("num_batches_tracked")
        state[prefix + name] = torch.tensor(7) if counter else ramp(shape, start)
    if head:
        state[f"{prefix}{head}.weight"] = ramp((head_width, 3), start + 100)
        state[f"{prefix}{head}.bias"] = ramp((head_width,), start + 200)
    return state


def joined(*states, **more):
    all_of_them = collections.OrderedDict()
    for state in states:
        all_of_them.update(state)
    all_of_them.update(more)
    return all_of_them


def lightning(state, **more):
    return {"epoch": 3, "global_step": 12, "pytorch-lightning_version": "1.9.0", "state_dict": state,
            "callbacks": {"ModelCheckpoint": {"best": None}},
            "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}],
            "hyper_parameters": argparse.Namespace(lr=0.1, names=["a", "b"]), **more}


def sources():
    """File by rule: what the program of that name saves. The wanted network starts at 1."""
    projector = {"0.weight": torch.ones(2, 2)}
    extra = lambda prefix: {prefix + name: value for name, value in projector.items()}
    numbered = {"conv1": "0", "bn1": "1", "layer1": "4"}
    children = collections.OrderedDict(
        ("backbone." + numbered[name.split(".")[0]] + name[name.index("."):], value)
        for name, value in network(1, head="").items())
    return {
        "torchvision": network(1, head_width=4),
        "moco": {"epoch": 1, "arch": "resnet50", "optimizer": {"state": {}, "param_groups": []},
                 "state_dict": joined(network(1, "module.encoder_q."), network(50, "module.encoder_k."),
                                      {"module.queue": torch.ones(2, 4), "module.queue_ptr": torch.tensor([0])})},
        "moco-v3": {"state_dict": joined(network(1, "module.base_encoder."), network(50, "module.momentum_encoder."),
                                         extra("module.predictor."))},
        "moco-v3-momentum": {"state_dict": joined(network(50, "module.base_encoder."), network(1, "module.momentum_encoder."))},
        "simsiam": {"state_dict": joined(network(1, "module.encoder."), extra("module.predictor."))},
        "swav": joined(network(1, "module.", head=""), extra("module.projection_head."),
                       {"module.prototypes.weight": torch.ones(2, 2)}),
        "barlow-twins": {"epoch": 1, "model": joined(network(1, "module.backbone.", head=""), extra("module.projector."),
                                                     {"module.bn.running_mean": torch.ones(2)}),
                         "optimizer": {"state": {}, "param_groups": []}},
        "vicreg": {"epoch": 1, "model": joined(network(1, "module.backbone.", head=""), extra("module.projector."))},
        "dino": {"student": joined(network(50, "module.backbone.", head=""), extra("module.head.mlp.")),
                 "teacher": joined(network(1, "backbone.", head=""), extra("head.mlp.")),
                 "args": argparse.Namespace(arch="resnet50"), "epoch": 2},
        "dino-student": {"student": joined(network(1, "module.backbone.", head=""), extra("module.head.mlp.")),
                         "teacher": joined(network(50, "backbone.", head=""), extra("head.mlp."))},
        "dinov2": joined(network(1, head=""), {"mask_token": torch.ones(1, 2)}),
        "mae": {"model": joined(network(1, head=""), extra("decoder_embed."), {"mask_token": torch.ones(1, 1, 2)})},
        "ressl": {"model": joined(network(1, "module.encoder_q.net."), network(50, "module.encoder_k.net."))},
        "solo-learn": lightning(joined(network(1, "backbone.", head=""), extra("projector."), network(50, "momentum_backbone.", head=""),
                                       extra("classifier."))),
        "lightly": lightning(joined(network(1, "backbone.", head=""), extra("projection_head.layers."), extra("online_classifier."))),
        "stable-pretraining": lightning(joined(network(1, "backbone.", head=""), extra("callbacks_modules.probe."))),
        "mmpretrain": {"meta": {"epoch": 1, "mmpretrain_version": "1.0"},
                       "state_dict": joined(network(1, "backbone.", head=""), extra("head."), extra("neck."))},
        "vissl": {"phase_idx": 1, "classy_state_dict": {"base_model": {"model": {
            "trunk": network(1, "_feature_blocks.", head=""), "heads": extra("0.clf.")}, "meta": {}}}},
        "resnet-children": lightning(children),
    }


def dtypes():
    """Every element type, views, a scalar, an empty tensor, a parameter; as a module's state_dict."""
    base = torch.arange(12, dtype=torch.float32)
    state = collections.OrderedDict(
        double=torch.tensor([0.1, -2.5], dtype=torch.float64), float=torch.tensor([0.5, 3.25]),
        half=torch.tensor([0.5, -1.5], dtype=torch.float16), bfloat16=torch.tensor([2.0, -0.5], dtype=torch.bfloat16),
        long=torch.tensor([1, -2**40]), int=torch.tensor([5, -6], dtype=torch.int32),
        short=torch.tensor([7, -8], dtype=torch.int16), char=torch.tensor([9, -10], dtype=torch.int8),
        byte=torch.tensor([0, 255], dtype=torch.uint8), bool=torch.tensor([True, False]),
        scalar=torch.tensor(4.5), empty=torch.empty(0, 3), transposed=base.reshape(3, 4).t(),
        tail=base[7:], every_other=base[1::2], parameter=torch.nn.Parameter(torch.tensor([1.25])))
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    return state


def positions(expected):
    """Position embeddings of a grid of 4 x 4 places and a class token, and what they are on others: by
    MAE's util/pos_embed.py, interpolate_pos_embed."""
    generator = torch.Generator().manual_seed(4)
    embeddings = torch.randn(1, 17, 3, generator=generator)
    torch.save({"model": collections.OrderedDict(cls_token=torch.ones(1, 1, 3), pos_embed=embeddings)},
               "positions.pth")
    expected["positions"] = {}
    for side in (2, 3, 7):
        grid = embeddings[:, 1:].reshape(1, 4, 4, 3).permute(0, 3, 1, 2)
        grid = torch.nn.functional.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
        grid = grid.permute(0, 2, 3, 1).flatten(1, 2)
        expected["positions"][str(side)] = torch.cat((embeddings[:, :1], grid), dim=1).flatten().tolist()


def torchvision_networks(expected):
    """Small networks with torchvision's own names, and their numbers under the backbones' names."""
    torch.manual_seed(6)
    vit = torchvision.models.VisionTransformer(8, 4, 2, 2, 4, 8, num_classes=3)
    block = torchvision.models.convnext.CNBlockConfig
    convnext = torchvision.models.ConvNeXt([block(2, 4, 2), block(4, 4, 1), block(4, 6, 1), block(6, None, 1)],
                                           num_classes=3)
    swin = torchvision.models.SwinTransformer([2, 2], 2, [1, 1], [1, 1], [2, 2], num_classes=3)
    states = {"torchvision-vit": (vit, backbones.state_by(vit, backbones.VIT_NAMES), "heads."),
              "torchvision-convnext": (convnext, backbones.convnext_state(convnext), "classifier."),
              "torchvision-swin": (swin, backbones.swin_state(swin), "head.")}
    expected["networks"] = {}
    for name, (net, state, head) in states.items():
        torch.save(net.state_dict(), f"{name}.pth")
        expected["networks"][name] = {key: {"shape": list(value.shape), "values": value.detach().flatten().tolist()}
                                      for key, value in state.items() if not key.startswith(head)}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    os.chdir(FOLDER)  # an archive's folder is called after the file
    expected = {"backbone": [[name, list(shape)] for name, shape in BACKBONE.items()], "sources": {}}
    for name, content in sources().items():
        torch.save(content, f"{name}.pth")
        expected["sources"][name] = {key: ([7.0] if key.endswith("tracked") else ramp(shape, 1).flatten().tolist())
                                     for key, shape in BACKBONE.items()}
    positions(expected)
    torchvision_networks(expected)
    state = dtypes()
    torch.save(state, "types.pth")
    torch.save(state, "types_legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(state, "types_protocol4.pth", pickle_protocol=4)
    expected["types"] = {name: {"shape": list(value.shape), "type": str(value.dtype)[6:],
                                "values": value.detach().double().flatten().tolist()}
                         for name, value in state.items()}
    old = network(1, head="")
    del old["bn1.num_batches_tracked"]
    torch.save(old, "without_counters.pth", _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(2, 1), "whole_module.pth")
    torch.jit.script(torch.nn.Linear(2, 1)).save("script.pt")
    pathlib.Path("expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
