"""Workers are killed while what failed is put back, again and again: nothing is left behind."""

import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
from hooks import await_count, count, create_many, make_hook, recover
from rail import wait_until
from receiver import Receiver

ROUNDS = 6
LETTERS = 1000
COPIES = 2  # the one that is asked need not be the one that sends; each dies less than five times
ENV = {
    "HR_ALLOWED_WEBHOOK_HOSTS": "127.0.0.1",
    "HR_WEBHOOK_RETRY_SECONDS": "0.01",
    "HR_WEBHOOK_CONCURRENCY": "256",
}


def ask(rail, hook):
    """A recovery whose answer nobody waits for long: it may be lost."""
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=1) as client:
        try:
            return recover(client, hook).text
        except httpx.HTTPError as error:
            return repr(error)


def kill_one(rail, number, chance):
    name = f"hr-worker-webhook-{number % COPIES + 1}"
    pid = rail.pids[name]
    time.sleep(chance.uniform(0, 0.3))  # wherever it is by then
    os.kill(pid, signal.SIGKILL)
    rail.await_restart(name, pid)


def test_nothing_that_was_put_back_is_left_behind(make_rail):
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    rail = make_rail(None, "--scale", f"webhook={COPIES}", env=ENV).start()
    with (Receiver() as receiver, ThreadPoolExecutor(1) as pool,
          httpx.Client(base_url=rail.url, headers=rail.headers, timeout=15) as client):
        hook = make_hook(client, receiver.url, ["packet.created"])["id"]
        for number in range(1, ROUNDS + 1):
            receiver.behave = lambda request: 500
            create_many(client, LETTERS)
            await_count(client, hook, "dead_letter", LETTERS, 60)
            receiver.behave = lambda request: 200
            asked = pool.submit(ask, rail, hook)
            kill_one(rail, number, chance)
            print("round", number, asked.result(), flush=True)
            wait_until(lambda: recover(client, hook).status_code == 200, 60, "an answer")
            await_count(client, hook, "delivered", number * LETTERS, 60)
            assert count(client, hook, "pending") == 0
