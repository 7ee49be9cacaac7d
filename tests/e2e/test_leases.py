"""Leases, heartbeats, giving back, declining, and packets that nobody takes."""

import asyncio
import time

from agent import command_pb2
from packets import PACKETS, body, claim


def agent_named(name):
    return {"id": name, "name": name.title()}


async def create(web, **metadata):
    content = body()
    content["metadata"].update(metadata)
    answer = await web.post(PACKETS, content)
    assert answer.status == 201, answer
    return answer.json()["id"]


async def act(web, packet_id, verb, content=None, generation=None):
    headers = {} if generation is None else {"X-HR-Claim": str(generation)}
    return await web.post(f"{PACKETS}/{packet_id}/{verb}", content, headers)


async def get(web, packet_id):
    return (await web.get(f"{PACKETS}/{packet_id}")).json()


async def until(web, packet_id, condition, seconds=5):
    deadline = time.monotonic() + seconds
    while True:
        packet = await get(web, packet_id)
        if condition(packet):
            return packet
        assert time.monotonic() < deadline, packet
        await asyncio.sleep(0.02)


async def events(web, packet_id, query=""):
    await get(web, packet_id)  # what it has seen, the gateway's history shows
    answer = await web.get(f"{PACKETS}/{packet_id}/history{query}")
    return answer.json()["events"]


async def types(web, packet_id, query=""):
    return [event["event_type"] for event in await events(web, packet_id, query)]


def test_a_lease_that_ends_gives_the_packet_back(loop, web):
    async def run():
        packet_id = await create(web)
        answer = await act(web, packet_id, "claim", claim("coder", lease_seconds=1))
        held = answer.json()
        assert held["claim"]["lease_seconds"] == 1
        assert held["claim"]["lease_expires_at"] > held["claim"]["claimed_at"]
        started = time.monotonic()
        packet = await until(web, packet_id, lambda packet: packet["status"] == "created")
        assert 0.8 < time.monotonic() - started < 3
        assert "claim" not in packet and packet["metadata"]["claimed_at"] is None
        assert packet["metadata"]["target_agent"]["id"] == "coder"
        found = await events(web, packet_id)
        assert [e["event_type"] for e in found] == ["created", "claimed", "lease_expired"]
        assert found[2]["actor"] == "system:lease_expiry"
        assert found[2]["details"]["generation"] == held["claim"]["generation"]

    loop.run(run())


def test_a_stale_holder_can_do_nothing(loop, web, agent):
    async def run():
        packet_id = await create(web)
        first = (await act(web, packet_id, "claim", claim("a", lease_seconds=1))).json()
        await until(web, packet_id, lambda packet: packet["status"] == "created")
        second = (await act(web, packet_id, "claim", claim("b"))).json()
        old, new = (p["claim"]["generation"] for p in (first, second))
        assert new > old
        done = {"status": "completed"}
        answer = await web.request(
            "PATCH", f"{PACKETS}/{packet_id}", done, {"X-HR-Claim": str(old)}
        )
        assert (answer.status, answer.json()["code"]) == (409, "stale_claim")
        for verb in ("heartbeat", "release"):
            answer = await act(web, packet_id, verb, None, old)
            assert (answer.status, answer.json()["code"]) == (409, "stale_claim"), verb
        update = command_pb2.UpdatePacket(packet_id=packet_id, status=5)
        answer = await agent.protobuf("packet.update", update, {"HR-Claim": str(old)})
        assert (answer.status, answer.message().code) == (409, "stale_claim")
        answer = await agent.json(
            "packet.heartbeat", {"packet_id": packet_id, "agent_id": "a"}
        )
        assert answer.status == 409
        answer = await web.request(
            "PATCH", f"{PACKETS}/{packet_id}", done, {"X-HR-Claim": str(new)}
        )
        assert answer.status == 200 and answer.json()["status"] == "completed"

    loop.run(run())


def test_a_leased_packet_is_changed_only_under_its_claim(loop, web, agent):
    async def run():
        packet_id = await create(web)
        held = (await act(web, packet_id, "claim", claim("b", lease_seconds=60))).json()
        path = f"{PACKETS}/{packet_id}"
        answers = [
            await web.request("PATCH", path, {"status": "completed"}),
            await web.request("PATCH", path, {"context": {"summary": "forged"}}),
            await act(web, packet_id, "heartbeat", {"agent_id": "b"}),
            await act(web, packet_id, "release", {"agent_id": "b"}),
            await act(web, packet_id, "decline", {"agent_id": "b"}),
            await agent.json("packet.update", {"packet_id": packet_id, "status": "failed"}),
            await agent.json("packet.heartbeat", {"packet_id": packet_id, "agent_id": "b"}),
        ]
        for answer in answers:
            assert (answer.status, answer.json()["code"]) == (409, "stale_claim"), answer
        answer = await web.post(f"{PACKETS}/batch/complete", {"packet_ids": [packet_id]})
        [error] = answer.json()["errors"]
        assert "held under a lease" in error["error"] and not answer.json()["completed"]
        claims = [{"packet_id": packet_id, "generation": held["claim"]["generation"]}]
        answer = await web.post(
            f"{PACKETS}/batch/complete", {"packet_ids": [packet_id], "claims": claims}
        )
        assert answer.json()["completed"][0]["status"] == "completed"

    loop.run(run())


def test_a_delete_ends_a_lease_and_says_so(loop, web):
    async def run():
        packet_id = await create(web)
        await act(web, packet_id, "claim", claim("b", lease_seconds=60))
        answer = await web.request("DELETE", f"{PACKETS}/{packet_id}")
        assert answer.status in (200, 204), answer
        last = (await events(web, packet_id))[-1]
        assert last["event_type"] == "expired" and last["details"]["lease"] == "ended"
        assert last["key_id"] == "bootstrap"

    loop.run(run())


def test_a_heartbeat_keeps_the_packet(loop, web, agent):
    async def run():
        packet_id = await create(web)
        held = (await act(web, packet_id, "claim", claim("a", lease_seconds=1))).json()
        generation = held["claim"]["generation"]
        for i in range(6):
            await asyncio.sleep(0.4)
            if i % 2:
                answer = await act(web, packet_id, "heartbeat", None, generation)
            else:
                answer = await agent.json(
                    "packet.heartbeat", {"packet_id": packet_id}, {"HR-Claim": str(generation)}
                )
            assert answer.status == 200, answer
            assert answer.json()["claim"]["generation"] == generation
        answer = await act(web, packet_id, "heartbeat", {"lease_seconds": 60}, generation)
        assert answer.json()["claim"]["lease_seconds"] == 60
        assert await types(web, packet_id) == ["created", "claimed"]
        assert (await types(web, packet_id, "?all=true")).count("heartbeat") == 7

    loop.run(run())


def test_a_holder_may_give_it_back(loop, web, agent):
    async def run():
        packet_id = await create(web)
        held = (await act(web, packet_id, "claim", claim("a", lease_seconds=60))).json()
        answer = await act(web, packet_id, "release", {"agent_id": "b"})
        assert (answer.status, answer.json()["code"]) == (409, "stale_claim")
        answer = await act(
            web, packet_id, "release", {"reason": "lunch"}, held["claim"]["generation"]
        )
        assert answer.status == 200 and answer.json()["status"] == "created"
        answer = await agent.json("packet.claim", {"packet_id": packet_id, **claim("b")})
        assert answer.status == 200
        found = await events(web, packet_id)
        assert [e["event_type"] for e in found] == ["created", "claimed", "released", "claimed"]
        assert found[2]["actor"] == "agent:a" and found[2]["details"] == {"reason": "lunch"}

    loop.run(run())


def test_who_holds_it_has_to_be_said(loop, web, agent):
    async def run():
        packet_id = await create(web)
        await act(web, packet_id, "claim", claim("a"))
        for verb in ("heartbeat", "release"):
            for content in (None, {}):
                answer = await act(web, packet_id, verb, content)
                assert answer.status == 422, answer
                assert answer.json()["detail"][0]["loc"] == ["body", "agent_id"]
            answer = await agent.json(f"packet.{verb}", {"packet_id": packet_id})
            assert answer.status == 422
        answer = await act(web, packet_id, "decline", {})
        assert answer.status == 422
        answer = await act(web, packet_id, "claim", claim("b", lease_seconds=0))
        assert answer.status == 422
        answer = await act(web, packet_id, "heartbeat", None, "yesterday")
        assert (answer.status, answer.json()["code"]) == (400, "invalid_header")

    loop.run(run())


def test_a_packet_goes_from_agent_to_agent_until_one_takes_it(loop, web):
    async def run():
        packet_id = await create(
            web, claim_by_seconds=1, fallback_agents=[agent_named("b"), agent_named("c")]
        )
        packet = await until(
            web, packet_id, lambda p: p["metadata"]["target_agent"]["id"] == "b"
        )
        assert packet["metadata"]["addressed_to"]["id"] == "b"
        answer = await act(web, packet_id, "decline", {"agent_id": "b", "reason": "busy"})
        assert answer.json()["metadata"]["target_agent"]["id"] == "c"
        assert answer.json()["declined"][0]["agent_id"] == "b"
        packet = await until(web, packet_id, lambda p: p["status"] == "failed")
        found = await events(web, packet_id)
        assert [e["event_type"] for e in found] == ["created", "reassigned", "declined", "failed"]
        assert found[3]["details"]["reason"] == "unclaimed"
        assert found[3]["actor"] == "system:claim_by"

    loop.run(run())


def test_a_packet_nobody_takes_may_go_to_a_human(loop, web):
    async def run():
        packet_id = await create(web, claim_by_seconds=1, on_unclaimed="awaiting_human")
        packet = await until(web, packet_id, lambda p: p["status"] == "awaiting_human")
        assert packet["hitl"]["required"] is True and packet["hitl"]["reason"]
        answer = await act(
            web, packet_id, "respond", {"response": "let coder do it", "responded_by": "ann"}
        )
        assert answer.json()["status"] == "claimed"

    loop.run(run())


def test_a_claim_stops_the_clock(loop, web):
    async def run():
        packet_id = await create(web, claim_by_seconds=1)
        answer = await act(web, packet_id, "claim", claim("a"))
        assert "claim_by" not in answer.json()["metadata"]
        await asyncio.sleep(1.5)
        assert (await get(web, packet_id))["status"] == "claimed"
        answer = await act(web, packet_id, "release", {"agent_id": "a"})
        assert "claim_by" in answer.json()["metadata"]
        await until(web, packet_id, lambda p: p["status"] == "failed")

    loop.run(run())


def test_declining_what_one_holds_gives_it_back(loop, web):
    async def run():
        packet_id = await create(web)
        await act(web, packet_id, "claim", claim("a"))
        answer = await act(web, packet_id, "decline", {"agent_id": "b"})
        assert (answer.status, answer.json()["code"]) == (409, "stale_claim")
        answer = await act(web, packet_id, "decline", {"agent_id": "a"})
        assert answer.json()["status"] == "created"
        again = await act(web, packet_id, "decline", {"agent_id": "a"})
        assert again.json() == answer.json()

    loop.run(run())
