#!/usr/bin/env python3
"""Golden numbers for the statistics of reports, from SciPy.

    /usr/bin/python3 tests/reference/statistics.py >tests/reference/golden/statistics.json

Made with Debian's python3-scipy 1.10.1 and python3-numpy.
"""
import json

import numpy
from scipy import stats

SAMPLES = {
    "two": [0.5, 0.75],
    "three": [0.6455, 0.6380, 0.6270],
    "five": [1.0, 2.0, 4.0, 8.0, 16.0],
    "ties": [0.25, 0.25, -0.25, 0.5, 0.0, 0.125],
    "twelve": [0.011, -0.004, 0.023, 0.009, 0.015, -0.001, 0.031, 0.002, 0.018, 0.007, -0.009, 0.012],
    "fifteen": [-3.1, 2.2, 0.4, -1.7, 5.0, -2.6, 1.1, 0.9, -0.3, 2.8, -4.4, 3.9, 0.6, -1.2, 2.0],
}


def summary(values):
    count = len(values)
    mean = float(numpy.mean(values))
    error = stats.sem(values)
    low, high = stats.t.interval(0.95, count - 1, loc=mean, scale=error)
    test = stats.permutation_test(
        (numpy.array(values),), numpy.mean, permutation_type="samples", n_resamples=numpy.inf)
    return {
        "values": values,
        "mean": mean,
        "std": float(numpy.std(values, ddof=1)),
        "low": float(low),
        "high": float(high),
        "p": float(test.pvalue),
    }


def many():
    """More pairs than can be counted out: SciPy's own random permutations, many of them."""
    generator = numpy.random.default_rng(7)
    values = (generator.standard_normal(30) + 0.35).round(6)
    test = stats.permutation_test((values,), numpy.mean, permutation_type="samples",
                                  n_resamples=2_000_000, batch=10000, random_state=1)
    return {"values": values.tolist(), "p": float(test.pvalue)}


def holm(p_values):
    """From its definition: p(i) is the largest of (m − j + 1)·p(j) for j up to i, at most 1."""
    order = numpy.argsort(p_values, kind="stable")
    adjusted = numpy.empty(len(p_values))
    for rank, index in enumerate(order):
        so_far = [(len(p_values) - j) * p_values[order[j]] for j in range(rank + 1)]
        adjusted[index] = min(1.0, max(so_far))
    return adjusted.tolist()


def detectable(std, count):
    return float((stats.t.ppf(0.975, count - 1) + stats.t.ppf(0.8, count - 1)) * std / count ** 0.5)


P_VALUES = [0.01, 0.04, 0.03, 0.005, 0.5, 0.03]
print(json.dumps({
    "samples": {name: summary(values) for name, values in SAMPLES.items()},
    "many": many(),
    "detectable": [[0.02, n, detectable(0.02, n)] for n in (2, 3, 5, 10, 100)],
    "holm": {"p": P_VALUES, "adjusted": holm(P_VALUES)},
}, indent=1))
