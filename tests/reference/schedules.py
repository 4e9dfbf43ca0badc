#!/usr/bin/env python3
"""Writes golden/schedules.json: the factors that PyTorch's schedulers put on a learning rate of 1,
and the momenta that its one-cycle schedule gives an optimizer.

Run with Debian's Python (package python3-torch):

    /usr/bin/python3 tests/reference/schedules.py
"""

import json
import pathlib
import warnings

import torch
from torch.optim import lr_scheduler

GOLDEN = pathlib.Path(__file__).parent / "golden" / "schedules.json"


def trace(make, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps - 1):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def with_warmup(make, warmup):
    """A linear warm-up of `warmup` steps that ends at the whole rate, then `make`."""
    def both(optimizer):
        rise = lr_scheduler.LambdaLR(optimizer, lambda step: (step + 1) / warmup)
        return lr_scheduler.SequentialLR(optimizer, [rise, make(optimizer)], [warmup])
    return both


def cases():
    def case(options, steps, make):
        return {"options": options, "steps": steps, "factors": trace(make, steps)}

    def cosine(steps, end):
        return lambda o: lr_scheduler.CosineAnnealingLR(o, steps - 1, eta_min=end)

    yield case({"use": "constant"}, 5, lambda o: lr_scheduler.ConstantLR(o, factor=1.0))
    yield case({"use": "cosine", "end_factor": 0.1}, 12, cosine(12, 0.1))
    yield case({"use": "cosine", "end_factor": 0.01, "warmup_steps": 4}, 20,
               with_warmup(cosine(16, 0.01), 4))
    for milestones, factor in (([0.25, 0.5, 0.85], 0.1), ([0.3, 0.6], 0.5)):
        yield case({"use": "step", "milestones": milestones, "factor": factor}, 20,
                   lambda o, m=milestones, f=factor: lr_scheduler.MultiStepLR(
                       o, [round(20 * one) for one in m], gamma=f))
    for power in (1.0, 0.9, 2.0):
        yield case({"use": "polynomial", "power": power, "end_factor": 0.0}, 15,
                   lambda o, p=power: lr_scheduler.PolynomialLR(o, total_iters=14, power=p))
    yield case({"use": "polynomial", "power": 1.0, "end_factor": 0.2}, 15,
               lambda o: lr_scheduler.LinearLR(o, 1.0, 0.2, total_iters=14))
    yield case({"use": "exponential", "end_factor": 0.02}, 15,
               lambda o: lr_scheduler.ExponentialLR(o, gamma=0.02 ** (1 / 14)))
    for rise, start, end in ((0.3, 0.04, 1e-4), (0.45, 0.1, 0.01)):
        yield case({"use": "one-cycle", "rise": rise, "start_factor": start, "end_factor": end}, 20,
                   lambda o, r=rise, s=start, e=end: lr_scheduler.OneCycleLR(
                       o, max_lr=1.0, total_steps=20, pct_start=r, div_factor=1 / s,
                       final_div_factor=s / e, cycle_momentum=False))
    for cycles, growth, first, steps in ((3, 1, 6, 18), (3, 2, 3, 21)):
        yield case({"use": "warm-restarts", "cycles": cycles, "cycle_growth": growth,
                    "end_factor": 0.05}, steps,
                   lambda o, f=first, g=growth: lr_scheduler.CosineAnnealingWarmRestarts(
                       o, T_0=f, T_mult=g, eta_min=0.05))


def momenta():
    for rise, highest, lowest, steps in ((0.3, 0.95, 0.85, 20), (0.45, 0.9, 0.5, 11)):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
        scheduler = lr_scheduler.OneCycleLR(
            optimizer, max_lr=1.0, total_steps=steps, pct_start=rise, base_momentum=lowest,
            max_momentum=highest)
        values = [optimizer.param_groups[0]["momentum"]]
        for _ in range(steps - 1):
            optimizer.step()
            scheduler.step()
            values.append(optimizer.param_groups[0]["momentum"])
        yield {"rise": rise, "from": highest, "to": lowest, "steps": steps, "momenta": values}


def main():
    warnings.simplefilter("ignore")  # SequentialLR steps its schedulers before the optimizer
    golden = {"made_by": "tests/reference/schedules.py", "torch": torch.__version__,
              "cases": list(cases()), "momenta": list(momenta())}
    GOLDEN.write_text(json.dumps(golden, indent=None, separators=(",", ":"))
                      .replace('{"options"', '\n{"options"').replace('{"rise"', '\n{"rise"') + "\n")
    print(f"{GOLDEN}: {GOLDEN.stat().st_size} bytes")


if __name__ == "__main__":
    main()
