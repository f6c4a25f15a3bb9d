"""The networks of a hasher."""

import torch
from torch import nn
from torch.nn.functional import normalize

from ..._torch.weights import linear as linear


class Encoder(nn.Module):
    r"""Features to real codes, a perceptron with one hidden layer.

    .. math:: h = \tanh(\alpha\, (W_2\, \mathrm{relu}(W_1 z + b_1) + b_2))

    :math:`z = (x - \mu) / s` are the features in units of their own spread. The mean :math:`\mu`
    and the number :math:`s` are kept with the weights, so that a network is all that encoding
    needs. With a linear path, :math:`V z` is added before the tanh, and the perceptron is what the
    code has beside it.
    """

    def __init__(self, n_features, n_hidden, n_bits, generator):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(()))
        self.hidden = linear(n_features, n_hidden, generator)
        self.code = linear(n_hidden, n_bits, generator)
        self.linear_path: nn.Linear | None = None

    def standardize(self, x):
        """Centre and scale raw features, (m, d) to (m, d)."""
        return (x - self.mean) / self.scale

    def add_linear_path(self):
        """Add a linear path, whose weights are 0, and begin the perceptron at 0."""
        widths = self.hidden.in_features, self.code.out_features
        path = nn.Linear(*widths, bias=False, device="meta")
        self.linear_path = path.to_empty(device=self.code.weight.device)
        with torch.no_grad():
            for weight in (self.linear_path.weight, self.code.weight, self.code.bias):
                weight.zero_()

    def encode(self, z, alpha=1.0):
        """Encode standardized features, (m, d) to (m, c), in [-1, 1]."""
        return torch.tanh(alpha * self.project(z, self.embed(z)))

    def embed(self, z):
        """Return the hidden layer, (m, d) to (m, h)."""
        return torch.relu(self._normalized(self.hidden(z)))

    def project(self, z, embedded):
        """Return the code before the tanh, (m, c), from features and their hidden layer."""
        code = self.code(embedded)
        return code if self.linear_path is None else code + self.linear_path(z)

    def _normalized(self, hidden):
        return hidden


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


class BatchNorm(nn.BatchNorm1d):
    """Batch normalization that treats a batch of one row, which has no spread, as in evaluation."""

    def forward(self, input):
        """Normalize each unit, (m, d) to (m, d)."""
        if self.training and len(input) == 1:
            self.eval()
            try:
                return super().forward(input)
            finally:
                self.train()
        return super().forward(input)


class NormalizedEncoder(Encoder):
    """An encoder with batch normalization of its hidden layer."""

    def __init__(self, n_features, n_hidden, n_bits, generator):
        super().__init__(n_features, n_hidden, n_bits, generator)
        self.norm = BatchNorm(n_hidden)

    def _normalized(self, hidden):
        return self.norm(hidden)


class MinMaxEncoder(Encoder):
    """An encoder whose bits split halfway between their extremes; encoding has running means."""

    middle: torch.Tensor

    def __init__(self, n_features, n_hidden, n_bits, generator):
        super().__init__(n_features, n_hidden, n_bits, generator)
        self.register_buffer("middle", torch.zeros(n_bits))

    def project(self, z, embedded):
        """Return the code before the tanh, (m, c), from features and their hidden layer."""
        code = super().project(z, embedded)
        if not self.training or len(code) == 1:
            return code - self.middle
        middle = (code.amax(dim=0) + code.amin(dim=0)) / 2
        self.middle.lerp_(middle.detach(), 0.1 if self.middle.any() else 1.0)  # the first as it is
        return code - middle


# Those whose codes `encoding.encode` computes; a class that derives from one computes others.
IN_NUMPY = (Encoder, Autoencoder, NormalizedEncoder, MinMaxEncoder)


def normalized_layer(n_inputs, n_outputs, generator):
    """Make a linear layer with batch normalization and ReLU."""
    layer = linear(n_inputs, n_outputs, generator)
    return nn.Sequential(layer, BatchNorm(n_outputs), nn.ReLU())


def perceptron(n_inputs, n_hidden, n_outputs, generator):
    """Make a perceptron with one hidden layer."""
    first, last = linear(n_inputs, n_hidden, generator), linear(n_hidden, n_outputs, generator)
    return nn.Sequential(first, nn.ReLU(), last)


class GraphFusion(nn.Module):
    """Features of both modalities and a graph of their rows to a joint code, and back.

    Each modality and both together pass a graph convolution; their three codes are fused to one
    (Zhu et al., CIRH, TKDE 2022).
    """

    def __init__(self, widths, n_hidden, n_bits, generator):
        super().__init__()

        def layers(make):
            return nn.ModuleDict({block: make(width) for block, width in widths.items()})

        def head(n_inputs):
            return nn.Sequential(linear(n_inputs, n_bits, generator), BatchNorm(n_bits))

        self.project = layers(lambda width: normalized_layer(width, n_hidden, generator))
        self.convolve = layers(lambda _: normalized_layer(n_hidden, n_hidden, generator))
        self.joint = linear(n_hidden, n_hidden, generator)
        self.joint_norm = BatchNorm(n_hidden)
        self.heads = layers(lambda _: head(2 * n_hidden))
        self.joint_head, self.fuse = head(n_hidden), head((len(widths) + 1) * n_bits)
        self.decoders = layers(lambda width: perceptron(n_bits, n_hidden, width, generator))

    def forward(self, features, graph):
        """Return the code of each modality, the joint code and the decoded features.

        Parameters
        ----------
        features : dict of str to tensor of shape (m, d)
            Standardized features.
        graph : tensor of shape (m, m)
            Weights of the edges.

        Returns
        -------
        codes : dict of str to tensor of shape (m, c)
            Codes of each modality, before the tanh.
        joint : tensor of shape (m, c)
            The joint code, in [-1, 1].
        decoded : dict of str to tensor of shape (m, d)
            Decoded features.
        """
        hidden = {b: normalize(self.project[b](x)) for b, x in features.items()}
        # A row's neighbours in the joint graph are those of its modality and its own other half.
        both = self.joint(sum(hidden.values()))
        joint = torch.relu(self.joint_norm(graph @ both + both))
        codes = {
            b: self.heads[b](torch.cat([self.convolve[b](graph @ h), joint], dim=1))
            for b, h in hidden.items()
        }
        fused = torch.tanh(self.fuse(torch.cat([self.joint_head(joint), *codes.values()], dim=1)))
        decoded = {b: self.decoders[b](fused + torch.tanh(code)) for b, code in codes.items()}
        return codes, fused, decoded


class GraphConvolutions(nn.Module):
    """Hidden layers of both modalities and a graph of their rows to codes, for training.

    Each modality passes two graph convolutions and a linear layer; a linear layer fuses both
    (Zhang et al., AGCH, IEEE TMM 2022).
    """

    def __init__(self, blocks, n_inputs, n_hidden, n_bits, generator):
        super().__init__()
        self.first = nn.ModuleDict({b: linear(n_inputs, n_hidden, generator) for b in blocks})
        self.last = nn.ModuleDict(
            {b: perceptron(n_hidden, n_hidden, n_bits, generator) for b in blocks}
        )
        self.fuse = linear(len(blocks) * n_inputs, n_bits, generator)

    def forward(self, hidden, graph):
        """Return the code of each modality and the fused code.

        Parameters
        ----------
        hidden : dict of str to tensor of shape (m, h)
            Hidden layers of the encoders.
        graph : tensor of shape (m, m)
            Weights of the edges, symmetric; negative ones count as 0.

        Returns
        -------
        codes : dict of str to tensor of shape (m, c)
            Codes of each modality, in [-1, 1].
        fused : tensor of shape (m, c)
            The fused code, in [-1, 1].
        """
        edges = graph.clamp(min=0)
        root = edges.sum(dim=1).clamp(min=1e-12).rsqrt()
        step = root[:, None] * edges * root
        codes = {}
        for block, x in hidden.items():
            embedded = torch.relu(self.first[block](step @ x))
            codes[block] = torch.tanh(self.last[block](step @ embedded))
        return codes, torch.tanh(self.fuse(torch.cat(list(hidden.values()), dim=1)))
