"""Writes small files as other programs write them: tests/fuzz/corpus/{mat,cifar_pickle,tar}.

    /usr/bin/python3 tests/reference/dataset_files.py

MAT-files by scipy, pickles of NumPy arrays by Python, tar files by Python's tarfile. The unit tests
of the readers know what is in them, and the fuzz targets start from them.
"""

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import scipy.io

corpus = Path(__file__).resolve().parent.parent / "fuzz" / "corpus"


def write(name, content):
    path = corpus / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def mat(name, variables, **options):
    # The header's text holds the time; without it the file is the same each time.
    stream = io.BytesIO()
    scipy.io.savemat(stream, variables, **options)
    content = bytearray(stream.getvalue())
    text = b"MATLAB 5.0 MAT-file, written by scipy"
    content[:116] = text + b" " * (116 - len(text))
    write(f"mat/{name}.mat", bytes(content))


def cell(items):
    array = np.empty((1, len(items)), dtype=object)
    array[0, :] = items
    return array


annotations = np.zeros((1, 2), dtype=[("bbox_x1", object), ("class", object), ("fname", object)])
annotations[0, 0] = (np.uint8(39), np.uint8(2), "00001.jpg")
annotations[0, 1] = (np.uint16(300), np.uint8(1), "00002.jpg")
mat("annotations", {"annotations": annotations})
mat("annotations-compressed", {"annotations": annotations}, do_compression=True)
mat("class_names", {"class_names": cell(["AM General Hummer SUV 2000", "Škoda 120 L"])})
mat("labels", {"labels": np.array([[3.0, 1.0, 300.0, 2.0]]), "tstid": np.array([[4, 1]], np.uint16)})
mat("images", {"X": np.arange(2 * 3 * 3 * 2, dtype=np.uint8).reshape(2, 3, 3, 2, order="F"),
               "y": np.array([[1], [10]], np.uint8)}, do_compression=True)
mat("empty", {"nothing": np.zeros((0, 0))})

batch = {
    "batch_label": "training batch 1 of 5",
    "labels": [6, 9],
    "data": np.arange(2 * 12, dtype=np.uint8).reshape(2, 12) * 10,
    "filenames": ["leptodactylus_pentadactylus_s_000004.png", "camion_s_000148.png"],
}
for protocol in (2, 3, 4):
    write(f"cifar_pickle/protocol-{protocol}.pickle", pickle.dumps(batch, protocol=protocol))
write("cifar_pickle/names.pickle", pickle.dumps(
    {"num_cases_per_batch": 10000, "label_names": ["airplane", "automobile"], "num_vis": 3072},
    protocol=2))


class Harmful:
    def __reduce__(self):
        return (eval, ("1 + 1",))


write("cifar_pickle/eval.pickle", pickle.dumps({"data": Harmful()}, protocol=2))
deep = b"\x80\x02" + b"]" * 5000 + b"a" * 4999 + b"."
write("cifar_pickle/deep.pickle", deep)
# Each line doubles what a reader that copies values would hold.
bomb = b"\x80\x02]q\x00K\x01a" + b"".join(
    b"0](" + b"h%c" % i * 2 + b"eq%c" % (i + 1) for i in range(60)) + b"."
write("cifar_pickle/memo-bomb.pickle", bomb)


def tar(name, members, format):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as archive:
        for path, content, kind in members:
            info = tarfile.TarInfo(path)
            info.type = kind
            info.size = len(content)
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = "a/0001.jpg"
            archive.addfile(info, io.BytesIO(content))
    # The padding to ten blocks' multiples is left out, all but the two blocks at the end.
    content = stream.getvalue()
    end = len(content.rstrip(b"\0"))
    write(f"tar/{name}.tar", content[: (end + 511) // 512 * 512 + 1024])


file = tarfile.REGTYPE
samples = [("a", b"", tarfile.DIRTYPE), ("a/0001.jpg", b"one", file), ("a/0001.cls", b"3", file),
           ("a/0002.jpg", b"", file), ("a/0002.cls", b"12\n", file)]
long = "x" * 80 + "/" + "y" * 90 + "/" + "z" * 120 + ".jpg"
tar("ustar", samples, tarfile.USTAR_FORMAT)
tar("gnu", samples + [(long, b"long", file)], tarfile.GNU_FORMAT)
tar("pax", samples + [(long, b"long", file), ("ü.jpg", b"umlaut", file)], tarfile.PAX_FORMAT)
tar("link", samples + [("b.jpg", b"", tarfile.SYMTYPE)], tarfile.USTAR_FORMAT)
tar("device", samples + [("b.jpg", b"", tarfile.CHRTYPE)], tarfile.USTAR_FORMAT)
tar("traversal", samples + [("../../b.jpg", b"out", file)], tarfile.USTAR_FORMAT)
