"""Rails to be hurt. --chaos-seconds says for how long, in every test."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

pytest.register_assert_rewrite("load")

from rail import Rail  # noqa: E402


def pytest_addoption(parser):
    parser.addoption(
        "--chaos-seconds",
        type=float,
        default=45,
        help="for how long test_nothing_lost kills processes; at least one turn of all of them",
    )


@pytest.fixture
def make_rail():
    made = []

    def make(*args, **options):
        made.append(Rail(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
