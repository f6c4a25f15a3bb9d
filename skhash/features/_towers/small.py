"""Small encoders made from parameters and a vocabulary of their own, without a network."""

import json
from collections import Counter

from ..._inputs.checks import check_choice, check_integer, check_real
from ..._libraries import import_optional
from .folder import HERE

SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
SIZES = {  # the least values
    **dict.fromkeys(("image_size", "patch_size", "width", "heads"), 1),
    **dict.fromkeys(("image_layers", "text_layers", "embed_dim"), 1),
    "context_length": 3,
    "vocabulary_size": len(SPECIAL) + 1,
}
DROPOUT = "[0, 1)"
TOWERS = ("vit", "resnet")
# As in bags of words, and digits, "3 dogs"; scripts without spaces character by character.
_ALONE = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_JOINED = rf"[\w\u200c\u200d&&[^{_ALONE}]]"
_WORD = rf"[{_ALONE}]\p{{M}}*|[\w&&[^{_ALONE}]]{_JOINED}+|\d"


def small_config(
    captions,
    *,
    image_tower,
    image_size,
    patch_size,
    width,
    heads,
    image_layers,
    text_layers,
    embed_dim,
    dropout,
    context_length,
    vocabulary_size,
):
    """Describe a small image encoder and a small BERT.

    Parameters
    ----------
    captions : list of str
        Texts to learn the words from.
    image_tower : {"vit", "resnet"}
        A vision transformer, or the ResNet of CLIP, which learns shapes from far fewer images.
    image_size : int
        Side of the images, in pixels; others are squashed to squares.
    patch_size : int
        Side of a patch of ``"vit"``, in pixels.
    width : int
        Width of both encoders; ``"resnet"`` has maps of an eighth of it at first, and four times as
        many features at last.
    heads : int
        Number of attention heads of a layer.
    image_layers, text_layers : int
        Number of layers of each encoder; ``"resnet"`` shares its blocks among four stages.
    embed_dim : int
        Width of an embedding.
    dropout : float
        Share of the text encoder's activations that is dropped in training.
    context_length : int
        Number of words that a text may have, with one place for its beginning and one for its end.
    vocabulary_size : int
        Largest number of words, the most frequent ones, with five special ones among them.

    Returns
    -------
    dict
        As in `Towers`.

    Raises
    ------
    ValueError
        If a parameter is out of range or does not suit another, or the captions hold no word.
    """
    sizes = {
        "image_size": image_size,
        "patch_size": patch_size,
        "width": width,
        "heads": heads,
        "image_layers": image_layers,
        "text_layers": text_layers,
        "embed_dim": embed_dim,
        "context_length": context_length,
        "vocabulary_size": vocabulary_size,
    }
    for name, value in sizes.items():
        check_integer(value, name, SIZES[name])
    dropout = check_real(dropout, "dropout", DROPOUT)
    check_choice(image_tower, "image_tower", TOWERS)
    _check_multiple("width", width, f"heads={heads}", heads)
    if image_tower == "vit":
        _check_multiple("image_size", image_size, f"patch_size={patch_size}", patch_size)
        vision_cfg = {"layers": image_layers, "width": width, "patch_size": patch_size}
    else:
        for name, factor in (("image_size", 32), ("width", 8), ("image_layers", 4)):
            _check_multiple(name, sizes[name], f"{factor} for image_tower='resnet'", factor)
        vision_cfg = {"layers": [image_layers // 4] * 4, "width": width // 8}
    vision_cfg.update(image_size=image_size, head_width=width // heads)
    transformers = import_optional(
        "transformers", extra="transformers", purpose="the text encoder of towers='small'"
    )
    tokenizer = _learn_words(captions, vocabulary_size)
    bert = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=width,
        num_hidden_layers=text_layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        max_position_embeddings=context_length,
    )
    names = {f"{name}_token": token for name, token in SPECIAL.items()}
    # The name of the class is one that older and newer releases of transformers know.
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": context_length}
    files = {
        "config.json": bert.to_json_string(),
        "tokenizer.json": tokenizer.to_str(),
        "tokenizer_config.json": json.dumps({**about, **names}),
    }
    model_cfg = {
        "embed_dim": embed_dim,
        "custom_text": True,
        "vision_cfg": vision_cfg,
        "text_cfg": {
            "hf_model_name": HERE,
            "hf_tokenizer_name": HERE,
            "hf_model_pretrained": False,
            "hf_pooler_type": "mean_pooler",
            "hf_proj_type": "linear",
            "context_length": context_length,
        },
    }
    return {
        "model_cfg": model_cfg,
        "preprocess_cfg": {
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "interpolation": "bicubic",
            "resize_mode": "squash",
        },
        "files": {name: content.encode() for name, content in files.items()},
    }


def _check_multiple(name, value, factor_name, factor):
    if value % factor:
        raise ValueError(f"{name}={value} must be a multiple of {factor_name}: change it.")


def _learn_words(captions, vocabulary_size):
    """Make a tokenizer of words, normalized and in lower case: the captions' most frequent ones."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    lower = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    split = pre_tokenizers.Split(Regex(_WORD), behavior="removed", invert=True)
    counts = Counter(
        word
        for caption in captions
        for word, _ in split.pre_tokenize_str(lower.normalize_str(caption))
    )
    if not counts:
        raise ValueError(
            f"the {len(captions)} captions hold no word of two letters or more: a vocabulary "
            "cannot be learned from them."
        )
    words = sorted(counts, key=lambda word: (-counts[word], word))
    special = list(SPECIAL.values())
    vocabulary = {word: j for j, word in enumerate((special + words)[:vocabulary_size])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL["unk"]))
    tokenizer.normalizer, tokenizer.pre_tokenizer = lower, split
    ends = [(SPECIAL[name], vocabulary[SPECIAL[name]]) for name in ("cls", "sep")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=ends
    )
    return tokenizer
