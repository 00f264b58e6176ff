"""Trains the network of this example: python3 train.py > classify/src/network.json

It needs numpy, and takes a minute."""

import json
from math import erf

import numpy as np

SIZES = [2, 32, 32, 3]
STEPS = 1500
random = np.random.default_rng(7)


def spiral(count, noise):
    """Points of each arm, and the arm of each point."""
    points, arms = [], []
    for arm in range(3):
        out = random.uniform(0.1, 1, count)
        angle = arm * 2 * np.pi / 3 + out * 4
        on_arm = np.stack([out * np.cos(angle), out * np.sin(angle)], 1)
        points.append(on_arm + random.normal(0, noise, on_arm.shape))
        arms += [arm] * count
    return np.concatenate(points), np.array(arms)


def share(x):
    """The share of x that GELU lets through."""
    return (1 + np.vectorize(erf)(x / np.sqrt(2))) / 2


def gradients(weights, biases, points, arms):
    """Those of the cross-entropy loss, by weights and by biases."""
    inputs, sums = [points], []
    for layer, (weight, bias) in enumerate(zip(weights, biases)):
        sums.append(inputs[-1] @ weight + bias)
        inputs.append(sums[-1] * share(sums[-1]) if layer + 1 < len(weights) else sums[-1])
    powers = np.exp(sums[-1] - sums[-1].max(1, keepdims=True))
    delta = powers / powers.sum(1, keepdims=True)
    delta[np.arange(len(arms)), arms] -= 1
    delta /= len(arms)
    by_weights, by_biases = [], []
    for layer in reversed(range(len(weights))):
        if layer + 1 < len(weights):
            density = np.exp(-(sums[layer] ** 2) / 2) / np.sqrt(2 * np.pi)
            delta = delta * (share(sums[layer]) + sums[layer] * density)
        by_weights.insert(0, inputs[layer].T @ delta + 1e-4 * weights[layer])
        by_biases.insert(0, delta.sum(0))
        delta = delta @ weights[layer].T
    return by_weights + by_biases


def train():
    """Weights and biases, by Adam."""
    shapes = list(zip(SIZES, SIZES[1:]))
    all = [random.normal(0, np.sqrt(2 / shape[0]), shape) for shape in shapes] + [np.zeros(size) for size in SIZES[1:]]
    mean, square = ([np.zeros_like(values) for values in all] for _ in range(2))
    for step in range(1, STEPS + 1):
        rate = 0.01 if step <= 1000 else 0.003
        for index, gradient in enumerate(gradients(all[:3], all[3:], *spiral(64, 0.02))):
            mean[index] = 0.9 * mean[index] + 0.1 * gradient
            square[index] = 0.999 * square[index] + 0.001 * gradient**2
            slope = np.sqrt(square[index] / (1 - 0.999**step)) + 1e-8
            all[index] -= rate * mean[index] / (1 - 0.9**step) / slope
    return all[:3], all[3:]


def numbers(values):
    return [round(float(value), 4) for value in values.ravel()]


network = [
    {"inputs": len(weight), "outputs": len(bias), "weights": numbers(weight), "biases": numbers(bias)}
    for weight, bias in zip(*train())
]
print("[\n" + ",\n".join(map(json.dumps, network)) + "\n]")
