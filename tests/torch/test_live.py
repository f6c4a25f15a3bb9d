import copy
import gc
import pickle

from sklearn.base import BaseEstimator

from skhash._torch.live import Live


class Module:
    def __init__(self, device):
        self.device = device


def kept():
    live, estimator, weights, module = Live(), BaseEstimator(), {}, Module("cpu")
    live.keep(estimator, weights, module)
    return live, estimator, weights, module


def test_an_object_is_found_by_its_estimator_weights_and_device():
    live, estimator, weights, module = kept()
    assert live.get(estimator, weights, "cpu") is module
    assert live.get(estimator, {}, "cpu") is None
    assert live.get(estimator, weights, "cuda:0") is None
    for other in (copy.copy(estimator), pickle.loads(pickle.dumps(estimator))):
        assert live.get(other, weights, "cpu") is None


def test_an_object_can_be_dropped_twice():
    live, estimator, weights, _ = kept()
    live.drop(estimator)
    live.drop(estimator)
    assert live.get(estimator, weights, "cpu") is None


def test_an_object_goes_with_its_estimator():
    live, estimator, _, _ = kept()
    del estimator
    gc.collect()
    assert not live._kept
