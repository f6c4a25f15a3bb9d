import pytest

from skhash.features._towers.models import locate
from skhash.features._towers.tokens import load_tokenizer, tokenize

HUB = {"weights_dir": None, "local_files_only": True}


class Counting:
    """A tokenizer that counts the texts that it reads."""

    def __init__(self, inner):
        self.inner, self.context_length, self.n_read = inner, inner.context_length, 0

    def __call__(self, texts, context_length=None):
        self.n_read += len(texts)
        return self.inner(texts, context_length=context_length)


@pytest.fixture
def native(tiny, weights):
    return load_tokenizer(locate(tiny, weights, **HUB), **HUB)


def words(n):
    return " ".join("a" * n)


def test_tokens_are_those_of_the_tokenizer(native):
    texts = [words(n) for n in range(12)]
    tokens, is_cut = tokenize(native, texts)
    assert tokens.equal(native(texts))
    assert is_cut.tolist() == [n > 6 for n in range(12)]


def test_short_texts_are_read_once(native):
    counting = Counting(native)
    tokenize(counting, [words(n) for n in range(6)])
    assert counting.n_read == 6
    tokenize(counting, [words(3), words(20)])
    assert counting.n_read == 6 + 3


@pytest.mark.parametrize("strip", [False, True])
@pytest.mark.parametrize("mode", [None, "clips"])
def test_tokenizers_of_transformers_are_followed_too(tmp_path, strip, mode):
    from open_clip.tokenizer import HFTokenizer
    from transformers import BertTokenizerFast

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "[BOS]", "[EOS]"]
    BertTokenizerFast(
        vocab={word: j for j, word in enumerate(vocabulary)}, bos_token="[BOS]", eos_token="[EOS]"
    ).save_pretrained(tmp_path)
    tokenizer = HFTokenizer(
        str(tmp_path), context_length=8, strip_sep_token=strip, tokenizer_mode=mode
    )
    texts = [words(n) for n in range(12)]
    tokens, is_cut = tokenize(tokenizer, texts)
    assert tokens.equal(tokenizer(texts))
    if mode is None:
        assert is_cut.tolist() == [n > 6 for n in range(12)]
