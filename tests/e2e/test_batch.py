"""Many changes in one request: each alone, in order, and cheap."""

import json
import statistics
import time
import uuid

import pytest
from agent import batch_pb2
from packets import PACKETS, body, claim

BATCH = PACKETS + "/batch"
NOWHERE = "11111111-1111-4111-8111-111111111111"


async def post(web, path, content, status=200, headers=None):
    answer = await web.post(BATCH + path, content, headers)
    assert answer.status == status, answer
    return answer.json()


async def make(web, count, **parts):
    answer = await post(web, "", {"packets": [body(f"n{i}", **parts) for i in range(count)]}, 201)
    assert answer["errors"] == []
    return [packet["id"] for packet in answer["created"]]


def test_creates_what_is_good_and_names_what_is_not(loop, web, agent):
    async def run():
        bad = body()
        del bad["context"]["summary"]
        packets = [body("a"), {}, bad, {**body("b"), "hitl": {"reason": ""}}, body("c")]
        answer = await post(web, "", {"packets": packets}, 201)
        assert [p["context"]["summary"] for p in answer["created"]] == ["a", "c"]
        assert [error["index"] for error in answer["errors"]] == [1, 2, 3]
        assert "metadata" in answer["errors"][0]["error"]
        assert "summary" in answer["errors"][1]["error"]
        assert "reason" in answer["errors"][2]["error"]
        assert all(set(error) == {"index", "error"} for error in answer["errors"])
        answer = await post(web, "", {"packets": [{}]}, 201)
        assert answer["created"] == [] and len(answer["errors"]) == 1
        # Listed at once: the answer's sequence is the last of them.
        found = (await web.get(f"{PACKETS}?limit=2")).json()["packets"]
        assert {p["context"]["summary"] for p in found} == {"a", "c"}
        reply = await agent.json("packet.batch-create", {"packets": packets})
        assert len(reply.json()["created"]) == 2 and reply.seq > 0
        message = batch_pb2.BatchCreate()
        message.packets.add().text = json.dumps(body("p")).encode()
        message.packets.add().text = b"[1]"
        reply = await agent.protobuf("packet.batch-create", message)
        assert reply.status == 422

    loop.run(run())


def test_a_repeat_makes_nothing_twice(loop, web):
    async def run():
        key = {"Idempotency-Key": uuid.uuid4().hex}
        content = {"packets": [body("x"), {}, body("y")]}
        first = await post(web, "", content, 201, key)
        again = await post(web, "", content, 201, key)
        assert first == again
        claims = {"packet_ids": [p["id"] for p in first["created"]], **claim("a")}
        key = {"Idempotency-Key": uuid.uuid4().hex}
        first = await post(web, "/claim", claims, 200, key)
        assert len(first["claimed"]) == 2
        assert await post(web, "/claim", claims, 200, key) == first

    loop.run(run())


def test_claims_in_order(loop, web, agent):
    async def run():
        ids = await make(web, 5)
        await web.post(f"{PACKETS}/{ids[1]}/claim", claim("other"))
        await web.request("DELETE", f"{PACKETS}/{ids[2]}")
        await web.post(f"{PACKETS}/{ids[3]}/claim", claim("other"))
        await web.request("PATCH", f"{PACKETS}/{ids[3]}", {"status": "completed"})
        wanted = [ids[4], ids[0], ids[1], ids[2], ids[3], NOWHERE, ids[0]]
        answer = await post(web, "/claim", {"packet_ids": wanted, **claim("a", lease_seconds=60)})
        assert [p["id"] for p in answer["claimed"]] == [ids[4], ids[0]]
        assert all(p["claim"]["lease_seconds"] == 60 for p in answer["claimed"])
        assert answer["errors"] == [
            {"packet_id": ids[1], "error": "Already claimed by other"},
            {"packet_id": ids[2], "error": f"Packet {ids[2]} has expired"},
            {"packet_id": ids[3], "error": "Cannot claim from status 'completed'"},
            {"packet_id": NOWHERE, "error": f"Packet {NOWHERE} not found"},
            {"packet_id": ids[0], "error": "Already claimed by a"},
        ]
        [asked] = await make(web, 1, hitl={"reason": "r"})
        reply = await agent.json("packet.batch-claim", {"packet_ids": [asked.upper()], **claim("a")})
        assert reply.json()["errors"] == [
            {"packet_id": asked, "error": "Cannot claim from status 'awaiting_human'"}
        ]

    loop.run(run())


def test_completes_what_is_in_hand(loop, web, agent):
    async def run():
        ids = await make(web, 3)
        for packet_id in ids[:2]:
            await web.post(f"{PACKETS}/{packet_id}/claim", claim("a"))
        await web.request("PATCH", f"{PACKETS}/{ids[1]}", {"status": "in_progress"})
        answer = await post(web, "/complete", {"packet_ids": [*ids, ids[0]]})
        assert [p["id"] for p in answer["completed"]] == ids[:2]
        assert answer["completed"][0]["metadata"]["completed_at"]
        assert answer["errors"] == [
            {"packet_id": ids[2], "error": "Cannot complete from status 'created'"},
            {"packet_id": ids[0], "error": "Cannot complete from status 'completed'"},
        ]
        events = (await web.get(f"{PACKETS}/{ids[1]}/history")).json()["events"]
        assert events[-1]["actor"] == "system:batch_complete"
        assert events[-1]["details"] == {"from_status": "in_progress"}
        reply = await agent.json("packet.batch-complete", {"packet_ids": [NOWHERE]})
        assert reply.json()["errors"][0]["error"] == f"Packet {NOWHERE} not found"

    loop.run(run())


def test_answers_many_checkpoints(loop, web, agent):
    async def run():
        ids = await make(web, 3, hitl={"reason": "r", "options": ["yes", "no"]})
        answers = [{"packet_id": ids[0], "response": "yes", "responded_by": "ann"},
                   {"packet_id": ids[1], "response": "maybe", "responded_by": "ann"},
                   {"packet_id": ids[2], "response": "no", "responded_by": "ann", "notes": "n"}]
        answer = await post(web, "/respond", {"responses": answers})
        assert [p["hitl"]["response"] for p in answer["responded"]] == ["yes", "no"]
        assert answer["errors"][0]["packet_id"] == ids[1] and "yes" in answer["errors"][0]["error"]
        reply = await agent.json("packet.batch-respond", {"responses": answers[:1]})
        assert "Cannot respond" in reply.json()["errors"][0]["error"]
        await post(web, "/respond", {"responses": [{"response": "a", "responded_by": "b"}]}, 422)

    loop.run(run())


@pytest.mark.parametrize(
    "path, content, status",
    [
        ("", {"packets": []}, 422), ("", {"packets": [body()] * 51}, 400), ("", {}, 422),
        ("", {"packets": [1]}, 422), ("", {"packets": {}}, 422), ("", {"packets": None}, 422),
        ("/claim", {"packet_ids": [], **claim()}, 422),
        ("/claim", {"packet_ids": [NOWHERE] * 51, **claim()}, 422),
        ("/claim", {"packet_ids": ["x"], **claim()}, 422),
        ("/claim", {"packet_ids": [NOWHERE]}, 422),
        ("/complete", {"packet_ids": []}, 422), ("/complete", {"packet_ids": [7]}, 422),
        ("/respond", {"responses": []}, 422), ("/respond", {"responses": [{}]}, 422),
    ],
)
def test_refuses_nonsense(loop, web, path, content, status):
    async def run():
        answer = await web.post(BATCH + path, content)
        assert answer.status == status, answer
        if status == 400:
            assert answer.json()["detail"] == "Batch size exceeds maximum of 50"

    loop.run(run())


@pytest.mark.measures
def test_a_batch_takes_well_under_half_the_time_of_its_parts(loop, web):
    async def run():
        async def one_by_one():
            for _ in range(50):
                assert (await web.post(PACKETS, body())).status == 201

        async def at_once():
            await make(web, 50)

        async def median(job):
            times = []
            for _ in range(7):
                started = time.perf_counter()
                await job()
                times.append(time.perf_counter() - started)
            return statistics.median(times)

        parts, batch = await median(one_by_one), await median(at_once)
        print(f"50 packets: one by one {parts * 1000:.1f} ms, in a batch {batch * 1000:.1f} ms")
        assert batch < 0.4 * parts

    loop.run(run())
