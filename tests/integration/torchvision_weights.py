#!/usr/bin/env python3
"""The other side of torchvision_weights_test: torchvision's ResNet-18, with one channel of colour,
and all other networks that both programs have, for colour images.

    torchvision_weights.py make FOLDER     weights in three files, and images as IDX files
    torchvision_weights.py check FOLDER    compares what bissl computed with what torchvision does
    torchvision_weights.py photos FOLDER   colour images as files of STL-10, stl10_binary/…
    torchvision_weights.py make FOLDER NAME, check FOLDER NAME: the features of one of these networks,
                                           NAME.pth, by bissl's name of it

Exits with 77 where torch or torchvision is missing.
"""
import json
import pathlib
import struct
import sys

try:
    import numpy
    import torch
    import torchvision
except ImportError as error:
    print(error)
    sys.exit(77)

IMAGES, CLASSES, TOLERANCE = 24, 10, 1e-5
NETWORKS = {
    "resnet18": "resnet18", "resnet34": "resnet34", "resnet50": "resnet50", "resnet101": "resnet101",
    "resnet152": "resnet152", "resnext50-32x4d": "resnext50_32x4d", "resnext101-32x8d": "resnext101_32x8d",
    "wide-resnet50-2": "wide_resnet50_2", "wide-resnet101-2": "wide_resnet101_2",
    "convnext-tiny": "convnext_tiny", "convnext-small": "convnext_small", "convnext-base": "convnext_base",
    "swin-tiny": "swin_t", "swin-small": "swin_s", "swin-base": "swin_b", "vgg11": "vgg11_bn", "vgg16": "vgg16_bn",
    "vgg19": "vgg19_bn", "mobilenet-v2": "mobilenet_v2", "efficientnet-b0": "efficientnet_b0", "vit-base": "vit_b_16",
}
# Of the largest feature. Depthwise convolutions with little variance make it: single precision is off
# by 7e-6 in mobilenet-v2, by 2e-6 in wide-resnet101-2.
NETWORK_TOLERANCE = 5e-5
PHOTOS = 12
PHOTO = 96  # height and width of STL-10's images, for which vit-base's positions are
MEAN, STD = 0.4, 0.3


def network():
    net = torchvision.models.resnet18(weights=None, num_classes=CLASSES)
    net.conv1 = torch.nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    return net


def pixels():
    generator = torch.Generator().manual_seed(7)
    return torch.randint(0, 256, (IMAGES, 28, 28), generator=generator, dtype=torch.uint8)


def views():
    return (pixels().unsqueeze(1).float() / 255 - MEAN) / STD


def make(folder):
    torch.manual_seed(1)
    net = network()
    net.train()
    with torch.no_grad():  # running statistics that are not those of a new network
        for _ in range(3):
            net(torch.randn(16, 1, 28, 28) * 2 + 0.3)
    torch.save(net.state_dict(), folder / "new.pth")
    torch.save(net.state_dict(), folder / "old.pth", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "state_dict": {"module.encoder_q." + name: value for name, value in net.state_dict().items()}},
               folder / "moco.pth")
    images = pixels().numpy()
    for split in ("train", "t10k"):
        (folder / f"{split}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, IMAGES, 28, 28) + images.tobytes())
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, IMAGES) + bytes(i % CLASSES for i in range(IMAGES)))


def photos():
    """Squares of 16 pixels with noise."""
    generator = torch.Generator().manual_seed(11)
    squares = torch.randint(0, 200, (PHOTOS, 3, PHOTO // 16, PHOTO // 16), generator=generator)
    noise = torch.randint(0, 56, (PHOTOS, 3, PHOTO, PHOTO), generator=generator)
    return (squares.repeat_interleave(16, 2).repeat_interleave(16, 3) + noise).to(torch.uint8)


def make_photos(folder):
    """Colours one after the other, each column by column."""
    files = folder / "stl10_binary"
    files.mkdir()
    (files / "class_names.txt").write_text("".join(f"class{i}\n" for i in range(CLASSES)))
    for split in ("train", "test"):
        (files / f"{split}_X.bin").write_bytes(photos().transpose(2, 3).contiguous().numpy().tobytes())
        (files / f"{split}_y.bin").write_bytes(bytes(i % CLASSES + 1 for i in range(PHOTOS)))


def constructed(name):
    options = {"image_size": PHOTO} if name.startswith("vit") else {}
    return getattr(torchvision.models, NETWORKS[name])(weights=None, **options)


def features_of(name, net, images):
    """What is in front of the classifier; of networks that have further layers there the mean of the last map."""
    if name.startswith(("vgg", "mobilenet", "efficientnet")):
        return net.features(images).mean((2, 3))
    if name.startswith("convnext"):
        return net.classifier[:2](net.avgpool(net.features(images)))
    for classifier in ("fc", "head", "heads"):
        if hasattr(net, classifier):
            setattr(net, classifier, torch.nn.Identity())
    return net(images)


@torch.no_grad()
def make_named(folder, name):
    """Numbers that are not those of a new network, whose biases and scales of branches are 0 or next to it."""
    torch.manual_seed(3)
    net = constructed(name)
    for place, parameter in net.named_parameters():
        if place.endswith("layer_scale"):
            parameter.uniform_(0.2, 0.6)
        elif place.endswith(("relative_position_bias_table", "class_token", "pos_embedding")):
            parameter.normal_(0, 0.5)
        elif place.endswith("bias"):
            parameter.normal_(0, 0.1)
        elif parameter.dim() == 1:
            parameter.uniform_(0.5, 1.5)
    norms = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean over the batches: activations keep their size
    net.train()
    for _ in range(2 if norms else 0):
        net(torch.randn(8, 3, PHOTO, PHOTO) * 2 + 0.3)
    torch.save(net.state_dict(), folder / f"{name}.pth")


@torch.no_grad()
def check_named(folder, name):
    net = constructed(name)
    net.load_state_dict(torch.load(folder / f"{name}.pth"), strict=True)
    features = features_of(name, net.eval(), (photos().float() / 255 - MEAN) / STD).numpy()
    size = float(numpy.abs(features).max())
    spread = float(features.std(0).mean())
    if not spread > 1e-3 * size:
        sys.exit(f"features of {name} hardly differ between the images ({spread} of {size}): they prove nothing")
    compare(f"features of {name}", numpy.load(folder / f"{name}.npy"), features, NETWORK_TOLERANCE * size)


def outputs(net):
    """Features and logits of the images."""
    found = []
    net.avgpool.register_forward_hook(lambda module, given, made: found.append(made.flatten(1)))
    net.eval()
    with torch.no_grad():
        logits = net(views())
    return found[-1].numpy(), logits.numpy()


def read_safetensors(file):
    content = file.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    types = {"F32": numpy.float32, "I64": numpy.int64}
    tensors = {}
    for name, entry in json.loads(content[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            data = numpy.frombuffer(content[8 + size + begin:8 + size + end], types[entry["dtype"]])
            tensors[name] = torch.from_numpy(data.reshape(entry["shape"]).copy())
    return tensors


def compare(what, ours, theirs, tolerance=TOLERANCE):
    error = float(numpy.abs(ours - theirs).max())
    print(f"{what}: largest difference {error:.2e}, largest number {numpy.abs(theirs).max():.2f}")
    if ours.shape != theirs.shape or not error <= tolerance:
        sys.exit(f"{what} differ by {error}")


def check(folder):
    net = network()
    net.load_state_dict(torch.load(folder / "new.pth"))
    features, logits = outputs(net)
    for name in ("new", "old", "moco"):
        compare(f"features of {name}.pth", numpy.load(folder / f"{name}.npy"), features)
    compare("logits of new.pth", numpy.load(folder / "new.outputs.npy"), logits)
    for file in ("tuned.pth", "tuned.safetensors"):
        state = (torch.load(folder / file, weights_only=True) if file.endswith(".pth") else read_safetensors(folder / file))
        net = network()
        net.load_state_dict(state, strict=True)
        features, logits = outputs(net)
        compare(f"features of {file}", numpy.load(folder / "tuned.npy"), features)
        compare(f"logits of {file}", numpy.load(folder / "tuned.outputs.npy"), logits)


def main(step, *arguments):
    if step == "photos":
        make_photos(pathlib.Path(arguments[0]))
    elif len(arguments) == 1:
        {"make": make, "check": check}[step](pathlib.Path(arguments[0]))
    else:
        {"make": make_named, "check": check_named}[step](pathlib.Path(arguments[0]), arguments[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
