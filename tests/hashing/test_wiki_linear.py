"""Linear hashers on real data: the quality that the guide claims, less what seeds change."""

import numpy as np
import pytest

from skhash import hashing
from skhash.datasets import fetch_wiki
from skhash.metrics import mean_average_precision

pytestmark = pytest.mark.usefixtures("shared_data")


@pytest.mark.parametrize(
    ("name", "to_text", "to_image"),
    [
        ("CCAHasher", 0.237, 0.225),
        ("CMFHHasher", 0.226, 0.218),
        ("FSHHasher", 0.229, 0.217),
        ("IMHHasher", 0.145, 0.132),
    ],
)
def test_defaults_reach_what_the_guide_says(name, to_text, to_image):
    train, test = fetch_wiki(subset="train"), fetch_wiki(subset="test")
    labels, scores = (test.target, train.target), []
    for seed in range(3):
        hasher = getattr(hashing, name)(32, n_image_features=128, random_state=seed).fit(train.data)
        image, text = np.split(hasher.transform(test.data), 2, axis=1)
        image_gallery, text_gallery = np.split(hasher.transform(train.data), 2, axis=1)
        scores.append(
            [
                mean_average_precision(image, text_gallery, *labels),
                mean_average_precision(text, image_gallery, *labels),
            ]
        )
    assert np.all(np.mean(scores, axis=0) > [to_text, to_image])
