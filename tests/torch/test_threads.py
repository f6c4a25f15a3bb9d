import threading

import torch

from skhash._torch.threads import threads


def test_the_number_of_threads_is_one_inside_and_restored_outside():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threads(1):
            assert torch.get_num_threads() == 1
            with threads(1):
                assert torch.get_num_threads() == 1
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_every_python_thread_gets_the_number_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    entered, leave, seen = threading.Event(), threading.Event(), []

    def other():
        with threads(1):
            entered.set()
            leave.wait(timeout=10)
            seen.append(torch.get_num_threads())
        seen.append(torch.get_num_threads())

    def run(function):
        thread = threading.Thread(target=function)
        thread.start()
        return thread

    try:
        with threads(1):
            thread = run(other)
            entered.wait(timeout=10)
        seen.append(torch.get_num_threads())
        leave.set()
        thread.join()
        run(lambda: seen.append(torch.get_num_threads())).join()
        assert seen == [2, 1, 2, 2]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
