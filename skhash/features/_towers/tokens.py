"""Texts as tokens, each text once."""

import json
import threading
from functools import lru_cache
from typing import Any

from ..._inputs.messages import UNKNOWN_WORDS, warn
from ..._libraries import import_with_torchvision
from .models import ask_hub, check_unchanged, need_transformers, root_cause, unavailable
from .strangers import own_folder, tokenizer_options

# Tokenizers of transformers keep the length to cut at: threads would change it for each other.
_lock = threading.Lock()


@lru_cache(maxsize=8)
def load_tokenizer(located, **hub):
    """Build the tokenizer of a model.

    Parameters
    ----------
    located : Located
        What `locate` found.
    **hub
        `weights_dir` and `local_files_only`, as in `CLIPFeaturizer`.

    Returns
    -------
    callable
        Turns a list of str into a tensor of tokens, of shape (n_texts, context_length).
    """
    open_clip = import_with_torchvision("open_clip")
    from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer

    text = json.loads(located.config)["text_cfg"]
    name = text.get("hf_tokenizer_name")
    options, _ = tokenizer_options(text)
    length = text.get("context_length", DEFAULT_CONTEXT_LENGTH)
    if not name and located.name.startswith("local-dir:"):
        return open_clip.SimpleTokenizer(context_length=length, **options)
    if not name:
        return open_clip.get_tokenizer(located.name)
    need_transformers(located.name)

    def build(local_files_only):
        return HFTokenizer(
            own_folder(located.name, "tokenizer_config.json") or name,
            context_length=length,
            cache_dir=hub["weights_dir"],
            tokenizer_mode=text.get("tokenizer_mode"),
            local_files_only=local_files_only,
            trust_remote_code=False,
            **options,
        )

    try:
        tokenizer = from_disk_first(build, hub["local_files_only"])
    except (OSError, ValueError) as error:
        if "trust_remote_code" in str(error):
            raise ValueError(
                f"the tokenizer of {located.name!r} needs Python code of its own, which skhash "
                "never runs: choose a model whose tokenizer transformers knows."
            ) from error
        raise unavailable(name, hub["weights_dir"], root_cause(error)) from error
    check_unchanged(located)
    return tokenizer


def from_disk_first(load, local_files_only):
    """Load from this disk, or from the network where that is allowed.

    transformers alone would ask the network even for files that are on this disk.

    Parameters
    ----------
    load : callable
        Takes whether it must do without the network, and raises an OSError or a ValueError where
        files are missing.
    local_files_only : bool
        As in `CLIPFeaturizer`.

    Returns
    -------
    object
        What `load` gives.
    """
    try:
        return load(True)
    except (OSError, ValueError) as missing:
        if local_files_only:
            raise
        try:
            ask_hub()
        except OSError as error:
            raise missing from error
        return load(False)


def tokenize(tokenizer, texts):
    """Tokenize texts and tell which are longer than the text encoder reads.

    Parameters
    ----------
    tokenizer : callable
        What `load_tokenizer` gives.
    texts : list of str
        The texts.

    Returns
    -------
    tokens : Tensor of shape (n_texts, context_length), int64
        What the tokenizer itself gives.
    is_cut : Tensor of shape (n_texts,), bool
        Which texts were cut.
    """
    length = tokenizer.context_length
    with _lock:
        # One place more pads a text that fits, and changes one that was cut. Only a text that comes
        # near the end must be read twice, since tokenizers differ in how they end what they cut.
        longer = tokenizer(texts, context_length=length + 1)
        tokens = longer[:, :-1].clone()
        near = (longer[:, -2:] != _padding(tokenizer)).any(1).nonzero()[:, 0].tolist()
        if near:
            tokens[near] = tokenizer([texts[row] for row in near])
    return tokens, (longer[:, :-1] != tokens).any(1)


def warn_of_unknown(tokens, special_ids, unknown_id):
    """Warn of texts without a known word, and if more than half of all words are unknown.

    Parameters
    ----------
    tokens : Tensor of shape (n_texts, context_length), int64
        The texts.
    special_ids : list of int
        Tokens that are no words.
    unknown_id : int or None
        The one of them that stands for a word that is not in the vocabulary.
    """
    import torch

    is_known = ~torch.isin(tokens, torch.tensor(special_ids))
    n_unknown = 0 if unknown_id is None else int((tokens == unknown_id).sum())
    share = n_unknown / max(1, n_unknown + int(is_known.sum()))
    words = f"{share:.0%} of the words are not in the vocabulary of the text encoder"
    if n_empty := int((~is_known.any(1)).sum()):
        warn(
            f"{n_empty} of {len(tokens)} texts contain no word that the text encoder knows, so "
            "that their features, codes and neighbours are meaningless: give texts with other words"
            + (f" ({words})." if n_unknown else "."),
            about=UNKNOWN_WORDS,
        )
    elif share > 0.5:
        warn(
            f"{words}: give texts like those that it was trained on, or train it on texts like "
            "these.",
        )


def _padding(tokenizer):
    inner: Any = getattr(tokenizer, "tokenizer", None)  # open_clip's own has none, and pads with 0
    return 0 if inner is None else inner.pad_token_id
