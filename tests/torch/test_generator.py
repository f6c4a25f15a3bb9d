import threading

import pytest
import torch

from skhash._torch.generator import seeded


def test_the_same_seed_draws_the_same_and_the_state_is_restored():
    before = torch.get_rng_state()
    draws = []
    for seed in (3, 3, 4):
        with seeded(seed):
            draws.append(torch.rand(4))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_state_is_restored_after_an_error():
    def draw_and_stop():
        with seeded(0):
            torch.rand(1)
            raise KeyboardInterrupt

    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        draw_and_stop()
    assert torch.equal(torch.get_rng_state(), before)


def test_threads_wait_for_each_other():
    with seeded(0):
        alone = torch.rand(2)
    inside, others = threading.Event(), []

    def other():
        inside.wait()
        with seeded(0):
            others.append(torch.rand(2))

    thread = threading.Thread(target=other)
    thread.start()
    with seeded(0):
        first = torch.rand(1)
        inside.set()
        thread.join(timeout=0.2)
        assert not others
        second = torch.rand(1)
    thread.join()
    assert torch.equal(torch.cat([first, second]), alone)
    assert torch.equal(others[0], alone)


def test_it_can_be_nested():
    with seeded(0):
        alone = torch.rand(2)
    with seeded(0):
        first = torch.rand(1)
        with seeded(1):
            torch.rand(5)
        assert torch.equal(torch.cat([first, torch.rand(1)]), alone)
