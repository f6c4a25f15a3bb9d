"""The hashers that train networks on real data: a few epochs teach each far more than chance."""

import numpy as np
import pytest

from skhash import hashing
from skhash.datasets import fetch_wiki
from skhash.metrics import mean_average_precision

pytestmark = pytest.mark.usefixtures("shared_data")


@pytest.mark.parametrize(
    ("name", "parameters", "to_image"),
    [
        ("DGCPNHasher", {}, 0.30),
        ("UCCHHasher", {}, 0.26),
        ("DUCHHasher", {}, 0.22),
        ("CIRHHasher", {"graph_iter": 4}, 0.26),
        ("DJSRHHasher", {}, 0.24),
        ("JDSHHasher", {}, 0.24),
        ("DSAHHasher", {}, 0.24),
        ("AGCHHasher", {"max_iter": 8}, 0.22),
        ("HNHHasher", {}, 0.22),
    ],
)
def test_four_epochs_reach_twice_what_random_codes_do(name, parameters, to_image):
    train, test = fetch_wiki(subset="train"), fetch_wiki(subset="test")
    hasher = getattr(hashing, name)(32, n_image_features=128, max_iter=4, random_state=0)
    hasher.set_params(**parameters).fit(train.data)
    image, text = np.split(hasher.transform(test.data), 2, axis=1)
    image_gallery, text_gallery = np.split(hasher.transform(train.data), 2, axis=1)
    labels = test.target, train.target
    assert mean_average_precision(image, text_gallery, *labels) > 0.22  # random codes: 0.11
    assert mean_average_precision(text, image_gallery, *labels) > to_image
