"""CFRH's defaults on real data: no collapse, and the quality that the documentation claims."""

import numpy as np
import pytest

from skhash.datasets import fetch_wiki
from skhash.hashing import CFRHHasher
from skhash.metrics import mean_average_precision

pytestmark = pytest.mark.usefixtures("shared_data")


@pytest.mark.parametrize(("n_bits", "to_text", "to_image"), [(16, 0.21, 0.49), (64, 0.23, 0.52)])
def test_defaults_reach_what_the_guide_says(n_bits, to_text, to_image):
    train, test = fetch_wiki(subset="train"), fetch_wiki(subset="test")
    hasher = CFRHHasher(n_bits, n_image_features=128, random_state=0).fit(train.data)
    image, text = np.split(hasher.transform(test.data), 2, axis=1)
    image_gallery, text_gallery = np.split(hasher.transform(train.data), 2, axis=1)
    labels = test.target, train.target
    assert mean_average_precision(image, text_gallery, *labels) > to_text
    assert mean_average_precision(text, image_gallery, *labels) > to_image
    assert min(hasher.code_statistics_[b]["unique_share"] for b in ("image", "text")) > 0.1
