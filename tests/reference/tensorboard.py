#!/usr/bin/env python3
"""A golden event file of TensorBoard, for an event log.

    /usr/bin/python3 tests/reference/tensorboard.py tests/reference/golden

writes tensorboard.jsonl, the log, tensorboard.events, what its event file has to be byte by byte
when the log's last change was at TIME, and tensorboard.cell, that of a cell of a sweep. The checksum is
taken bit by bit, as a division of polynomials, and the messages are put together by hand: another
way to the same bytes than the program's.
"""
import json
import struct
import sys
from pathlib import Path

TIME = 1700000000.25
INFINITY = float("inf")

# (line of the log, step, numbers by tag)
LINES = [
    ({"step": 0, "loss": 2.5, "lr_scale": 0.125, "gradient_norm": 7.0}, 0,
     {"gradient_norm": 7.0, "loss": 2.5, "lr_scale": 0.125}),
    ({"step": 1, "loss": None, "lr_scale": 0.25, "gradient_norm": None,
      "not_finite": {"loss": "inf", "gradient_norm": "nan"}}, 1,
     {"gradient_norm": float("nan"), "loss": INFINITY, "lr_scale": 0.25}),
    ({"step": 200, "phase": "head_warmup", "loss": 1.5}, 200, {"head_warmup/loss": 1.5}),
    ({"step": 201, "phase": "lower", "lower": 3.0, "round": 0, "proximity": 0.0}, 201,
     {"lower/loss": 3.0, "lower/proximity": 0.0}),
    ({"step": 202, "phase": "upper", "upper": 1.0, "round": 0, "solve": "converged",
      "iterations": 3, "audit": {"cosine": 0.5}}, 202,
     {"audit/cosine": 0.5, "upper/iterations": 3.0, "upper/loss": 1.0}),
    ({"step": 70000, "loss": -0.1, "validation": {"top1": 0.75, "loss": None}}, 70000,
     {"loss": -0.1, "validation/top1": 0.75}),
    ({"step": 70001}, 70001, {}),
]

# A last line, whose histogram is a record of its own kind.
HISTOGRAM = {"min": -1.0, "max": 3.0, "num": 5, "sum": 2.0, "squares": 12.5,
             "limits": [1.0, 3.0], "counts": [4.0, 1.0]}


def crc32c(data):
    """The remainder of the bits of `data`, least significant first, by the polynomial of Castagnoli."""
    register = 0xFFFFFFFF
    for byte in data:
        for bit in range(8):
            carry = (register ^ (byte >> bit)) & 1
            register >>= 1
            if carry:
                register ^= int(f"{0x1EDC6F41:032b}"[::-1], 2)
    return register ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(data):
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def varint(value):
    out = b""
    while True:
        value, low = value >> 7, value & 127
        out += bytes([low | (128 if value else 0)])
        if not value:
            return out


def varint_field(number, value):
    return varint(number * 8) + varint(value)


def double_field(number, value):
    return varint(number * 8 + 1) + struct.pack("<d", value)


def bytes_field(number, value):
    return varint(number * 8 + 2) + varint(len(value)) + value


def float_field(number, value):
    return varint(number * 8 + 5) + struct.pack("<f", value)


def event(time, step, body):
    return record((double_field(1, time) if time else b"") +
                  (varint_field(2, step) if step else b"") + body)


def scalars(numbers):
    return bytes_field(5, b"".join(
        bytes_field(1, bytes_field(1, tag.encode()) + float_field(2, value))
        for tag, value in sorted(numbers.items())))


def histogram(tag, given):
    fields = b"".join(double_field(number, given[key]) for number, key in
                      enumerate(("min", "max", "num", "sum", "squares"), 1))
    for number, key in ((6, "limits"), (7, "counts")):
        fields += bytes_field(number, b"".join(struct.pack("<d", one) for one in given[key]))
    return bytes_field(1, bytes_field(1, tag.encode()) + bytes_field(5, fields))


def hparams(tag, member, content):
    data = bytes_field(member, content)
    metadata = bytes_field(1, bytes_field(1, b"hparams") + bytes_field(2, data))
    return bytes_field(5, bytes_field(1, bytes_field(1, tag.encode()) + bytes_field(9, metadata)))


def log_file(time):
    records = event(time, 0, bytes_field(3, b"brain.Event:2"))
    for _, step, numbers in LINES:
        records += event(time, step, scalars(numbers))
    number = bytes_field(1, bytes_field(1, b"loss") + float_field(2, 0.5))
    return records + event(time, 70002, bytes_field(5, number + histogram("conv.weight", HISTOGRAM)))


def cell_file():
    parameters = {"adapt": varint_field(4, 1), "lr": double_field(2, 0.25),
                  "optimizer": bytes_field(3, b"sgd")}
    start = b"".join(bytes_field(1, bytes_field(1, name.encode()) + bytes_field(2, value))
                     for name, value in sorted(parameters.items()))
    start += bytes_field(4, b"lr=0.25")
    return (event(0, 0, bytes_field(3, b"brain.Event:2")) +
            event(0, 0, hparams("_hparams_/session_start_info", 3, start)) +
            event(0, 0, scalars({"finetune.test.top1": 0.5})) +
            event(0, 0, hparams("_hparams_/session_end_info", 4, varint_field(1, 1))))


def main():
    folder = Path(sys.argv[1])
    assert crc32c(b"123456789") == 0xE3069283  # the check value of this checksum
    (folder / "tensorboard.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in [line for line, _, _ in LINES] + [
            {"step": 70002, "loss": 0.5, "histograms": {"conv.weight": HISTOGRAM}}]))
    (folder / "tensorboard.events").write_bytes(log_file(TIME))
    (folder / "tensorboard.cell").write_bytes(cell_file())


main()
