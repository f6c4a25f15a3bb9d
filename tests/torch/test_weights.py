import numpy as np
import torch

from skhash._torch.weights import from_numpy, linear, to_numpy


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
    a, b = (to_numpy(linear(3, 4, generator(7))) for _ in range(2))
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_weights_survive_numpy():
    layer = linear(3, 4, generator())
    copy = from_numpy(linear(3, 4, generator(1)), to_numpy(layer))
    x = torch.rand(2, 3)
    assert torch.equal(copy(x), layer(x))


def test_arrays_share_no_memory_with_the_module():
    state = to_numpy(linear(3, 4, generator()))
    for array in state.values():
        array.flags.writeable = False
    layer = from_numpy(linear(3, 4, generator(1)), state)
    again = to_numpy(layer)
    with torch.no_grad():
        layer.weight.zero_()
    assert state["weight"].any()
    assert again["weight"].any()
