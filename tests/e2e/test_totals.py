"""Totals among the metrics: what everyone has counted, and who sees whose."""

import os
import signal

import httpx
from config import new_key, put_key
from packets import PACKETS, body
from rail import wait_until

NAMES = {
    "handoffrail_handoffs_total": "counter",
    "handoffrail_hitl_checkpoints_total": "counter",
    "handoffrail_hitl_responses_total": "counter",
    "handoffrail_webhook_dlq_size": "gauge",
    "handoffrail_packet_status_count": "gauge",
    "handoffrail_active_packets": "gauge",
    "handoffrail_webhook_deliveries_total": "counter",
    "handoffrail_chain_depth": "histogram",
    "handoffrail_api_key_operations_total": "counter",
}


def metrics(rail, headers=None):
    answer = httpx.get(rail.url + "/metrics", headers=headers)
    assert answer.status_code == 200
    return answer.text


def value(text, sample):
    return next((float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                 if line.startswith(sample + " ")), 0)


def test_every_name_is_there(rail):
    text = metrics(rail)
    for name, kind in NAMES.items():
        assert f"# TYPE {name} {kind}\n" in text and f"# HELP {name} " in text


def test_totals_move(make_rail):
    rail = make_rail(None).start()
    with httpx.Client(base_url=rail.url, headers=rail.headers) as http:
        made = [http.post(PACKETS, json=body()).json()["id"] for _ in range(3)]
        asked = http.post(PACKETS, json=body(hitl={"reason": "r"})).json()["id"]
        chained = http.post(f"{PACKETS}/{made[0]}/chain", json=body()).json()["id"]
        http.patch(f"{PACKETS}/{made[1]}", json={"status": "awaiting_human",
                                                 "hitl": {"reason": "r"}}).raise_for_status()
        http.post(f"{PACKETS}/{asked}/respond",
                  json={"response": "yes", "responded_by": "ann"}).raise_for_status()
        http.patch(f"{PACKETS}/{chained}", json={"status": "failed"}).raise_for_status()
    expected = {
        "handoffrail_handoffs_total": 5,
        "handoffrail_hitl_checkpoints_total": 2,
        "handoffrail_hitl_responses_total": 1,
        "handoffrail_webhook_dlq_size": 0,
    }

    def counted(headers, tenant):
        text = metrics(rail, headers)
        return {name: value(text, f'{name}{{tenant_id="{tenant}"}}')
                for name in expected} == expected and text

    wait_until(lambda: counted(rail.headers, "default"), 20, "the totals of a tenant")
    # Who has no key learns nothing of tenants.
    text = wait_until(lambda: counted(None, "all"), 20, "the totals of all")
    assert 'tenant_id="default"' not in text
    assert 'tenant_id="all"' not in metrics(rail, rail.headers)
    assert value(text, 'handoffrail_packet_status_count{status="created"}') == 2
    assert value(text, 'handoffrail_packet_status_count{status="failed"}') == 1
    assert value(text, "handoffrail_active_packets") == 4


def test_a_tenants_own_admin_sees_no_other_tenants(rail, loop, admin):
    key = new_key()
    loop.run(put_key(admin, key, "totals-admin", tenant="totals", role="admin"))
    headers = {"X-API-Key": key}
    wait_until(lambda: httpx.get(rail.url + PACKETS, headers=headers).status_code == 200, 5, "key")
    text = metrics(rail, headers)
    assert 'tenant_id="default"' not in text and 'tenant_id="totals"' not in text


def test_without_postgres_the_metrics_are_still_served(make_rail):
    rail = make_rail(None).start()
    os.kill(rail.pids["postgres"], signal.SIGSTOP)
    try:
        text = metrics(rail)
        assert "# TYPE handoffrail_handoffs_total counter" in text
        assert "handoffrail_requests_total{" in text
    finally:
        os.kill(rail.pids["postgres"], signal.SIGCONT)
