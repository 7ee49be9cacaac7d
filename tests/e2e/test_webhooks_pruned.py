"""Deliveries are not kept in Postgres for ever."""

import os
import signal

import httpx
from hooks import await_count, create_many, make_hook
from packets import postgres
from rail import wait_until
from receiver import Receiver

OLD = 2500  # more than two steps take out

AGE = """
    INSERT INTO webhook_deliveries (seq, created_at, updated_at, took_us, id, hook_id, epoch, attempts,
                                    tenant, status, delivery, record)
    SELECT seq, created_at, updated_at - interval '31 days', took_us, gen_random_uuid(), hook_id, epoch,
           attempts, tenant, status, delivery, record
    FROM webhook_deliveries, generate_series(1, %s) LIMIT %s
"""


def test_what_is_older_than_a_month_is_taken_out(make_rail):
    rail = make_rail(env={"HR_ALLOWED_WEBHOOK_HOSTS": "127.0.0.1",
                          "HR_WEBHOOK_RETRY_SECONDS": "0.01"}).start()
    with (Receiver(lambda request: 500) as receiver,
          httpx.Client(base_url=rail.url, headers=rail.headers, timeout=30) as client,
          postgres(rail) as database):
        hook = make_hook(client, receiver.url, ["packet.created"])["id"]
        create_many(client, 3)
        await_count(client, hook, "dead_letter", 3)
        database.execute(AGE, (OLD, OLD))
        assert database.execute("SELECT count(*) FROM webhook_deliveries").fetchone() == (OLD + 3,)
        pid = rail.pids["hr-worker-audit-1"]
        os.kill(pid, signal.SIGKILL)
        rail.await_restart("hr-worker-audit-1", pid)
        wait_until(lambda: database.execute(
            "SELECT count(*) FROM webhook_deliveries").fetchone() == (3,), 20, "only the new ones")
