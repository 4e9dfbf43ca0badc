#!/usr/bin/env python3
"""Compares the analysis of features with Debian's scikit-learn and umap-learn on the same features,
in one run.

    /usr/bin/python3 tests/bench/analysis.py build/release/bin/analysis_bench [ROWS WIDTH PICTURE_ROWS]

Both use as many threads as OMP_NUM_THREADS says. Seconds of wall time and of processor time: on a
busy machine the latter says more. The two searches must find the same neighbours, and both
pictures' trustworthiness (10 neighbours) is printed.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

# Before numpy is loaded.
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "2")

import numpy  # noqa: E402
import sklearn.decomposition  # noqa: E402
import sklearn.manifold  # noqa: E402
import sklearn.neighbors  # noqa: E402
import umap  # noqa: E402


def measured(work):
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - processor


def bench(program, folder, rows, width, picture_rows):
    out = subprocess.run([program, folder, str(rows), str(width), str(picture_rows)], check=True,
                         capture_output=True, text=True).stdout
    return json.loads(out)


def compare_pictures(features, folder, ours):
    start = sklearn.decomposition.PCA(2).fit_transform(features)
    start *= 10 / numpy.abs(start).max()
    umap.UMAP(init=start[:100], random_state=0, n_epochs=2).fit(features[:100])  # compiles it
    for name, library, fit in (
            ("tsne", "scikit-learn t-SNE", lambda: sklearn.manifold.TSNE(
                init="pca", learning_rate="auto", random_state=0).fit_transform(features)),
            ("umap", "umap-learn", lambda: umap.UMAP(
                init=start, random_state=0).fit_transform(features))):
        points = numpy.fromfile(folder / f"{name}.f64").reshape(-1, 2)
        theirs, wall, processor = measured(fit)
        print(f"{library}: {wall:.2f} s, processor {processor:.2f} s; "
              f"{processor / ours[name][1]:.1f} times the processor time of bissl")
        for whose, picture in (("bissl", points), (library, theirs)):
            kept = sklearn.manifold.trustworthiness(features, picture, n_neighbors=10)
            print(f"trustworthiness of {whose}: {kept:.4f}")


def main():
    program = sys.argv[1]
    rows, width, picture_rows = map(int, sys.argv[2:5]) if len(sys.argv) > 4 else (10000, 512, 5000)
    with tempfile.TemporaryDirectory() as folder:
        ours = bench(program, folder, rows, width, picture_rows)
        features = numpy.fromfile(pathlib.Path(folder) / "features.f32",
                                  dtype=numpy.float32).reshape(rows, width)
        for name in ("knn", "rankme", "cka", "pca", "tsne", "umap"):
            if name in ours:
                print(f"bissl {name}: {ours[name][0]:.2f} s, processor {ours[name][1]:.2f} s")
        search = sklearn.neighbors.NearestNeighbors(n_neighbors=20, metric="cosine",
                                                    algorithm="brute").fit(features)
        _, wall, processor = measured(search.kneighbors)
        print(f"scikit-learn kNN: {wall:.2f} s, processor {processor:.2f} s; "
              f"{processor / ours['knn'][1]:.1f} times the processor time of bissl")
        if picture_rows > 0:
            compare_pictures(features[:picture_rows], pathlib.Path(folder), ours)


if __name__ == "__main__":
    main()
