"""The networks of a hasher, and their way to NumPy and back."""

import math

import torch
from torch import nn


def linear(n_inputs, n_outputs, generator):
    """Make a linear layer with torch's own initial distribution, drawn from a generator of ours."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, n_inputs, n_outputs)  # pyright: ignore
    bound = 1 / math.sqrt(n_inputs)
    with torch.no_grad():  # not torch.nn.init, which transformers patches while it loads a model
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


class Encoder(nn.Module):
    r"""Features to real codes, a perceptron with one hidden layer.

    .. math:: h = \tanh(\alpha\, (W_2\, \mathrm{relu}(W_1 z + b_1) + b_2))

    :math:`z = (x - \mu) / s` are the features in units of their own spread. The mean :math:`\mu`
    and the number
    :math:`s` are kept with the weights, so that a network is all that encoding needs.
    """

    def __init__(self, n_features, n_hidden, n_bits, generator):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(()))
        self.hidden = linear(n_features, n_hidden, generator)
        self.code = linear(n_hidden, n_bits, generator)

    def standardize(self, x):
        """Centre and scale raw features, (m, d) to (m, d)."""
        return (x - self.mean) / self.scale

    def encode(self, z, alpha=1.0):
        """Encode standardized features, (m, d) to (m, c), in [-1, 1]."""
        return torch.tanh(alpha * self.code(torch.relu(self.hidden(z))))


class Autoencoder(Encoder):
    """An encoder with a decoder from the real code back to the standardized features."""

    def __init__(self, n_features, n_hidden, n_bits, generator, n_decoder_hidden=None):
        super().__init__(n_features, n_hidden, n_bits, generator)
        if n_decoder_hidden is None:
            self.decoder = linear(n_bits, n_features, generator)
        else:
            self.decoder = nn.Sequential(
                linear(n_bits, n_decoder_hidden, generator),
                nn.ReLU(),
                linear(n_decoder_hidden, n_features, generator),
            )

    def decode(self, codes):
        """Decode real codes, (m, c) to (m, d)."""
        return self.decoder(codes)


def to_numpy(network):
    """Copy a network's weights into a dict of arrays."""
    # Copied: the optimizer goes on writing into the tensors of a network that is trained further.
    return {name: tensor.cpu().numpy().copy() for name, tensor in network.state_dict().items()}


def from_numpy(network, state):
    """Load a dict of arrays into a network."""
    network.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    return network
