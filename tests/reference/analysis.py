#!/usr/bin/env python3
"""Golden numbers for the figures of core/analysis, with numpy, scipy, scikit-learn and umap-learn of Debian.

    /usr/bin/python3 tests/reference/analysis.py >tests/reference/golden/analysis.json

Each figure is worked out in another way than the program's: singular values by a decomposition of
the features instead of their products, likeness of networks from the samples' Gram matrices, pairs
by going through all of them, classes by scikit-learn.
"""
import json

import numpy
import scipy.linalg
import scipy.spatial.distance
import sklearn.decomposition
import sklearn.manifold
import sklearn.metrics
import sklearn.neighbors
import umap

MODULUS = 2003
ROWS, WIDTH, CLASSES = 90, 12, 5
IMAGES, VIEWS = 15, 4


def pattern(k, rows, columns):
    """The numbers of tests/reference/golden.h."""
    i = numpy.arange(rows * columns, dtype=numpy.int64)
    return ((i * i * 31 + i * 7919 + k * 104729) % MODULUS / MODULUS - 0.5).reshape(rows, columns)


def entropy_rank(values, epsilon):
    shares = values / values.sum() + epsilon
    shares = shares[shares > 0]
    return numpy.exp(-(shares * numpy.log(shares)).sum())


def alpha(features):
    eigenvalues = numpy.linalg.svd(features - features.mean(0), compute_uv=False) ** 2
    kept = eigenvalues[eigenvalues > 1e-10 * eigenvalues[0]][:50]
    return -numpy.polyfit(numpy.log(numpy.arange(1, len(kept) + 1)), numpy.log(kept), 1)[0]


def unit(features):
    return features / numpy.linalg.norm(features, axis=-1, keepdims=True)


def uniformity(features):
    squares = scipy.spatial.distance.pdist(unit(features), "sqeuclidean")
    return numpy.log(numpy.exp(-2 * squares).mean())


def class_alignment(features, labels):
    squares = numpy.concatenate([
        scipy.spatial.distance.pdist(unit(features[labels == c]), "sqeuclidean")
        for c in numpy.unique(labels)])
    return squares.mean()


def alignment(views):
    return numpy.mean([scipy.spatial.distance.pdist(unit(one), "sqeuclidean") for one in views])


def lidar(views):
    means = views.mean(1)
    between = numpy.cov(means, rowvar=False)
    within = numpy.zeros_like(between)
    for one, mean in zip(views, means):
        for view in one:
            within += numpy.outer(view - mean, view - mean)
    within = within / (IMAGES * (VIEWS - 1)) + 1e-4 * numpy.eye(len(within))
    root = numpy.linalg.inv(scipy.linalg.sqrtm(within))
    eigenvalues = numpy.linalg.eigvals(root @ between @ root).real.clip(0)
    return entropy_rank(eigenvalues, 1e-8)


def two_nn(features):
    found, _ = sklearn.neighbors.NearestNeighbors(n_neighbors=3).fit(features).kneighbors(features)
    return (len(features) - 1) / numpy.log(found[:, 2] / found[:, 1]).sum()


def intrinsic_dimension(features):
    tree = sklearn.neighbors.NearestNeighbors(n_neighbors=21).fit(features)
    distances = tree.kneighbors(features)[0][:, 1:]
    inverse = [numpy.mean([numpy.log(row[-1] / one) for one in row[:-1]]) for row in distances]
    return 1 / numpy.mean(inverse)


def scatters(features, labels):
    mean = features.mean(0)
    within = numpy.zeros((features.shape[1],) * 2)
    between = numpy.zeros_like(within)
    offsets = []
    for c in numpy.unique(labels):
        members = features[labels == c]
        offsets.append(members.mean(0) - mean)
        between += len(members) * numpy.outer(offsets[-1], offsets[-1])
        for one in members - members.mean(0):
            within += numpy.outer(one, one)
    return within / len(features), between / len(features), numpy.array(offsets)


def collapse_figures(features, labels, weights):
    within, between, offsets = scatters(features, labels)
    classes = len(offsets)
    lengths = numpy.linalg.norm(offsets, axis=1)
    cosines = [abs(offsets[a] @ offsets[b] / lengths[a] / lengths[b] + 1 / (classes - 1))
               for a in range(classes) for b in range(a)]
    return {
        "scatter_ratio": numpy.trace(within) / numpy.trace(between),
        "nc1": numpy.trace(within @ numpy.linalg.pinv(between, rcond=1e-10)) / classes,
        "nc2_norms": lengths.std() / lengths.mean(),
        "nc2_angles": numpy.mean(cosines),
        "nc3": numpy.linalg.norm(weights / numpy.linalg.norm(weights)
                                 - offsets / numpy.linalg.norm(offsets)) ** 2,
    }


def cka(one, other):
    """By centred Gram matrices of the samples."""
    centre = numpy.eye(ROWS) - numpy.ones((ROWS, ROWS)) / ROWS
    left, right = (centre @ x @ x.T @ centre for x in (one, other))
    return (left * right).sum() / numpy.linalg.norm(left) / numpy.linalg.norm(right)


def unbiased_hsic(left, right):
    """Song et al. 2012, equation 5."""
    left, right = (gram - numpy.diag(numpy.diag(gram)) for gram in (left, right))
    n = len(left)
    return (numpy.trace(left @ right) + left.sum() * right.sum() / (n - 1) / (n - 2)
            - 2 / (n - 2) * left.sum(0) @ right.sum(1)) / (n * (n - 3))


def debiased_cka(one, other):
    left, right = one @ one.T, other @ other.T
    return unbiased_hsic(left, right) / numpy.sqrt(
        unbiased_hsic(left, left) * unbiased_hsic(right, right))


def principal_cosines(one, other, directions):
    bases = [numpy.linalg.svd(x - x.mean(0), full_matrices=False)[0][:, :directions]
             for x in (one, other)]
    return numpy.sort(numpy.cos(scipy.linalg.subspace_angles(*bases)))[::-1]


def umap_numbers(features):
    """By umap-learn: the curves, the edges of some samples, and pictures' trustworthiness."""
    graph, _, _ = umap.umap_.fuzzy_simplicial_set(
        features.astype(numpy.float32), 15, numpy.random.RandomState(0), "euclidean")
    graph = graph.tocoo()
    start = sklearn.decomposition.PCA(2, svd_solver="full").fit_transform(features)
    start *= 10 / numpy.abs(start).max()
    kept = []
    for seed in range(5):
        points = umap.UMAP(init=start, random_state=seed).fit_transform(features)
        kept.append(sklearn.manifold.trustworthiness(features, points, n_neighbors=10))
    return {
        "curves": [[d, *umap.umap_.find_ab_params(1.0, d)] for d in (0.0, 0.1, 0.5)],
        "edges": [[int(i), int(j), float(w)]
                  for i, j, w in sorted(zip(graph.row, graph.col, graph.data)) if i % 30 == 0],
        "trustworthiness": kept,
    }


def tsne_numbers():
    """By scikit-learn: the trustworthiness of a picture of 240 samples, through all pairs and by trees."""
    features = pattern(8, 240, 8) + 1.5 * pattern(9, 6, 8)[numpy.arange(240) * 7 % 31 % 6]

    def kept(**method):
        points = sklearn.manifold.TSNE(
            init="pca", learning_rate="auto", random_state=0, **method).fit_transform(features)
        return sklearn.manifold.trustworthiness(features, points, n_neighbors=10)

    return {"trustworthiness": kept(method="exact"),
            "trees": kept(method="barnes_hut", angle=0.5)}


def main():
    labels = numpy.arange(ROWS) * 7 % 31 % CLASSES
    features = pattern(1, ROWS, WIDTH) + 0.8 * pattern(2, CLASSES, WIDTH)[labels] + 0.3
    other = features[:, :8] @ pattern(3, 8, 7) + 0.2 * pattern(4, ROWS, 7)
    views = (pattern(5, IMAGES, WIDTH)[:, None]
             + 0.4 * pattern(6, IMAGES * VIEWS, WIDTH).reshape(IMAGES, VIEWS, WIDTH))
    weights = pattern(7, CLASSES, WIDTH)
    values = numpy.linalg.svd(features, compute_uv=False)
    centred = numpy.linalg.svd(features - features.mean(0), compute_uv=False)
    pca = sklearn.decomposition.PCA(3, svd_solver="full").fit(features)
    figures = {
        "rankme": entropy_rank(values, 1e-7),
        "effective_rank": entropy_rank(centred, 0),
        "participation_ratio": (centred ** 2).sum() ** 2 / (centred ** 4).sum(),
        "alpha_req": alpha(features),
        "two_nn": two_nn(features),
        "intrinsic_dimension": intrinsic_dimension(features),
        "feature_std": unit(features).std(0, ddof=1).mean() * numpy.sqrt(WIDTH),
        "uniformity": uniformity(features),
        "alignment": alignment(views),
        "lidar": lidar(views),
        "silhouette": sklearn.metrics.silhouette_score(features, labels),
        "davies_bouldin": sklearn.metrics.davies_bouldin_score(features, labels),
        "class_alignment": class_alignment(features, labels),
        "cka": cka(features, other),
        "debiased_cka": debiased_cka(features, other),
        "subspace_overlap": (principal_cosines(features, other, 10) ** 2).mean(),
        **collapse_figures(features, labels, weights),
    }
    plane = features[:, :2] - features[:, :2].mean(0)
    print(json.dumps({
        "labels": labels.tolist(),
        "figures": figures,
        "cosines": principal_cosines(features, other, 4).tolist(),
        "pca": {"shares": pca.explained_variance_ratio_.tolist(),
                "distances": scipy.spatial.distance.pdist(pca.transform(features)).tolist()[:200]},
        "trustworthiness": sklearn.manifold.trustworthiness(features, plane, n_neighbors=10),
        "umap": umap_numbers(features),
        "tsne": tsne_numbers(),
    }, indent=1))


main()
