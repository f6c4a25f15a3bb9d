"""Batches of tokenized texts, no longer than they need to be."""

from functools import partial

from sklearn.utils import gen_batches

from .._towers.tokens import tokenize

_SORTED = 64  # batches of texts that are sorted by length together


def text_batches(texts, tokenizer, model, *, batch_size):
    """Tokenize texts and batch those of like length, each batch as short as the encoder allows.

    Parameters
    ----------
    texts : list of str
        The texts.
    tokenizer : callable
        What `load_tokenizer` gives.
    model : torch.nn.Module
        What `load_model` gives.
    batch_size : int
        Number of texts in a batch.

    Yields
    ------
    positions : list of int
        Positions in `texts`.
    tokens : Tensor of shape (n_positions, n_tokens), int64
        Their tokens.
    is_long : dict of int to str
        For each of them that was cut, the reason.
    """
    from .._towers.backbones import padding, trim

    can_trim = _can_trim(model)
    for chunk in gen_batches(len(texts), _SORTED * batch_size):
        tokens, is_cut = tokenize(tokenizer, texts[chunk])
        order = range(len(tokens))
        if can_trim:
            order = (tokens != padding(model.text)).sum(1).argsort(stable=True).tolist()
        for batch in gen_batches(len(tokens), batch_size):
            rows = list(order[batch])
            positions = [chunk.start + row for row in rows]
            short = trim(model.text, tokens[rows]) if can_trim else tokens[rows]
            reason = f"has more tokens than the {tokens.shape[1]} that the model reads"
            is_long = {
                position: reason
                for position, cut in zip(positions, is_cut[rows].tolist(), strict=True)
                if cut
            }
            yield positions, short, is_long


def text_encoder(model):
    """Return the function that embeds tokens, trimmed or not, without normalization."""
    from .._towers.backbones import text_outputs

    if _can_trim(model):
        return lambda tokens: text_outputs(model.text, tokens)[1]
    return partial(model.encode_text, normalize=False)


def _can_trim(model):
    """Tell whether the text encoder is a module of its own that ignores padding."""
    from .._towers.backbones import can_trim

    return hasattr(model, "text") and can_trim(model.text)
