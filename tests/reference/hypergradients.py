#!/usr/bin/env python3
"""Writes golden/hypergradients.json: what PyTorch makes of the upper gradient and of every
hypergradient approximator on a small network, in double precision.

Run with Debian's Python (package python3-torch):

    /usr/bin/python3 tests/reference/hypergradients.py

Nothing is random: numbers come from `pattern`, which the C++ tests compute too. The approximators
are written down as their papers have them, with the Hessian as a matrix and training as one graph;
nothing of the C++ side's algorithms is used.
"""

import torch
from torch.nn import functional

from training import numbers, pattern, write

LAMBDA, GAMMA, DAMPING = 0.4, 0.3, 2.6
WEIGHT = LAMBDA + DAMPING
SHAPES = [(4, 4), (4,), (4,), (4,), (3, 4), (3,)]  # first, normalisation, second; weight, bias
HEAD = [(2, 3), (2,)]


def parameters(k, shapes):
    """One pattern after the other; a normalisation's weight lies around 1."""
    made = [pattern(k + i, shape) * 1.5 for i, shape in enumerate(shapes)]
    if shapes is SHAPES:
        made[2] = made[2] + 1
    return made


def backbone(theta, images, layers=None):
    hidden = functional.linear(images, theta[0], theta[1])
    if layers is not None:
        hidden.retain_grad()
        layers.append((0, images, hidden))
    hidden = torch.tanh(functional.batch_norm(hidden, None, None, theta[2], theta[3],
                                              training=True))
    output = functional.linear(hidden, theta[4], theta[5])
    if layers is not None:
        output.retain_grad()
        layers.append((4, hidden, output))
    return torch.tanh(output)


def pretext_loss(theta, phi, views, layers=None):
    first, second = (functional.linear(backbone(theta, view, layers), *phi) for view in views)
    similarity = first @ second.t()
    return (-functional.log_softmax(similarity, 1).diagonal().mean()
            + 0.1 * (first - second).pow(2).mean())


def downstream_loss(theta, head, images, targets):
    outputs = functional.linear(backbone(theta, images), *head)
    return functional.cross_entropy(outputs, targets)


def flat(tensors):
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def like(vector, tensors):
    parts = vector.split([tensor.numel() for tensor in tensors])
    return [part.reshape(tensor.shape) for part, tensor in zip(parts, tensors)]


def leaves(tensors):
    return [tensor.clone().requires_grad_() for tensor in tensors]


def gradient(loss, tensors):
    return torch.autograd.grad(loss, tensors, allow_unused=False)


def hessian(theta, phi, views):
    def of_vector(vector):
        return pretext_loss(like(vector, theta), phi, views)
    return torch.autograd.functional.hessian(of_vector, flat(theta))


# Approximators


def cg(system, u, iterations):
    v, r = torch.zeros_like(u), u.clone()
    p = r.clone()
    for _ in range(iterations):
        image = system @ p
        alpha = (r @ r) / (p @ image)
        v = v + alpha * p
        new = r - alpha * image
        p = new + (new @ new) / (r @ r) * p
        r = new
    return v


def cg_layerwise(system, u, iterations, shapes):
    v = [torch.zeros_like(x) for x in like(u, shapes)]
    r = [x.clone() for x in like(u, shapes)]
    p = [x.clone() for x in r]
    for _ in range(iterations):
        image = like(system @ flat(p), shapes)
        for i in range(len(v)):
            alpha = (r[i] * r[i]).sum() / (p[i] * image[i]).sum()
            v[i] = v[i] + alpha * p[i]
            new = r[i] - alpha * image[i]
            p[i] = new + (new * new).sum() / (r[i] * r[i]).sum() * p[i]
            r[i] = new
    return flat(v)


def minres(system, u, iterations):
    """The vector of the Krylov space with the smallest residual, by least squares."""
    powers = [u / u.norm()]
    for _ in range(iterations - 1):
        new = system @ powers[-1]
        for power in powers:
            new = new - (new @ power) * power
        powers.append(new / new.norm())
    basis = torch.stack(powers, 1)
    return basis @ torch.linalg.lstsq(system @ basis, u.unsqueeze(1)).solution.squeeze(1)


def neumann(system, u, terms, step):
    one = torch.eye(len(u), dtype=torch.double)
    return step * sum(torch.linalg.matrix_power(one - step * system, k) @ u
                      for k in range(terms + 1))


def kfac(theta, phi, views, u):
    theta, layers = leaves(theta), []
    pretext_loss(theta, phi, views, layers).backward()
    v = like(u.clone(), theta)
    for weight in (0, 4):
        inputs = torch.cat([a for i, a, _ in layers if i == weight]).detach()
        gradients = torch.cat([s.grad for i, _, s in layers if i == weight])
        samples = len(inputs)
        inputs = torch.cat([inputs, torch.ones(samples, 1, dtype=torch.double)], 1)
        factor_a = inputs.t() @ inputs / samples
        per_sample = gradients * samples
        factor_g = per_sample.t() @ per_sample / samples
        fisher = torch.kron(factor_g, factor_a)
        right = torch.cat([v[weight], v[weight + 1].unsqueeze(1)], 1)
        system = torch.eye(right.numel(), dtype=torch.double) + fisher / WEIGHT
        left = torch.linalg.solve(system, right.reshape(-1)).reshape(right.shape)
        v[weight], v[weight + 1] = left[:, :-1], left[:, -1]
    return flat(v)


def unrolled(theta, phi, anchor, batches, u, rates, momentum):
    """The derivative of u·θ_K in the anchor, by autograd through all steps. The head trains along
    on its own path, which is taken as given."""
    anchor = leaves(anchor)
    theta = leaves(theta)
    start = [x.clone() for x in theta]
    now, velocity = start, [torch.zeros_like(x) for x in theta]
    head, head_velocity = leaves(phi), [torch.zeros_like(x) for x in phi]
    for views, rate in zip(batches, rates):
        loss = pretext_loss(now, head, views)
        gradients = torch.autograd.grad(loss, now + head, create_graph=True)
        for i in range(len(now)):
            pulled = gradients[i] + LAMBDA * (now[i] - anchor[i])
            velocity[i] = momentum * velocity[i] + pulled
        now = [x - rate * m for x, m in zip(now, velocity)]
        for i in range(len(head)):
            head_velocity[i] = (momentum * head_velocity[i]
                                + gradients[len(now) + i].detach())
        head = [(x - rate * m).detach().requires_grad_() for x, m in zip(head, head_velocity)]
    return [x.detach() for x in now], flat(torch.autograd.grad(flat(now) @ u, anchor))


def main():
    theta, phi = parameters(10, SHAPES), parameters(20, HEAD)
    upper, head = parameters(30, SHAPES), parameters(40, HEAD)
    views = pattern(50, (2, 8, 4)) * 3
    images, targets = pattern(51, (6, 4)) * 3, torch.arange(6) % 2

    through, through_head = leaves(theta), leaves(head)
    gradients = gradient(downstream_loss(through, through_head, images, targets),
                         through + through_head)
    u, head_part = flat(gradients[:len(SHAPES)]), flat(gradients[len(SHAPES):])
    plain, plain_head = leaves(upper), leaves(head)
    plain_gradients = gradient(downstream_loss(plain, plain_head, images, targets),
                               plain + plain_head)

    matrix = hessian(theta, phi, views)
    system = torch.eye(len(u), dtype=torch.double) + matrix / WEIGHT
    values = torch.linalg.eigvalsh(system)
    print(f"eigenvalues of the system from {values.min():.3f} to {values.max():.3f}")
    exact = torch.linalg.solve(system, u)
    shapes = theta

    # darts: (∇L(θ + εu) − ∇L(θ − εu))/2ε with ε = 0.01/‖u‖.
    epsilon = 0.01 / u.norm()
    shifted = []
    for sign in (1, -1):
        moved = leaves(like(flat(theta) + sign * epsilon * u, theta))
        shifted.append(flat(gradient(pretext_loss(moved, phi, views), moved)))
    darts = u - (shifted[0] - shifted[1]) / (2 * epsilon) / WEIGHT

    batches = [pattern(60 + t, (2, 8, 4)) * 3 for t in range(3)]
    rates, momentum = [0.2, 0.15, 0.1], 0.6
    trained, through_training = unrolled(theta, phi, upper, batches, u, rates, momentum)

    v = cg(system, u, 3)
    upper_gradient = v + GAMMA * flat(plain_gradients[:len(SHAPES)])
    upper_head = head_part + GAMMA * flat(plain_gradients[len(SHAPES):])
    write("hypergradients.json", {
        "made_by": "tests/reference/hypergradients.py",
        "lambda": LAMBDA, "gamma": GAMMA, "damping": DAMPING,
        "rates": rates, "momentum": momentum,
        "u": numbers(u),
        "hessian": numbers(matrix),
        "trained": numbers(flat(trained)),
        "upper_gradient": numbers(upper_gradient),
        "upper_head": numbers(upper_head),
        "solutions": {
            "cg": numbers(v),
            "cg_layerwise": numbers(cg_layerwise(system, u, 3, shapes)),
            "minres": numbers(minres(system, u, 4)),
            "neumann": numbers(neumann(system, u, 4, 0.5)),
            "exact": numbers(exact),
            "darts": numbers(darts),
            "kfac": numbers(kfac(theta, phi, views, u)),
            "unrolled": numbers(through_training),
            "identity": numbers(u),
        },
    })


if __name__ == "__main__":
    main()
