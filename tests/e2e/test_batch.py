"""Many changes in one request: each alone, in order, and cheap."""

import asyncio
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


def test_a_key_is_for_one_batch(loop, web, agent):
    """The whole of it: no element of another batch is done under the same key."""

    async def refused(path, content, key):
        answer = await web.post(BATCH + path, content, key)
        assert (answer.status, answer.json()["code"]) == (422, "idempotency_key_reused"), answer

    async def run():
        packets = [{}, body("x"), body("y")]
        for other in [
            [{}, body("x"), body("z")], [{}, body("x")], [{}], [{}, body("x"), body("y"), body("z")],
            [{}, body("y"), body("x")], [body("v"), body("x"), body("y")],
        ]:
            key = {"Idempotency-Key": uuid.uuid4().hex}
            first = await post(web, "", {"packets": packets}, 201, key)
            await refused("", {"packets": other}, key)
            assert await post(web, "", {"packets": packets}, 201, key) == first
        ids = await make(web, 4)
        key = {"Idempotency-Key": uuid.uuid4().hex}
        claims = {"packet_ids": ids[:2], **claim("a")}
        first = await post(web, "/claim", claims, 200, key)
        for other in [ids[2:], ids[1::-1], ids[:1], ids[:3]]:
            await refused("/claim", {"packet_ids": other, **claim("a")}, key)
        await refused("/claim", {"packet_ids": ids[:2], **claim("b")}, key)
        await refused("/complete", {"packet_ids": ids[:2]}, key)
        reply = await agent.json("packet.batch-complete", {"packet_ids": ids[:2]}, key)
        assert reply.json()["code"] == "idempotency_key_reused"
        answer = await web.post(PACKETS + "/claim-next", claim("a"), key)
        assert answer.json()["code"] == "idempotency_key_reused"
        assert await post(web, "/claim", claims, 200, key) == first
        for packet_id in ids[2:]:
            assert (await web.get(f"{PACKETS}/{packet_id}")).json()["status"] == "created"
        failed = {"packets": [{}, {"context": {}}]}
        key = {"Idempotency-Key": uuid.uuid4().hex}
        first = await post(web, "", failed, 201, key)
        await refused("", {"packets": [body()]}, key)
        assert await post(web, "", failed, 201, key) == first

    loop.run(run())


def test_repeats_at_once_and_one_with_another_body(loop, web):
    async def run():
        for _ in range(10):
            key = {"Idempotency-Key": uuid.uuid4().hex}
            bodies = [{"packets": [body(name), body("same")]} for name in "aabb"]
            answers = await asyncio.gather(*(web.post(BATCH, content, key) for content in bodies))
            done = [answer.json() for answer in answers if answer.status == 201]
            assert [answer.status for answer in answers] in ([201, 201, 422, 422], [422, 422, 201, 201])
            assert done[0] == done[1] and len(done[0]["created"]) == 2

    loop.run(run())


def test_a_header_about_one_packet_is_refused(loop, web, agent):
    async def run():
        [packet_id] = await make(web, 1)
        taken = (await web.post(f"{PACKETS}/{packet_id}/claim", claim("a"))).json()
        generation = taken["claim"]["generation"]
        requests = [
            ("batch-create", "/batch", {"packets": [body()]}),
            ("batch-claim", "/batch/claim", {"packet_ids": [packet_id], **claim("a")}),
            ("batch-complete", "/batch/complete", {"packet_ids": [packet_id]}),
            ("batch-respond", "/batch/respond", {"responses": [
                {"packet_id": packet_id, "response": "yes", "responded_by": "ann"}]}),
            ("claim-next", "/claim-next", claim("nobody")),
        ]
        for verb, path, content in requests:
            for header in ["X-HR-Claim", "If-Match"]:
                answer = await web.post(PACKETS + path, content, {header: str(generation)})
                assert (answer.status, answer.json()["code"]) == (400, "invalid_header"), answer
            for header in ["HR-Claim", "HR-If-Match"]:
                reply = await agent.json("packet." + verb, content, {header: str(generation)})
                assert (reply.status, reply.json()["code"]) == (400, "invalid_header"), reply
        assert (await web.get(f"{PACKETS}/{packet_id}")).json() == taken

    loop.run(run())


def test_completes_under_each_packets_own_claim(loop, web, agent):
    async def run():
        ids = await make(web, 4)
        generations = []
        for packet_id in ids:
            answer = await web.post(f"{PACKETS}/{packet_id}/claim", claim("a"))
            generations.append(answer.json()["claim"]["generation"])
        # The second is somebody else's by now.
        await web.post(f"{PACKETS}/{ids[1]}/release", {"agent_id": "a"})
        await web.post(f"{PACKETS}/{ids[1]}/claim", claim("b"))
        held = [{"packet_id": packet_id.upper(), "generation": generation}
                for packet_id, generation in zip(ids, generations, strict=True)]
        content = {"packet_ids": ids[:3], "claims": held[:2]}
        answer = await post(web, "/complete", content)
        assert [p["id"] for p in answer["completed"]] == [ids[0], ids[2]]
        assert answer["errors"][0]["packet_id"] == ids[1]
        assert "is over" in answer["errors"][0]["error"]
        for wrong in [held[:1], [7], [{"packet_id": ids[3]}], [{**held[3], "generation": 0}],
                      [{"packet_id": NOWHERE, "generation": 1}], held[3]]:
            content = {"packet_ids": ids[3:], "claims": wrong}
            refused = await web.post(BATCH + "/complete", content)
            assert refused.status == 422 and refused.json()["detail"][0]["loc"][1] == "claims"
        message = batch_pb2.BatchComplete(packet_ids=ids[3:])
        message.claims.add(packet_id=ids[3], generation=generations[3])
        reply = await agent.protobuf("packet.batch-complete", message)
        assert [p.id for p in reply.message().completed] == ids[3:]

    loop.run(run())


def test_what_was_approved_binds_a_batch_as_well(loop, web):
    async def run():
        subject = {"pay": 5}
        [bound] = await make(web, 1, hitl={"reason": "r", "options": ["yes"], "subject": subject,
                                             "approve_options": ["yes"]})
        answered = await web.post(f"{PACKETS}/{bound}/respond", {"response": "yes", "responded_by": "a"})
        digest = answered.json()["hitl"]["subject_digest"]
        [other] = await make(web, 1)
        await web.post(f"{PACKETS}/{other}/claim", claim("coder"))
        for path, key, parts in [("/claim", "claimed", claim("coder")), ("/complete", "completed", {})]:
            content = {"packet_ids": [bound], "subject_digest": "0" * 64, **parts}
            answer = await post(web, path, content)
            assert answer[key] == [] and "approved" in answer["errors"][0]["error"]
            content = {"packet_ids": [bound, other], "subject_digest": digest, **parts}
            answer = await post(web, path, content)
            assert [p["id"] for p in answer[key]] == [bound]
            assert answer["errors"][0]["packet_id"] == other
        answer = await web.post(PACKETS + "/claim-next", {**claim("x"), "subject_digest": digest})
        assert answer.status == 422 and answer.json()["detail"][0]["loc"] == ["body", "subject_digest"]

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
