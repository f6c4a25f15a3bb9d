import json
import sys

import pytest
from sklearn.feature_extraction.text import CountVectorizer

from skhash.features._towers.small import small_config
from skhash.features._towers.towers import rebuild_towers

CAPTIONS = ["Two dogs, a dog and a CAT", "the dog's cat: 3 cats", "ÉTÉ dog", ""]
DEFAULTS = {
    "image_tower": "vit",
    "image_size": 64,
    "patch_size": 16,
    "width": 128,
    "heads": 2,
    "image_layers": 4,
    "text_layers": 2,
    "embed_dim": 128,
    "dropout": 0.1,
    "context_length": 64,
    "vocabulary_size": 8192,
}
SIZES = {"width": 8, "image_layers": 1, "text_layers": 1, "context_length": 12}


def small(captions, **parameters):
    return small_config(captions, **{**DEFAULTS, **parameters})


def vocabulary_of(config):
    return json.loads(config["files"]["tokenizer.json"])["model"]["vocab"]


def read(config, text):
    towers = rebuild_towers(config)
    tokens = towers.read_texts([text])[0]
    words = towers.tokenizer.tokenizer.convert_ids_to_tokens(tokens)
    return " ".join(words).replace(" [PAD]", "")


def test_words_are_those_of_a_bag_of_words_and_digits():
    words = set(vocabulary_of(small(CAPTIONS))) - {"3"}
    bag = CountVectorizer().fit(CAPTIONS).get_feature_names_out()
    assert {word for word in words if not word.startswith("[")} == set(bag)


def test_words_stand_by_frequency_then_by_the_alphabet():
    words = sorted((vocabulary := vocabulary_of(small(CAPTIONS))), key=vocabulary.get)
    assert words[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert words[5:] == ["dog", "cat", "3", "and", "cats", "dogs", "the", "two", "été"]


def test_a_vocabulary_is_cut_to_the_most_frequent_words():
    config = small(CAPTIONS, vocabulary_size=7, **SIZES)
    assert list(vocabulary_of(config))[5:] == ["dog", "cat"]
    assert read(config, "a dog and the cat") == "[CLS] dog [UNK] [UNK] cat [SEP]"
    assert json.loads(config["files"]["config.json"])["vocab_size"] == 7


@pytest.mark.filterwarnings("ignore:.*contain no word that the text encoder knows")
def test_texts_are_read_in_lower_case_without_marks():
    config = small(CAPTIONS, **SIZES)
    assert read(config, "DOG; 3 Été-cats, unseen x!") == "[CLS] dog 3 été cats [UNK] [SEP]"
    assert read(config, "") == "[CLS] [SEP]"


def test_a_configuration_is_the_same_at_each_call():
    assert small(CAPTIONS) == small(CAPTIONS)


def test_parameters_reach_the_towers():
    config = small(
        CAPTIONS,
        image_size=24,
        patch_size=6,
        width=12,
        heads=3,
        image_layers=2,
        text_layers=1,
        embed_dim=5,
        dropout=0.25,
        context_length=9,
    )
    model = rebuild_towers(config).model
    assert model.visual.grid_size == (4, 4)
    assert len(model.visual.transformer.resblocks) == 2
    assert model.visual.transformer.resblocks[0].attn.num_heads == 3
    assert model.visual.proj.shape == (12, 5)
    bert = model.text.config
    assert (bert.hidden_size, bert.num_attention_heads, bert.num_hidden_layers) == (12, 3, 1)
    assert bert.hidden_dropout_prob == bert.attention_probs_dropout_prob == 0.25
    assert bert.max_position_embeddings == 9
    assert model.text.proj.out_features == 5


def test_parameters_reach_a_resnet():
    config = small(CAPTIONS, image_tower="resnet", image_size=32, width=16, heads=4, image_layers=8)
    towers = rebuild_towers(config)
    visual = towers.model.visual
    assert [len(stage) for stage in (visual.layer1, visual.layer4)] == [2, 2]
    assert towers.pooled_widths() == (64, 16)
    assert visual.attnpool.num_heads == 16
    assert visual.attnpool.c_proj.out_features == 128


@pytest.mark.parametrize("captions", [["", "a b", "?!"], []])
def test_captions_without_words_are_refused(captions):
    with pytest.raises(ValueError, match=f"the {len(captions)} captions hold no word of two"):
        small(captions)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"image_size": 20, "patch_size": 8}, "image_size=20 must be a multiple of patch_size=8"),
        ({"width": 10, "heads": 4}, "width=10 must be a multiple of heads=4"),
        ({"image_tower": "cnn"}, "image_tower must be one of 'vit', 'resnet', got 'cnn'"),
        (
            {"image_tower": "resnet", "image_size": 48},
            "image_size=48 must be a multiple of 32 for image_tower='resnet'",
        ),
        ({"image_tower": "resnet", "width": 12}, "width=12 must be a multiple of 8"),
        ({"image_tower": "resnet", "image_layers": 6}, "image_layers=6 must be a multiple of 4"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"embed_dim": -1}, "embed_dim must be at least 1, got -1"),
        ({"context_length": 2}, "context_length must be at least 3, got 2"),
        ({"vocabulary_size": 5}, "vocabulary_size must be at least 6, got 5"),
        ({"dropout": 1.0}, "dropout must be a number in .*, got 1.0"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        small(CAPTIONS, **parameters)


def test_without_transformers_an_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"towers='small' needs transformers.*hash\[transformers"):
        small(CAPTIONS)


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("3 Dogs, a cafe\u0301", ["3", "dogs", "café"]),
        ("狗在海滩", ["在", "海", "滩", "狗"]),
        ("हिन्दी में", ["में", "हिन्दी"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
    ],
)
def test_words_of_every_script_are_learned(caption, words):
    vocabulary = vocabulary_of(small([caption]))
    assert set(words) == {word for word in vocabulary if not word.startswith("[")}


def test_a_vocabulary_that_knows_few_words_is_named():
    towers = rebuild_towers(small(["two dogs"]))
    with pytest.warns(UserWarning, match="^60% of the words are not in the vocabulary"):
        towers.read_texts(["two dogs and three cats"])
