import numpy as np
import torch

from skhash._torch.weights import from_numpy, to_numpy
from skhash.hashing._deep.networks import Autoencoder, Encoder


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_same_generator_gives_the_same_weights():
    a, b = (to_numpy(Encoder(3, 4, 5, generator(7))) for _ in range(2))
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_weights_survive_numpy():
    network = Autoencoder(3, 4, 5, generator(), 6)
    copy = from_numpy(Autoencoder(3, 4, 5, generator(1), 6), to_numpy(network))
    x = torch.rand(2, 3)
    assert torch.equal(copy.decode(copy.encode(x)), network.decode(network.encode(x)))
