"""Batches of inputs through one encoder of a model."""

from contextlib import closing


def embedded(batches, encoder, device, *, precision, normalize):
    """Embed batches, one at a time.

    Parameters
    ----------
    batches : generator
        Yields positions, a tensor of their inputs, None where there are none, and troubles.
    encoder : callable
        Embeds a tensor.
    device : str
        Device of torch that the encoder is on.
    precision : {"fp32", "bf16", "fp16"}
        Numbers that the encoder computes with.
    normalize : bool
        Whether to divide each embedding by its Euclidean norm.

    Yields
    ------
    positions : list of int
        As in `batches`.
    vectors : ndarray of shape (n_positions, n_dimensions), float32, or None
        The embeddings.
    troubles : dict of int to str
        As in `batches`.
    """
    import torch

    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    kind = torch.device(device).type

    def forward(inputs):
        with torch.inference_mode(), torch.autocast(kind, dtype=dtype, enabled=dtype is not None):
            vectors = encoder(inputs.to(device, non_blocking=True))
        vectors = vectors.float()
        if normalize:
            vectors = torch.nn.functional.normalize(vectors, dim=-1)
        return vectors.cpu().numpy()

    # Closed at once after an error, and with it the processes that read.
    with closing(batches):
        for positions, inputs, troubles in batches:
            yield positions, None if inputs is None else forward(inputs), troubles
