#!/usr/bin/env python3
"""Golden numbers for comparisons over several tasks, from NumPy and SciPy.

    /usr/bin/python3 tests/reference/pooled.py >tests/reference/golden/pooled.json

p by counting all patterns of signs with whole numbers: each difference is a multiple of 1/1000 and
the strata's sizes divide 60, so the sums are whole multiples of 1/60000, whose distribution is a
product of polynomials. The interval is from SciPy's t with Welch's and Satterthwaite's degrees of
freedom. Made with Debian's python3-scipy 1.10.1 and python3-numpy.
"""
import json

import numpy
from scipy import stats

# Thousandths, by task.
CASES = {
    "one task": [[12, -3, 7, 20, 5]],
    "two tasks": [[12, -3, 7, 20, 5], [-4, 9, 30]],
    "ties": [[10, 10, -10], [10, 10]],
    "nothing": [[0, 0], [0, 0, 0]],
    "six tasks": [[14, 9, -2, 21, 8], [3, -6, 11, 5, 2], [25, 31, 18, -7, 12], [-9, 4, -3, 6, 1],
                  [8, 15, 2, -1, 13], [6, -4, 17, 10, 9]],
}


def p_value(strata):
    terms = [value * 60 // len(stratum) for stratum in strata for value in stratum]
    assert all(value * 60 % len(stratum) == 0 for stratum in strata for value in stratum)
    reach = sum(abs(term) for term in terms)
    counts = {0: 1}
    for term in terms:
        following = {}
        for total, count in counts.items():
            for step in (term, -term):
                following[total + step] = following.get(total + step, 0) + count
        counts = following
    observed = abs(sum(terms))
    assert max(counts) <= reach
    as_far = sum(count for total, count in counts.items() if abs(total) >= observed)
    return as_far / 2 ** len(terms)


def interval(strata):
    means = [numpy.mean(one) for one in strata]
    of_means = numpy.array([numpy.var(one, ddof=1) / len(one) for one in strata])
    mean = float(numpy.mean(means))
    if of_means.sum() == 0:
        return mean, None, None  # equal differences do not tell how far others would be apart
    freedom = of_means.sum() ** 2 / sum(
        v ** 2 / (len(one) - 1) for v, one in zip(of_means, strata))
    error = float(numpy.sqrt(of_means.sum())) / len(strata)
    low, high = stats.t.interval(0.95, freedom, loc=mean, scale=error)
    return mean, float(low), float(high)


cases = {}
for name, strata in CASES.items():
    values = [[value / 1000 for value in stratum] for stratum in strata]
    mean, low, high = interval(values)
    cases[name] = {"strata": values, "mean": mean, "low": low, "high": high, "p": p_value(strata)}
print(json.dumps(cases, indent=1))
