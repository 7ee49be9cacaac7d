"""A running rail for every test that asks for one.

rail         one for the whole session: cheap, so a test must not disturb it
fresh_rail   one of its own, on an empty folder
make_rail    starts as many as wanted, with arguments and environment of choice
loop         runs coroutines, for as long as the module lasts
web          HTTP with the admin's key
agent        NATS as the agent
admin        NATS as the admin

For webhooks, in files with SETTINGS:
hooked       a rail with them, one for the file
client       HTTP with its admin's key; PATIENCE of the file, 30 s if it has none
receiver     an endpoint
hook_of      makes webhooks that are gone when the test is over
"""

import asyncio
import pathlib
import sys

import httpx
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from agent import Admin, Agent  # noqa: E402
from hooks import HOOKS, make_hook  # noqa: E402
from rail import Rail  # noqa: E402
from receiver import Receiver  # noqa: E402
from web import Web  # noqa: E402


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


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def web(rail, loop):  # asked for, so that it is closed before the loop
    made = Web(rail.url, rail.headers)
    yield made
    made.close()


@pytest.fixture(scope="module")
def agent(rail, loop):
    made = Agent(rail)
    loop.run(made.__aenter__())
    yield made
    loop.run(made.__aexit__())


@pytest.fixture(scope="module")
def admin(rail, loop):
    made = Admin(rail)
    loop.run(made.__aenter__())
    yield made
    loop.run(made.__aexit__())


@pytest.fixture(scope="module")
def hooked(request):
    with Rail(env=request.module.SETTINGS) as running:
        yield running


@pytest.fixture
def client(request, hooked):
    patience = getattr(request.module, "PATIENCE", 30)
    with httpx.Client(base_url=hooked.url, headers=hooked.headers, timeout=patience) as it:
        yield it


@pytest.fixture
def receiver():
    with Receiver() as it:
        yield it


@pytest.fixture
def hook_of(client):
    made = []

    def make(url, *args, **parts):
        made.append(make_hook(client, url, *args, **parts))
        return made[-1]

    yield make
    for hook in made:
        client.delete(f"{HOOKS}/{hook['id']}")
