#!/usr/bin/env python3
"""The other side of torchvision_weights_test: torchvision's ResNet-18, with one channel of colour.

    torchvision_weights.py make FOLDER     weights in three files, and images as IDX files
    torchvision_weights.py check FOLDER    compares what bissl computed with what torchvision does
    torchvision_weights.py make FOLDER NAME, check FOLDER NAME: the same for the features of another network,
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
NETWORKS = {"resnet101": "resnet101", "resnet152": "resnet152", "resnext101-32x8d": "resnext101_32x8d",
            "wide-resnet101-2": "wide_resnet101_2", "swin-tiny": "swin_t"}
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


def named_network(name):
    """With one channel of colour, and running statistics that are not those of a new network."""
    torch.manual_seed(3)
    net = getattr(torchvision.models, NETWORKS[name])(weights=None)
    holder, place = (net.features[0], "0") if name.startswith("swin") else (net, "conv1")
    first = getattr(holder, place)
    setattr(holder, place, torch.nn.Conv2d(1, first.out_channels, first.kernel_size, first.stride, first.padding,
                                           bias=first.bias is not None))
    net.train()
    with torch.no_grad():
        for _ in range(2):
            net(torch.randn(8, 1, 28, 28) * 2 + 0.3)
    return net.eval()


def make_named(folder, name):
    torch.save(named_network(name).state_dict(), folder / f"{name}.pth")


def check_named(folder, name):
    net = named_network(name)
    setattr(net, "head" if name.startswith("swin") else "fc", torch.nn.Identity())
    with torch.no_grad():
        features = net(views()).numpy()
    compare(f"features of {name}", numpy.load(folder / f"{name}.npy"), features,
            max(1.0, float(numpy.abs(features).max())))


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


def compare(what, ours, theirs, size=1.0):
    """Rounding adds up along the layers and grows with the numbers: `size` is theirs."""
    error = float(numpy.abs(ours - theirs).max())
    print(f"{what}: largest difference {error:.2e}, largest number {numpy.abs(theirs).max():.2f}")
    if not error <= TOLERANCE * size:
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


if __name__ == "__main__":
    steps = {"make": make, "check": check} if len(sys.argv) == 3 else {"make": make_named, "check": check_named}
    steps[sys.argv[1]](pathlib.Path(sys.argv[2]), *sys.argv[3:])
