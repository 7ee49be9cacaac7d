"""The stream is destroyed, its end is lost, Postgres is destroyed: nothing is missing afterwards."""

import asyncio
import pathlib
import shutil
import subprocess

import pytest
from agent import Admin

from packets import PACKETS, body, claim, postgres
from rail import BIN, wait_until
from web import Web

SETTINGS = {"HR_PACKET_TTL_SECONDS": "0", "HR_RETENTION_SECONDS": "0",
            "HR_AUDIT_HEADS_SECONDS": "1"}


def postgres_url(rail):
    environ = pathlib.Path(f"/proc/{rail.pids['hr-worker-audit-1']}/environ").read_bytes()
    for item in environ.decode().split("\0"):
        if item.startswith("HR_POSTGRES_URL="):
            return item.partition("=")[2]
    raise KeyError("HR_POSTGRES_URL")


def handoffrail(*args):
    return subprocess.run(
        [BIN / "handoffrail", *args], capture_output=True, text=True, timeout=60, check=False
    )


def restore(rail, *args):
    url = ["--postgres-url", postgres_url(rail), "--nats-url", rail.admin_nats_url]
    return handoffrail("restore", *url, *args)


def verify(rail):
    """Against the heads as well: what was announced before has to be there afterwards."""
    keys = ["--key-file", rail.folder / "audit.keys", "--heads", rail.folder / "audit.heads"]
    return handoffrail("audit", "verify", "--database", postgres_url(rail), *keys)


def announce(rail):
    """Waits until a head of all that has happened has left Postgres."""
    def is_done():
        with postgres(rail) as db:
            return db.execute("SELECT bool_and(announced = number) FROM audit_chains").fetchone()[0]

    wait_until(is_done, 20, "the heads")
    assert (rail.folder / "audit.heads").stat().st_size > 0


async def post(web, path, content, headers=None, status=200):
    answer = await web.post(PACKETS + path, content, headers)
    assert answer.status == status, answer
    return answer.json()


async def work(web, name):
    """Packets in every state there is; returns their ids and the generation of the one in hand."""
    made = {}
    for state in ("created", "claimed", "completed", "failed", "asked", "deleted"):
        hitl = {"hitl": {"reason": "r", "approvers": ["ann"],
                         "approve_options": ["yes"]}} if state == "asked" else {}
        packet = await post(web, "", body(f"{name} {state}", **hitl), {
            "Idempotency-Key": f"{name}-{state}"}, 201)
        made[state] = packet["id"]
    for state in ("claimed", "completed", "failed"):
        held = await post(web, f"/{made[state]}/claim", claim("coder"))
        if state == "claimed":
            generation = held["claim"]["generation"]
        else:
            answer = await web.request("PATCH", f"{PACKETS}/{made[state]}", {"status": state})
            assert answer.status == 200
    assert (await web.request("DELETE", f"{PACKETS}/{made['deleted']}")).status == 204
    talk = {"summary": "s", "conversation_state": [{"role": "user", "content": name}]}
    root = await post(web, "", body(context=talk), None, 201)
    child = await post(web, f"/{root['id']}/chain", body("child"), None, 201)
    await web.request("PATCH", f"{PACKETS}/{root['id']}", {"context": {"summary": "changed"}})
    made |= {"root": root["id"], "child": child["id"]}
    return made, generation


async def look(web, made):
    """Everything a client can see of them."""
    seen = {}
    for name, packet_id in made.items():
        packet = (await web.get(f"{PACKETS}/{packet_id}")).json()
        history = (await web.get(f"{PACKETS}/{packet_id}/history?all=true")).json()["events"]
        for event in history:
            event.pop("sequence")  # a stream that is made anew counts anew
        seen[name] = packet, history
    listed = (await web.get(f"{PACKETS}?limit=200")).json()
    seen["list"] = listed["total"], sorted(packet["id"] for packet in listed["packets"])
    seen["stats"] = (await web.get("/api/v1/stats")).json()["packets_by_status"]
    seen["search"] = (await web.get(f"{PACKETS}/search?q=child")).json()["total"]
    return seen


async def go_on(web, made, generation, name):
    """Work goes on where it stopped."""
    again = await post(web, "", body(f"{name} created"), {
        "Idempotency-Key": f"{name}-created"}, 201)
    assert again["id"] == made["created"]
    answer = await web.request(
        "PATCH", f"{PACKETS}/{made['claimed']}", {"status": "completed"},
        {"X-HR-Claim": str(generation)},
    )
    assert answer.status == 200, answer
    answer = await web.post(f"{PACKETS}/{made['completed']}/claim", claim("x"))
    assert answer.status == 400
    grandchild = await post(web, f"/{made['child']}/chain", body("grandchild"), None, 201)
    talk = [entry["content"] for entry in grandchild["context"]["conversation_state"]]
    assert talk == [name]


def is_projected(rail, loop):
    """The audit log has everything in the stream."""

    async def compare():
        async with Admin(rail) as admin, Web(rail.url, rail.headers) as web:
            last = await admin.last_seq()
            answer = await web.get(f"{PACKETS}?limit=1", {"X-HR-Min-Seq": str(max(last, 1))})
            return answer.status == 200

    return loop.run(compare())


def stop_and_start(rail, between):
    rail.stop()
    between()
    rail.start()


def jetstream(rail):
    return rail.folder / "nats" / "jetstream"


@pytest.fixture
def rail(make_rail):
    return make_rail(None, env=SETTINGS).start()


def run_with(rail, loop, job, *args):
    async def run():
        async with Web(rail.url, rail.headers, seconds=30) as web:
            return await job(web, *args)

    return loop.run(run())


def test_a_stream_that_was_destroyed_comes_back_from_postgres(rail, loop):
    made, generation = run_with(rail, loop, work, "one")
    before = run_with(rail, loop, look, made)
    announce(rail)
    stop_and_start(rail, lambda: shutil.rmtree(jetstream(rail)))
    shown = restore(rail, "--dry-run")
    assert shown.returncode == 0 and "8 would be put back" in shown.stdout, shown
    done = restore(rail)
    assert done.returncode == 0, done
    assert "8 packets in Postgres: 0 are in the stream, 8 were put back, 0 failed" in done.stdout
    again = restore(rail)
    assert "8 are in the stream, 0 were put back" in again.stdout, again
    wait_until(lambda: is_projected(rail, loop), 10, "projected")
    assert run_with(rail, loop, look, made) == before
    run_with(rail, loop, go_on, made, generation, "one")
    assert verify(rail).returncode == 0
    # And again, behind what happened since.
    after = run_with(rail, loop, look, made)
    stop_and_start(rail, lambda: shutil.rmtree(jetstream(rail)))
    assert restore(rail).returncode == 0
    wait_until(lambda: is_projected(rail, loop), 10, "projected")
    assert run_with(rail, loop, look, made) == after
    assert verify(rail).returncode == 0


def test_the_end_of_the_stream_comes_back_from_postgres(rail, loop, tmp_path):
    made, _ = run_with(rail, loop, work, "early")

    def keep():
        shutil.copytree(jetstream(rail), tmp_path / "kept")

    stop_and_start(rail, keep)
    later, generation = run_with(rail, loop, work, "late")
    run_with(rail, loop, post, f"/{made['created']}/claim", claim("coder"))
    before = run_with(rail, loop, look, made | {"late " + name: i for name, i in later.items()})

    def lose():
        shutil.rmtree(jetstream(rail))
        shutil.copytree(tmp_path / "kept", jetstream(rail))

    stop_and_start(rail, lose)
    wait_until(lambda: is_projected(rail, loop), 10, "projected")
    done = restore(rail)
    assert done.returncode == 0 and "7 are in the stream, 9 were put back" in done.stdout, done
    wait_until(lambda: is_projected(rail, loop), 10, "projected")
    everything = made | {"late " + name: i for name, i in later.items()}
    assert run_with(rail, loop, look, everything) == before
    run_with(rail, loop, go_on, later, generation, "late")
    assert verify(rail).returncode == 0


def test_postgres_that_was_destroyed_comes_back_from_the_stream(rail, loop):
    made, generation = run_with(rail, loop, work, "one")
    before = run_with(rail, loop, look, made)
    announce(rail)
    stop_and_start(rail, lambda: shutil.rmtree(rail.folder / "postgres"))
    wait_until(lambda: is_projected(rail, loop), 20, "projected")
    assert run_with(rail, loop, look, made) == before
    assert verify(rail).returncode == 0
    assert "8 are in the stream, 0 were put back" in restore(rail).stdout
    run_with(rail, loop, go_on, made, generation, "one")


def test_archived_packets_come_back_too(make_rail, loop):
    rail = make_rail(None, env={**SETTINGS, "HR_RETENTION_SECONDS": "1"}).start()

    async def finish(web):
        packet = await post(web, "", body("done"), {"Idempotency-Key": "k"}, 201)
        await post(web, f"/{packet['id']}/claim", claim("coder"))
        await web.request("PATCH", f"{PACKETS}/{packet['id']}", {"status": "completed"})
        async with asyncio.timeout(10):
            while "archived_at" not in (await web.get(f"{PACKETS}/{packet['id']}")).json():
                await asyncio.sleep(0.1)
        return packet["id"]

    packet_id = run_with(rail, loop, finish)
    before = run_with(rail, loop, look, {"done": packet_id})
    stop_and_start(rail, lambda: shutil.rmtree(jetstream(rail)))
    assert "1 were put back" in restore(rail).stdout
    wait_until(lambda: is_projected(rail, loop), 10, "projected")
    assert run_with(rail, loop, look, {"done": packet_id}) == before
    again = run_with(rail, loop, post, "", body("done"), {"Idempotency-Key": "k"}, 201)
    assert again["id"] == packet_id


@pytest.mark.parametrize("args", [[], ["--nats-url", "nats://127.0.0.1:1"], ["--nothing"], ["x"]])
def test_says_what_it_needs(args):
    assert handoffrail("restore", *args).returncode == 2
    assert "--dry-run" in handoffrail("restore", "--help").stdout


def test_gives_up_when_nobody_answers(tmp_path):
    done = handoffrail("restore", "--nats-url", "nats://127.0.0.1:1", "--postgres-url",
                       f"postgresql:///x?host={tmp_path}")
    assert done.returncode == 1 and "0 packets" in done.stdout, done
