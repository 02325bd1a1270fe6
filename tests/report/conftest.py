import pytest
from simulated_run import make_run


@pytest.fixture(scope="session")
def run():
    return make_run()
