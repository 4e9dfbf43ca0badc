#!/usr/bin/env python3
"""Compares the analysis of features with Debian's scikit-learn and umap-learn on the same features,
in one run.

    /usr/bin/python3 tests/bench/analysis.py build/release/bin/analysis_bench [ROWS WIDTH PICTURE_ROWS]

Both use as many threads as OMP_NUM_THREADS says, two if it says nothing. Prints one table: seconds
of wall time and of processor time, of which the latter says more on a busy machine, how much
quicker bissl is by either, and whether the bar is met. The two searches must find the same
neighbours; the pictures' trustworthiness (10 neighbours) is in the table. The memory is what the
search for neighbours adds to the process at its peak, beside that of all their cosines.
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


NEIGHBOURS = 20


def measured(work):
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, (time.perf_counter() - wall, time.process_time() - processor)


def bench(program, folder, rows, width, picture_rows):
    out = subprocess.run([program, folder, str(rows), str(width), str(picture_rows)], check=True,
                         capture_output=True, text=True).stdout
    return json.loads(out)


def table_row(what, ours, theirs=None, bars=(), note=""):
    """A row; `bars` are pairs of a text and whether it is met."""
    seconds = lambda pair: "{:.2f} ({:.2f})".format(*pair) if pair else ""
    ratio = "{:.1f} ({:.1f})".format(*(b / a for a, b in zip(ours, theirs))) if theirs else ""
    said = "; ".join(f"{text}: {'yes' if met else 'NO'}" for text, met in bars)
    print(f"| {what} | {seconds(ours)} | {seconds(theirs)} | {ratio} | {said} | {note} |", flush=True)


def search_row(features, folder, ours):
    search = sklearn.neighbors.NearestNeighbors(n_neighbors=NEIGHBOURS, metric="cosine",
                                                algorithm="brute").fit(features)
    (_, theirs), seconds = measured(search.kneighbors)
    found = numpy.fromfile(folder / "knn.i64", dtype=numpy.int64).reshape(-1, NEIGHBOURS)
    same = numpy.mean([len(numpy.intersect1d(a, b)) / NEIGHBOURS for a, b in zip(found, theirs)])
    table_row(f"kNN, k = {NEIGHBOURS}", ours["knn"], seconds,
              [("2 times quicker than scikit-learn", seconds[0] >= 2 * ours["knn"][0])],
              f"{100 * same:.2f} % of the neighbours are the same")
    if same < 0.999:
        raise SystemExit("the two searches find other neighbours")


def picture_row(name, features, folder, ours, fit, bars):
    theirs, seconds = measured(fit)
    points = numpy.fromfile(folder / f"{name}.f64").reshape(-1, 2)
    kept = [sklearn.manifold.trustworthiness(features, picture, n_neighbors=10)
            for picture in (points, theirs)]
    table_row(f"{name} of {len(features)}", ours[name], seconds, bars(ours[name][0], seconds[0]),
              "trustworthiness {:.4f}, theirs {:.4f}".format(*kept))


def compare_pictures(features, folder, ours):
    picture_row("tsne", features, folder, ours,
                lambda: sklearn.manifold.TSNE(init="pca", learning_rate="auto",
                                              random_state=0).fit_transform(features),
                lambda own, other: [("under 60 s", own < 60),
                                    ("no slower than scikit-learn", own <= other)])
    start = sklearn.decomposition.PCA(2).fit_transform(features)
    start *= 10 / numpy.abs(start).max()
    umap.UMAP(init=start[:100], random_state=0, n_epochs=2).fit(features[:100])  # compiles it
    picture_row("umap", features, folder, ours,
                lambda: umap.UMAP(init=start, random_state=0).fit_transform(features),
                lambda own, other: [])


def main():
    program = sys.argv[1]
    rows, width, picture_rows = map(int, sys.argv[2:5]) if len(sys.argv) > 4 else (10000, 512, 5000)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        ours = bench(program, name, rows, width, picture_rows)
        features = numpy.fromfile(folder / "features.f32", dtype=numpy.float32).reshape(rows, width)
        print(f"{rows} samples of {width} features, {ours['threads']} threads; "
              "seconds of wall time (of processor time)\n")
        print("| work | bissl | scikit-learn, umap-learn | times quicker | bars | |")
        print("| --- | --- | --- | --- | --- | --- |")
        search_row(features, folder, ours)
        for figure in ("rankme", "cka", "pca"):
            table_row(figure, ours[figure])
        four = [sum(ours[figure][i] for figure in ("knn", "rankme", "cka", "pca")) for i in (0, 1)]
        table_row("these four", four, None, [("under 5 s", four[0] < 5)])
        if picture_rows > 0:
            compare_pictures(features[:picture_rows], folder, ours)
        print(f"\nmemory of the search: {ours['knn_bytes'] / 2**20:.0f} MiB; "
              f"all cosines at once have {4 * rows * rows / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
