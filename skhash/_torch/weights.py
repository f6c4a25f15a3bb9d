"""Initial weights from a given generator, and weights as NumPy arrays."""

import math

import torch
from torch import nn


def linear(n_inputs, n_outputs, generator):
    """Make a linear layer with torch's own initial distribution, drawn from a given generator."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, n_inputs, n_outputs)  # pyright: ignore
    bound = 1 / math.sqrt(n_inputs)
    with torch.no_grad():  # not torch.nn.init, which transformers patches while it loads a model
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


def to_numpy(module):
    """Copy a module's weights into a dict of arrays."""
    # Copied: the optimizer goes on writing into the tensors of a module that is trained further.
    return {name: tensor.cpu().numpy().copy() for name, tensor in module.state_dict().items()}


def from_numpy(module, state):
    """Load a dict of arrays into a module; return the module."""
    module.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    return module
