import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small products: threads of torch only get in each other's way."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
