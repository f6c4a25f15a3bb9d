"""Encoders of open_clip as a backbone and a projection.

Their own forward passes return the embedding alone. Uni-modal losses use the output of the
backbone, as in SimCLR and SLIP.
"""

from copy import copy

from torch import nn


def is_of_transformers(text):
    """Tell the text encoders of transformers from open_clip's own."""
    return hasattr(text, "pooler")


def is_resnet(visual):
    """Tell open_clip's ResNets from other image encoders."""
    return hasattr(visual, "attnpool")


def image_outputs(visual, images):
    """Return the output of the image backbone, and that of the projection after it."""
    if hasattr(visual, "trunk"):  # of timm
        pooled = visual.trunk(images)
        embeddings = visual.head(pooled)
    elif is_resnet(visual):
        pooled = visual.stem(images)
        for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            pooled = layer(pooled)
        embeddings = visual.attnpool(pooled)
    else:
        pooled = _twin(visual, proj=None)(images)
        embeddings = pooled @ visual.proj
    if pooled.ndim == 4:  # a map, which the projection pools
        pooled = pooled.mean((2, 3))
    return pooled, embeddings


def text_outputs(text, tokens):
    """Return the output of the text backbone, and that of the projection after it."""
    if is_of_transformers(text):
        mask = (tokens != text.config.pad_token_id).long()
        pooled = text.pooler(text.transformer(input_ids=tokens, attention_mask=mask), mask)
        return pooled, text.proj(pooled)
    projection, mask, length = text.text_projection, text.attn_mask, tokens.shape[1]
    mask = None if mask is None else mask[:length, :length]
    pooled = _twin(text, text_projection=None, attn_mask=mask)(tokens)
    if projection is None:
        return pooled, pooled
    is_layer = isinstance(projection, nn.Linear)
    return pooled, projection(pooled) if is_layer else pooled @ projection


def _twin(encoder, **attributes):
    """Return an encoder that differs in some attributes and shares all else.

    Without a projection an encoder returns the input of the projection. The encoder itself stays as
    it is, since threads may share it.
    """
    twin = copy(encoder)
    for kind in ("_parameters", "_buffers", "_modules"):
        setattr(twin, kind, dict(getattr(encoder, kind)))
    for name, value in attributes.items():
        setattr(twin, name, value)
    return twin


def can_trim(text):
    """Tell whether a text encoder ignores the padding after a text."""
    if is_of_transformers(text):
        return True
    # A class token stands behind the padding, at a place of its own.
    reads_ahead = text.attn_mask is None or text.cls_emb is not None
    return not reads_ahead and text.pool_type in {"first", "argmax", "eos"}


def trim(text, tokens):
    """Cut off the columns that hold padding only, if the text encoder ignores them."""
    if not can_trim(text):
        return tokens
    used = (tokens != padding(text)).any(0).nonzero()
    return tokens[:, : int(used.max()) + 1 if len(used) else 1]


def padding(text):
    """Return the token that fills up a text."""
    return text.config.pad_token_id if is_of_transformers(text) else text.pad_id
