import numpy as np
import torch

from skhash.hashing._deep.networks import Autoencoder, Encoder, from_numpy, linear, to_numpy


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_linear_starts_as_torch_s_own_layer_does():
    torch_layer = torch.nn.Linear(400, 300)
    ours = linear(400, 300, generator())
    for name in ("weight", "bias"):
        bound = 1 / np.sqrt(400)
        values = getattr(ours, name)
        assert values.abs().max() <= bound
        np.testing.assert_allclose(
            values.std().item(), getattr(torch_layer, name).std().item(), rtol=0.2
        )


def test_the_same_generator_gives_the_same_weights():
    a, b = (to_numpy(Encoder(3, 4, 5, generator(7))) for _ in range(2))
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_weights_survive_numpy():
    network = Autoencoder(3, 4, 5, generator(), 6)
    copy = from_numpy(Autoencoder(3, 4, 5, generator(1), 6), to_numpy(network))
    x = torch.rand(2, 3)
    assert torch.equal(copy.decode(copy.encode(x)), network.decode(network.encode(x)))


def test_read_only_weights_are_copied():
    state = to_numpy(Encoder(3, 4, 5, generator()))
    for array in state.values():
        array.flags.writeable = False
    network = from_numpy(Encoder(3, 4, 5, generator(1)), state)
    with torch.no_grad():
        network.hidden.weight.zero_()
    assert state["hidden.weight"].any()
