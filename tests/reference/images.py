#!/usr/bin/env python3
"""Writes golden/images/: small image files of every format and mode, and in images.json the pixels
that Pillow makes of them.

Run with Debian's Python (packages python3-pil and python3-numpy):

    /usr/bin/python3 tests/reference/images.py

The C++ tests compare plugins/images with it. Files that Pillow cannot write are put together here byte
by byte; those that it cannot read either, or that it reads with a loss that bissl avoids (16 bits of gray,
bands), have the pixels that they were written from.
"""

import io
import json
import pathlib
import struct
import zlib

import numpy
import PIL
from PIL import Image, ImageOps

SEED = 20260101
TARGET = pathlib.Path(__file__).parent / "golden" / "images"
WIDTH, HEIGHT = 13, 11


def colours():
    """A smooth picture with some noise, (HEIGHT, WIDTH, 3) bytes."""
    generator = numpy.random.default_rng(SEED)
    y, x = numpy.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [20 * x - 3 * y + 10, 16 * y + 5 * x, 200 - 9 * x + 4 * y]
    noise = generator.integers(0, 24, (HEIGHT, WIDTH, 3))
    image = (numpy.stack(planes, axis=-1) + noise).clip(0, 255).astype(numpy.uint8)
    image[0, 0], image[0, 1], image[1, 0] = (0, 0, 0), (255, 255, 255), (255, 0, 0)
    return image


RGB = colours()
GRAY = RGB[:, :, 1].copy()
ALPHA = (numpy.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * 255 // (HEIGHT * WIDTH - 1)).astype(numpy.uint8)
WIDE = numpy.random.default_rng(SEED + 1).integers(0, 65536, (HEIGHT, WIDTH, 3)).astype(numpy.uint16)
FILES = {}  # name -> bytes
PIXELS = {}  # name -> its array, where that is not what Pillow says
OPTIONS = {}  # name -> other options than "as-file"


def saved(image, **options):
    stream = io.BytesIO()
    image.save(stream, **options)
    return stream.getvalue()


def exif(orientation):
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def jpeg():
    rgb, gray = Image.fromarray(RGB), Image.fromarray(GRAY)
    for name, options in {"rgb-444": {"subsampling": 0}, "rgb-422": {"subsampling": 1},
                          "rgb-420": {"subsampling": 2}, "progressive": {"progressive": True}}.items():
        FILES[f"{name}.jpg"] = saved(rgb, format="JPEG", quality=85, **options)
    FILES["gray.jpg"] = saved(gray, format="JPEG", quality=85)
    cmyk = saved(rgb.convert("CMYK"), format="JPEG", quality=90)
    FILES["cmyk.jpg"] = cmyk
    adobe = cmyk.index(b"Adobe\0")
    FILES["cmyk-unmarked.jpg"] = cmyk[:adobe - 4] + cmyk[adobe + 12:]  # Pillow inverts it all the same
    FILES["ycck.jpg"] = cmyk[:adobe + 11] + b"\2" + cmyk[adobe + 12:]  # another meaning, the same numbers
    for orientation in range(1, 9):
        FILES[f"orientation-{orientation}.jpg"] = saved(rgb, format="JPEG", quality=75, exif=exif(orientation))
    FILES["large.jpg"] = saved(rgb.resize((8 * WIDTH, 8 * HEIGHT), Image.Resampling.BICUBIC), format="JPEG", quality=85)


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def packed_rows(samples, bits):
    """Rows of (height, width, samples) as PNG and TIFF store them, the highest bit first."""
    height = samples.shape[0]
    if bits == 16:
        return [row.astype(">u2").tobytes() for row in samples.reshape(height, -1)]
    flat = samples.reshape(height, -1)
    ones = (flat[:, :, None] >> numpy.arange(bits - 1, -1, -1)) & 1
    return [numpy.packbits(row.reshape(-1)).tobytes() for row in ones.astype(numpy.uint8)]


def png_file(samples, bits, kind, palette=None, interlaced=False, more=b""):
    height, width = samples.shape[:2]
    passes = [samples]
    if interlaced:
        starts = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
        passes = [samples[y::dy, x::dx] for y, x, dy, dx in starts]
    rows = b"".join(b"\0" + row for part in passes if part.size for row in packed_rows(part, bits))
    content = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, int(interlaced)))
    if palette is not None:
        content += chunk(b"PLTE", palette.tobytes())
    return b"\x89PNG\r\n\x1a\n" + content + more + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def palette_of(entries):
    return numpy.random.default_rng(SEED + entries).integers(0, 256, (entries, 3)).astype(numpy.uint8)


def png():
    for bits in (1, 2, 4, 8):
        FILES[f"gray-{bits}.png"] = png_file(GRAY[:, :, None] >> (8 - bits), bits, 0)
        FILES[f"palette-{bits}.png"] = png_file(GRAY[:, :, None] >> (8 - bits), bits, 3, palette_of(1 << bits))
    with_alpha = numpy.dstack([RGB, ALPHA])
    gray_alpha = numpy.dstack([GRAY, ALPHA])
    wide_alpha = numpy.dstack([WIDE, WIDE[:, :, :1]])
    FILES["rgb-8.png"] = png_file(RGB, 8, 2)
    FILES["rgb-16.png"] = png_file(WIDE, 16, 2)
    FILES["rgba-8.png"] = png_file(with_alpha, 8, 6)
    FILES["rgba-16.png"] = png_file(wide_alpha, 16, 6)
    FILES["gray-alpha-8.png"] = png_file(gray_alpha, 8, 4)
    FILES["gray-alpha-16.png"] = png_file(wide_alpha[:, :, :2], 16, 4)
    PIXELS["gray-alpha-16.png"] = (WIDE[:, :, :1] >> 8).astype(numpy.uint8)
    FILES["gray-16.png"] = png_file(WIDE[:, :, :1], 16, 0)
    PIXELS["gray-16.png"] = (WIDE[:, :, :1] >> 8).astype(numpy.uint8)
    FILES["range-16.png"] = FILES["gray-16.png"]
    OPTIONS["range-16.png"] = {"range": [10000, 30000]}
    scaled = (WIDE[:, :, :1].astype(float) - 10000) / 20000 * 255
    PIXELS["range-16.png"] = numpy.floor(scaled + 0.5).clip(0, 255).astype(numpy.uint8)
    FILES["transparent-colour.png"] = png_file(RGB, 8, 2, more=chunk(b"tRNS", struct.pack(">HHH", *map(int, RGB[3, 3]))))
    FILES["transparent-palette.png"] = png_file(GRAY[:, :, None] >> 4, 4, 3, palette_of(16), more=chunk(b"tRNS", bytes([0, 128, 255])))
    FILES["interlaced.png"] = png_file(RGB, 8, 2, interlaced=True)
    FILES["interlaced-1.png"] = png_file(GRAY[:, :, None] >> 7, 1, 0, interlaced=True)
    FILES["orientation.png"] = saved(Image.fromarray(RGB), format="PNG", exif=exif(6))
    FILES["filtered.png"] = saved(Image.fromarray(RGB), format="PNG", optimize=True)


def webp():
    rgb = Image.fromarray(RGB)
    rgba = Image.fromarray(numpy.dstack([RGB, ALPHA]))
    FILES["lossy.webp"] = saved(rgb, format="WEBP", quality=80)
    FILES["lossless.webp"] = saved(rgb, format="WEBP", lossless=True)
    FILES["lossy-alpha.webp"] = saved(rgba, format="WEBP", quality=80)
    FILES["lossless-alpha.webp"] = saved(rgba, format="WEBP", lossless=True, exact=True)
    FILES["orientation.webp"] = saved(rgb, format="WEBP", lossless=True, exif=exif(8))
    FILES["animated.webp"] = saved(rgb, format="WEBP", save_all=True, lossless=True,
                                   append_images=[Image.fromarray(255 - RGB)], duration=40)


def gif():
    indexed = Image.fromarray(GRAY >> 4)
    indexed = indexed.convert("P")
    indexed.putpalette(palette_of(16).tobytes())
    FILES["palette.gif"] = saved(indexed, format="GIF", interlace=0)
    FILES["interlaced.gif"] = saved(indexed, format="GIF", interlace=1)
    FILES["transparent.gif"] = saved(indexed, format="GIF", transparency=3)
    FILES["gray.gif"] = saved(Image.fromarray(GRAY), format="GIF")
    second = indexed.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    FILES["animated.gif"] = saved(indexed, format="GIF", save_all=True, append_images=[second])
    # A first image that fills a part of the canvas only.
    plain = FILES["palette.gif"]
    descriptor = plain.index(b"\x2c\0\0\0\0")
    moved = bytearray(plain)
    moved[6:10] = struct.pack("<HH", WIDTH + 4, HEIGHT + 3)
    moved[descriptor + 1:descriptor + 5] = struct.pack("<HH", 2, 1)
    FILES["offset.gif"] = bytes(moved)


def bmp_file(rows, width, height, bits, compression=0, palette=b"", masks=b"", colours=0):
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(rows), 2835, 2835, colours, 0)
    offset = 14 + 40 + len(masks) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + header + masks + palette + rows


def bmp_rows(values, size, upward=True):
    rows = values[::-1] if upward else values
    width = rows.shape[1] * size
    return b"".join(row.tobytes() + bytes(-width % 4) for row in rows)


def bmp():
    rgb = Image.fromarray(RGB)
    palette = palette_of(256)
    entries = b"".join(bytes([b, g, r, 0]) for r, g, b in palette.tolist())
    FILES["rgb.bmp"] = saved(rgb, format="BMP")
    FILES["rgba.bmp"] = saved(Image.fromarray(numpy.dstack([RGB, ALPHA])), format="BMP")
    FILES["gray.bmp"] = saved(Image.fromarray(GRAY), format="BMP")
    FILES["bitmap.bmp"] = saved(Image.fromarray(GRAY).convert("1"), format="BMP")
    FILES["palette-8.bmp"] = bmp_file(bmp_rows(GRAY, 1), WIDTH, HEIGHT, 8, palette=entries)
    nibbles = b"".join(row + bytes(-len(row) % 4) for row in packed_rows((GRAY >> 4)[::-1, :, None], 4))
    FILES["palette-4.bmp"] = bmp_file(nibbles, WIDTH, HEIGHT, 4, palette=entries[:64], colours=16)
    ones = b"".join(row + bytes(-len(row) % 4) for row in packed_rows((GRAY >> 7)[::-1, :, None], 1))
    FILES["palette-1.bmp"] = bmp_file(ones, WIDTH, HEIGHT, 1, palette=entries[8:16], colours=2)
    r, g, b = (RGB[:, :, c].astype(numpy.uint16) for c in range(3))
    FILES["rgb-555.bmp"] = bmp_file(bmp_rows((r >> 3) << 10 | (g >> 3) << 5 | b >> 3, 2), WIDTH, HEIGHT, 16)
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    FILES["rgb-565.bmp"] = bmp_file(bmp_rows((r >> 3) << 11 | (g >> 2) << 5 | b >> 3, 2), WIDTH, HEIGHT, 16, 3, masks=masks)
    masks = struct.pack("<III", 0xFF000000, 0xFF0000, 0xFF00)
    fields = r.astype(numpy.uint32) << 24 | g.astype(numpy.uint32) << 16 | b.astype(numpy.uint32) << 8
    FILES["fields-32.bmp"] = bmp_file(bmp_rows(fields, 4), WIDTH, HEIGHT, 32, 3, masks=masks)
    FILES["down.bmp"] = bmp_file(bmp_rows(RGB[:, :, ::-1].copy(), 3, upward=False), WIDTH, -HEIGHT, 24)
    os2 = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, 24)
    rows = bmp_rows(RGB[:, :, ::-1].copy(), 3)
    FILES["os2.bmp"] = b"BM" + struct.pack("<IHHI", 26 + len(rows), 0, 0, 26) + os2 + rows
    runs = bytearray()
    for row in (GRAY >> 5)[::-1]:
        runs += b"".join(bytes([2, int(v)]) for v in row[:4])  # beyond what they cover below
        runs += bytes([0, 5]) + bytes(row[8:13].tolist()) + b"\0" + bytes([0, 0])
    FILES["runs-8.bmp"] = bmp_file(bytes(runs) + b"\0\1", WIDTH, HEIGHT, 8, 1, palette=entries)
    FILES["runs-4.bmp"] = bmp_file(b"".join(bytes([WIDTH, 0x10 * (y % 16) + 5, 0, 0]) for y in range(HEIGHT)) + b"\0\1",
                                   WIDTH, HEIGHT, 4, 2, palette=entries[:64], colours=16)


def pnm():
    bits = GRAY >> 7

    def text(values):
        return "\n".join(" ".join(map(str, row)) for row in values.reshape(values.shape[0], -1).tolist()).encode()

    size = f"{WIDTH} {HEIGHT}\n".encode()
    FILES["text.pbm"] = b"P1\n# a comment\n" + size + text(bits) + b"\n"
    FILES["text.pgm"] = b"P2\n" + size + b"# another 5\n15\n" + text(GRAY >> 4) + b"\n"
    FILES["text.ppm"] = b"P3 " + size + b"255\n" + text(RGB)
    FILES["bytes.pbm"] = b"P4\n" + size + b"".join(packed_rows(bits[:, :, None], 1))
    FILES["bytes.pgm"] = b"P5\n" + size + b"255\n" + GRAY.tobytes()
    FILES["bytes.ppm"] = b"P6\n" + size + b"255\n" + RGB.tobytes()
    FILES["most-100.ppm"] = b"P6\n" + size + b"100\n" + (RGB.astype(int) * 100 // 255).astype(numpy.uint8).tobytes()
    FILES["wide.ppm"] = b"P6\n" + size + b"65535\n" + WIDE.astype(">u2").tobytes()
    FILES["wide.pgm"] = b"P5\n" + size + b"65535\n" + WIDE[:, :, 0].astype(">u2").tobytes()
    PIXELS["wide.pgm"] = numpy.round(WIDE[:, :, :1] / 65535 * 255).astype(numpy.uint8)
    FILES["most-1000.ppm"] = b"P6\n" + size + b"1000\n" + (WIDE % 1001).astype(">u2").tobytes()


def tiff_file(samples, bits, meaning, order="<", apart=False, tile=None, sample_format=1, extra=(), tags=()):
    """An uncompressed TIFF in strips of three rows, or in tiles."""
    height, width, count = samples.shape

    def raw(block):
        if bits >= 8:
            kinds = {1: "u", 2: "i", 3: "f"}
            return block.astype(f"{order}{kinds[sample_format]}{bits // 8}").tobytes()
        return b"".join(packed_rows(block, bits))

    planes = [samples[:, :, c:c + 1] for c in range(count)] if apart else [samples]
    parts = []
    for plane in planes:
        if tile is None:
            parts += [raw(plane[y:y + 3]) for y in range(0, height, 3)]
            continue
        for y in range(0, height, tile):
            for x in range(0, width, tile):
                block = plane[y:y + tile, x:x + tile]
                missing = ((0, tile - block.shape[0]), (0, tile - block.shape[1]), (0, 0))
                parts.append(raw(numpy.pad(block, missing)))
    data, offsets = b"", []
    for part in parts:
        offsets.append(8 + len(data))
        data += part + bytes(len(part) % 2)
    entries = [(256, 3, [width]), (257, 3, [height]), (258, 3, [bits] * count), (259, 3, [1]), (262, 3, [meaning]),
               (277, 3, [count]), (284, 3, [2 if apart else 1]), (339, 3, [sample_format] * count)]
    if tile is None:
        entries += [(273, 4, offsets), (278, 3, [3]), (279, 4, [len(part) for part in parts])]
    else:
        entries += [(322, 3, [tile]), (323, 3, [tile]), (324, 4, offsets), (325, 4, [len(part) for part in parts])]
    if extra:
        entries.append((338, 3, list(extra)))
    entries = sorted(entries + list(tags))
    directory, beyond = struct.pack(order + "H", len(entries)), b""
    start = 8 + len(data) + 2 + 12 * len(entries) + 4
    for tag, kind, values in entries:
        content = struct.pack(order + {3: "H", 4: "I"}[kind] * len(values), *values)
        if len(content) <= 4:
            place = content.ljust(4, b"\0")
        else:
            place = struct.pack(order + "I", start + len(beyond))
            beyond += content + bytes(len(content) % 2)
        directory += struct.pack(order + "HHI", tag, kind, len(values)) + place
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(order + "I", 8 + len(data)) + data + directory + bytes(4) + beyond


def tiff():
    rgb, gray = Image.fromarray(RGB), Image.fromarray(GRAY)
    indexed = gray.convert("P")
    indexed.putpalette(palette_of(256).tobytes())
    modes = {"rgb": rgb, "gray": gray, "bitmap": gray.convert("1"), "palette": indexed, "cmyk": rgb.convert("CMYK"),
             "rgba": Image.fromarray(numpy.dstack([RGB, ALPHA])), "gray-alpha": Image.merge("LA", [gray, Image.fromarray(ALPHA)])}
    for name, image in modes.items():
        FILES[f"{name}.tif"] = saved(image, format="TIFF")
    for compression in ("tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg"):
        FILES[f"{compression}.tif"] = saved(rgb, format="TIFF", compression=compression)
    FILES["group4.tif"] = saved(gray.convert("1"), format="TIFF", compression="group4")
    FILES["white-is-0.tif"] = tiff_file(GRAY[:, :, None], 8, 0)
    FILES["gray-4.tif"] = tiff_file(GRAY[:, :, None] >> 4, 4, 1)
    FILES["gray-2-white-is-0.tif"] = tiff_file(GRAY[:, :, None] >> 6, 2, 0)
    FILES["big-endian.tif"] = tiff_file(RGB, 8, 2, order=">")
    for name, order in {"little": "<", "big": ">"}.items():
        FILES[f"rgb-16-{name}.tif"] = tiff_file(WIDE, 16, 2, order=order)
        FILES[f"gray-16-{name}.tif"] = tiff_file(WIDE[:, :, :1], 16, 1, order=order)
        PIXELS[f"gray-16-{name}.tif"] = (WIDE[:, :, :1] >> 8).astype(numpy.uint8)
    FILES["multiplied.tif"] = tiff_file((numpy.dstack([RGB, ALPHA]) * (ALPHA[:, :, None] / 255)).astype(numpy.uint8), 8, 2, extra=[1])
    FILES["orientation.tif"] = tiff_file(RGB, 8, 2, tags=[(274, 3, [6])])
    FILES["tiles.tif"] = tiff_file(RGB, 8, 2, tile=16)
    FILES["planes.tif"] = tiff_file(RGB, 8, 2, apart=True)
    PIXELS["planes.tif"] = RGB  # Pillow mixes the strips of planes
    bands = numpy.dstack([WIDE, WIDE[::-1], WIDE[:, ::-1, :1]])
    FILES["bands-8.tif"] = tiff_file((bands >> 8).astype(numpy.uint8), 8, 1, extra=[0] * 6)
    FILES["bands-16.tif"] = tiff_file(bands, 16, 1, extra=[0] * 6)
    FILES["bands-16-planes.tif"] = tiff_file(bands, 16, 1, extra=[0] * 6, apart=True, order=">")
    FILES["bands-16-tiles.tif"] = tiff_file(bands, 16, 1, extra=[0] * 6, tile=16)
    FILES["bands-16-tiles-planes.tif"] = tiff_file(bands, 16, 1, extra=[0] * 6, tile=16, apart=True)
    for name in [name for name in FILES if name.startswith("bands-")]:
        PIXELS[name] = (bands >> 8).astype(numpy.uint8)
    FILES["chosen-bands.tif"] = FILES["bands-16.tif"]
    OPTIONS["chosen-bands.tif"] = {"bands": [4, 1, 7], "channels": "rgb"}
    PIXELS["chosen-bands.tif"] = (bands[:, :, [3, 0, 6]] >> 8).astype(numpy.uint8)
    FILES["infrared.tif"] = tiff_file(numpy.dstack([RGB, GRAY]), 8, 2, extra=[0])
    PIXELS["infrared.tif"] = numpy.dstack([RGB, GRAY])
    # GDAL marks the sample behind the colours as alpha, whatever it is.
    FILES["infrared-alpha.tif"] = tiff_file(numpy.dstack([RGB, GRAY]), 8, 2, extra=[2])
    OPTIONS["infrared-alpha.tif"] = {"bands": [4, 1, 2, 3]}
    PIXELS["infrared-alpha.tif"] = numpy.dstack([GRAY, RGB])
    FILES["chosen-bands-alpha.tif"] = tiff_file(bands, 16, 1, extra=[2] + [0] * 5)
    OPTIONS["chosen-bands-alpha.tif"] = OPTIONS["chosen-bands.tif"]
    PIXELS["chosen-bands-alpha.tif"] = PIXELS["chosen-bands.tif"]
    signed = (WIDE.astype(int) - 32768).astype(numpy.int16)
    FILES["signed-16.tif"] = tiff_file(signed[:, :, :1], 16, 1, sample_format=2)
    PIXELS["signed-16.tif"] = (WIDE[:, :, :1] >> 8).astype(numpy.uint8)
    real = (WIDE[:, :, :1] / 65535 * 4 - 2).astype(numpy.float32)
    for bits in (32, 64):
        name = f"real-{bits}.tif"
        FILES[name] = tiff_file(real, bits, 1, sample_format=3)
        OPTIONS[name] = {"range": [-1.5, 1.5]}
        PIXELS[name] = numpy.floor((real.astype(float) + 1.5) / 3 * 255 + 0.5).clip(0, 255).astype(numpy.uint8)


def pixels_by_pillow(content):
    """(height, width, 1 or 3): gray for files without colours."""
    image = Image.open(io.BytesIO(content))
    if image.format != "TIFF":  # Pillow turns those itself when they are loaded
        image = ImageOps.exif_transpose(image)
    gray = image.mode in ("1", "L", "LA")
    pixels = numpy.asarray(image.convert("L" if gray else "RGB"))
    return pixels[:, :, None] if gray else pixels


def main():
    for make in (jpeg, png, webp, gif, bmp, pnm, tiff):
        make()
    TARGET.mkdir(exist_ok=True)
    for old in TARGET.iterdir():
        old.unlink()
    images = {}
    for name, content in FILES.items():
        (TARGET / name).write_bytes(content)
        pixels = PIXELS.get(name)
        if pixels is None:
            pixels = pixels_by_pillow(content)
        images[name] = {"shape": [pixels.shape[2], pixels.shape[0], pixels.shape[1]]}
        if name != "large.jpg":
            images[name]["pixels"] = pixels.tobytes().hex()
        if name in OPTIONS:
            images[name]["options"] = OPTIONS[name]
    gray = {name: numpy.asarray(Image.open(io.BytesIO(FILES[name])).convert("L")).tobytes().hex()
            for name in ("rgb-8.png", "rgb-420.jpg", "palette-8.png", "cmyk.tif")}
    scaled = ImageOps.exif_transpose(Image.open(io.BytesIO(FILES["rgb-8.png"]))).resize((4, 4), Image.Resampling.BILINEAR)
    large = Image.open(io.BytesIO(FILES["large.jpg"])).resize((39, 33), Image.Resampling.BILINEAR)
    golden = {"made_by": "tests/reference/images.py", "seed": SEED, "pillow": PIL.__version__,
              "libjpeg": PIL.features.version("libjpeg_turbo"), "webp": PIL.features.version("webp"),
              "libtiff": PIL.features.version("libtiff"), "images": images, "gray": gray,
              "wide": WIDE.astype("<u2").tobytes().hex(),
              "scaled": {"rgb-8.png": {"size": 4, "pixels": numpy.asarray(scaled).tobytes().hex()},
                         "large.jpg": {"size": 33, "pixels": numpy.asarray(large).tobytes().hex()}}}
    (TARGET / "images.json").write_text(json.dumps(golden, separators=(",", ":")).replace('"},', '"},\n') + "\n")


if __name__ == "__main__":
    import PIL.features

    main()
