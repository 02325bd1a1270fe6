import pytest
import torch

from evenhand._base.threads import SMALL, one_thread, threads_for


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_one_inside_and_the_callers_after(two_threads):
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    with pytest.raises(ValueError, match="x"), one_thread():
        raise ValueError("x")
    assert torch.get_num_threads() == 2


def test_large_work_keeps_the_callers(two_threads):
    with threads_for(SMALL):
        assert torch.get_num_threads() == 2
    with threads_for(SMALL - 1), threads_for(10):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
