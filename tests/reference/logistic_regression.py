#!/usr/bin/env python3
"""Golden numbers for multinomial logistic regression, by scikit-learn.

    /usr/bin/python3 -W ignore tests/reference/logistic_regression.py >tests/reference/golden/logistic_regression.json

Debian's packages python3-sklearn and python3-numpy. scikit-learn minimises C·Σ cross entropy + ‖V‖²/2
on features that are standardised here; with C = 1/(N·r) that is N times the program's objective.
Weights are given back in the features' own scale, biases with a mean of 0.
"""
import json

import numpy
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

MODULUS = 2003
CASES = [(40, 5, 3, 1.0), (40, 5, 3, 0.01), (60, 8, 2, 1e-3), (12, 20, 4, 0.1), (90, 3, 6, 1e-4)]


def pattern(k, rows, columns):
    i = numpy.arange(rows * columns)
    return ((i * i * 31 + i * 7919 + k * 104729) % MODULUS / MODULUS - 0.5).reshape(rows, columns)


def data(rows, width, classes):
    """Features of scales from 1e-3 to 1e3 around means apart from 0; labels that depend on them."""
    features = pattern(rows, rows, width)
    labels = (numpy.floor((features[:, 0] + 0.5) * classes).astype(int)
              + (numpy.arange(rows) % 7 == 0)) % classes
    scales = 10.0 ** (numpy.arange(width) % 7 - 3)
    return features * scales + 3.0 * scales, labels


def main():
    cases = []
    for rows, width, classes, ridge in CASES:
        features, labels = data(rows, width, classes)
        assert len(set(labels)) == classes
        mean, deviation = features.mean(0), features.std(0)
        scaled = (features - mean) / deviation
        model = LogisticRegression(C=1.0 / (rows * ridge), multi_class="multinomial", solver="newton-cg",
                                   tol=1e-12, max_iter=300).fit(scaled, labels)
        weight, bias = model.coef_, model.intercept_
        if classes == 2:  # one row w with the logits (-w·x, w·x)
            weight, bias = numpy.vstack([-weight, weight]), numpy.hstack([-bias, bias])
        probabilities = model.predict_proba(scaled)
        weight = weight / deviation
        bias = bias - weight @ mean
        cases.append({"rows": rows, "width": width, "classes": classes, "ridge": ridge,
                      "features": features.ravel().tolist(), "labels": labels.tolist(),
                      "weight": weight.ravel().tolist(), "bias": (bias - bias.mean()).tolist(),
                      "probabilities": probabilities.ravel().tolist(),
                      "loss": log_loss(labels, probabilities),
                      "accuracy": float((probabilities.argmax(1) == labels).mean())})
    print(json.dumps({"cases": cases}))


main()
