"""A running rail for every test that asks for one.

rail         one for the whole session: cheap, so a test must not disturb it
fresh_rail   one of its own, on an empty folder
make_rail    starts as many as wanted, with arguments and environment of choice
"""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from rail import Rail  # noqa: E402


@pytest.fixture(scope="session")
def rail():
    with Rail() as running:
        yield running


@pytest.fixture
def fresh_rail():
    with Rail() as running:
        yield running


@pytest.fixture
def make_rail():
    made = []

    def make(*args, **options):
        made.append(Rail(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
