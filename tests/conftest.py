"""What every test gets: no network, one seed, one thread, and the real data where there is some."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # read once, when torch is imported: the workers of a run share the cores

import pytest
import torch
from hypothesis import HealthCheck, settings

import hermetic

HOME = tempfile.TemporaryDirectory(prefix="sightline-tests-")
hermetic.install(HOME.name)
torch.set_num_threads(1)

# The same examples on every run; `make test-slow` searches for new ones. A shared computer may be slow: no deadlines.
settings.register_profile(
    "repeatable", derandomize=True, max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "search", max_examples=500, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


def pytest_unconfigure() -> None:
    """Remove the stand-in for the user's Hugging Face folder."""
    HOME.cleanup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what reads real data, so that `-m real_data` picks exactly that."""
    for item in items:
        if "data_folder" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real_data)


@pytest.fixture(autouse=True)
def seed() -> int:
    """Every test starts from the same seed, whatever ran before it on the same worker."""
    torch.manual_seed(0)
    return 0


@pytest.fixture(autouse=True)
def stay_on_this_computer() -> Iterator[None]:
    """Fail a test that tried to reach another computer, also where something swallowed the error."""
    with hermetic.staying_here():
        yield


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data that SIGHTLINE_DATA names; without it the test is skipped."""
    named = os.environ.get("SIGHTLINE_DATA")
    if not named:
        pytest.skip("SIGHTLINE_DATA is not set: it names the folder of real data")
    folder = Path(named)
    if not folder.is_dir():
        pytest.skip(f"SIGHTLINE_DATA names {named}, which is no folder")
    return folder
