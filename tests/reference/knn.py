#!/usr/bin/env python3
"""Golden numbers for classification by weighted nearest neighbours, by brute force.

    /usr/bin/python3 tests/reference/knn.py >tests/reference/golden/knn.json

Wu et al. 2018, arXiv 1805.01978, section 3.4: each of the k images of the bank with the largest
cosine s votes for its class with the weight exp(s / temperature). Nothing is vectorised and the
whole bank is sorted for each query: another way to the same numbers than the program's. Votes are
divided by the weight of the nearest neighbour.
"""
import json
import math
import struct

MODULUS = 2003
CLASSES = 7
BANK, QUERIES, WIDTH = 60, 25, 16
CASES = [(1, 0.07), (5, 0.07), (20, 0.07), (20, 1.0), (60, 0.5)]


def single(value):
    """The nearest number of single precision, in which the program keeps features."""
    return struct.unpack("f", struct.pack("f", value))[0]


def pattern(k, rows, columns):
    numbers = [single((i * i * 31 + i * 7919 + k * 104729) % MODULUS / MODULUS - 0.5)
               for i in range(rows * columns)]
    return [numbers[row * columns:(row + 1) * columns] for row in range(rows)]


def cosine(a, b):
    dot = math.fsum(x * y for x, y in zip(a, b))
    return dot / math.sqrt(math.fsum(x * x for x in a)) / math.sqrt(math.fsum(x * x for x in b))


def votes_of(query, bank, labels, k, temperature):
    nearest = sorted(((-cosine(query, row), place) for place, row in enumerate(bank)))[:k]
    votes = [0.0] * CLASSES
    for negative, place in nearest:
        votes[labels[place]] += math.exp((nearest[0][0] - negative) / temperature)
    return votes


def rank_of(votes, target):
    """How many classes beat the target; without a vote it is beaten by all."""
    if votes[target] == 0.0:
        return CLASSES - 1
    return sum(1 for other, value in enumerate(votes)
               if value > votes[target] or (value == votes[target] and other < target))


def main():
    bank, queries = pattern(1, BANK, WIDTH), pattern(2, QUERIES, WIDTH)
    labels = [(place * place + place // 3) % CLASSES for place in range(BANK)]
    targets = [(5 * place + 2) % CLASSES for place in range(QUERIES)]
    cases = []
    for k, temperature in CASES:
        votes = [votes_of(query, bank, labels, k, temperature) for query in queries]
        ranks = [rank_of(row, target) for row, target in zip(votes, targets)]
        cases.append({"k": k, "temperature": temperature, "ranks": ranks,
                      "votes": [value for row in votes for value in row]})
    print(json.dumps({"bank": [BANK, WIDTH], "queries": [QUERIES, WIDTH], "classes": CLASSES,
                      "labels": labels, "targets": targets, "cases": cases}))


main()
