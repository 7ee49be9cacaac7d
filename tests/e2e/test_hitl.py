"""Human checkpoints: who may answer, what counts, what is bound, and what happens without an answer."""

import asyncio
import hashlib
import json
import time
import uuid

import pytest
from agent import command_pb2, gather
from config import new_key, put_key
from packets import PACKETS, body, claim
from web import Web

ASKED = {"required": True, "reason": "ship it?"}


@pytest.fixture(scope="module")
def people(loop, rail, admin):
    """name -> a client with a key of that id; boss and lead are of the group leads."""
    clients = {}

    async def make():
        for name in ("ann", "bob", "cid", "boss", "lead", "bot"):
            key = new_key()
            groups = ["leads"] if name in ("boss", "lead") else []
            await put_key(admin, key, name, groups=groups, role="writer")
            clients[name] = Web(rail.url, {"X-API-Key": key})
        for client in clients.values():
            async with asyncio.timeout(5):
                while (await client.get(PACKETS)).status != 200:
                    await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)  # the hitl worker reads the bucket as well

    loop.run(make())
    yield clients
    for client in clients.values():
        client.close()


def approving(hitl):
    """Names the answers that approve, where the checkpoint must and does not."""
    if {"subject", "approvers", "quorum"} & set(hitl) and "approve_options" not in hitl:
        return {**hitl, "approve_options": [hitl.get("options", ["approve"])[0]]}
    return hitl


async def ask(web, **hitl):
    answer = await web.post(PACKETS, body(hitl=approving({**ASKED, **hitl})))
    assert answer.status == 201, answer
    assert answer.json()["status"] == "awaiting_human"
    return answer.json()["id"]


async def respond(web, packet_id, response="yes", by="someone", **parts):
    content = {"response": response, "responded_by": by, **parts}
    return await web.post(f"{PACKETS}/{packet_id}/respond", content)


async def get(web, packet_id):
    return (await web.get(f"{PACKETS}/{packet_id}")).json()


async def history(web, packet_id):
    await get(web, packet_id)
    answer = await web.get(f"{PACKETS}/{packet_id}/history")
    return answer.json()["events"]


async def until(web, packet_id, condition, seconds=6):
    deadline = time.monotonic() + seconds
    while True:
        packet = await get(web, packet_id)
        if condition(packet):
            return packet
        assert time.monotonic() < deadline, packet
        await asyncio.sleep(0.02)


def code(answer):
    return answer.status, answer.json()["code"]


# --- one answer ----------------------------------------------------------------------------------


def test_an_answer_reserves_the_packet_for_its_agent(loop, web):
    async def run():
        packet_id = await ask(web)
        answer = await web.post(f"{PACKETS}/{packet_id}/claim", claim("coder"))
        assert code(answer) == (409, "awaiting_human")
        answer = await respond(web, packet_id, "yes", "ann", notes="fine")
        packet = answer.json()
        assert packet["status"] == "claimed" and packet["claim"]["reserved"] is True
        assert packet["claim"]["holder"]["id"] == "coder"
        hitl = packet["hitl"]
        assert (hitl["response"], hitl["responded_by"], hitl["notes"]) == ("yes", "ann", "fine")
        assert hitl["votes"][0]["key_id"] == "bootstrap" and hitl["responded_at"]
        answer = await web.post(f"{PACKETS}/{packet_id}/claim", claim("other"))
        assert code(answer) == (409, "already_claimed")
        first = await web.post(f"{PACKETS}/{packet_id}/claim", claim("coder", lease_seconds=60))
        assert first.status == 200 and first.json()["claim"]["reserved"] is False
        assert first.json()["claim"]["generation"] == int(first.headers["x-hr-seq"])
        again = await web.post(f"{PACKETS}/{packet_id}/claim", claim("coder"))
        assert again.status == 200 and again.json() == first.json()
        answer = await respond(web, packet_id)
        assert answer.status == 409
        assert answer.json()["detail"] == (
            "Packet is in 'claimed' status, not 'awaiting_human'. Cannot respond."
        )
        found = await history(web, packet_id)
        assert [e["event_type"] for e in found] == ["created", "hitl_responded", "claimed"]
        assert found[1]["actor"] == "human:ann" and found[1]["key_id"] == "bootstrap"
        assert found[1]["details"] == {
            "response": "yes", "notes": "fine", "transition_to": "claimed",
        }

    loop.run(run())


def test_the_same_over_nats(loop, web, agent):
    async def run():
        packet_id = await ask(web)
        request = command_pb2.RespondPacket(
            packet_id=packet_id, response="yes", responded_by="ann"
        )
        answer = await agent.protobuf("packet.respond", request)
        assert answer.status == 200 and answer.message().hitl.votes[0].key_id == "agent"
        answer = await agent.json("packet.respond", {"packet_id": packet_id, "response": "no",
                                                     "responded_by": "ann"})
        assert code(answer) == (409, "not_awaiting_human")

    loop.run(run())


def test_only_an_option_is_an_answer(loop, web):
    async def run():
        packet_id = await ask(web, options=["go", "stop"])
        answer = await respond(web, packet_id, "maybe")
        assert answer.status == 422
        assert answer.json()["detail"][0]["loc"] == ["body", "response"]
        assert "'go', 'stop'" in answer.json()["detail"][0]["msg"]
        assert (await respond(web, packet_id, "stop")).status == 200
        packet_id = await ask(web, options=["go", "stop"], free_form=True)
        assert (await respond(web, packet_id, "maybe")).status == 200
        packet_id = await ask(web, options=[])
        assert (await respond(web, packet_id, "")).status == 200

    loop.run(run())


def test_a_packet_without_a_checkpoint_cannot_be_answered(loop, web):
    async def run():
        packet_id = (await web.post(PACKETS, body())).json()["id"]
        answer = await web.request(
            "PATCH", f"{PACKETS}/{packet_id}", {"status": "awaiting_human"}
        )
        assert answer.status == 200
        assert code(await respond(web, packet_id)) == (400, "no_checkpoint")
        nowhere = str(uuid.uuid4())
        assert (await respond(web, nowhere)).status == 404

    loop.run(run())


def test_an_answer_cannot_be_made_up(loop, web):
    async def run():
        forged = {"response": "yes", "responded_by": "boss", "responded_at": "2026-01-01",
                  "votes": [{"response": "yes"}], "subject_digest": "00", "timed_out": True}
        content = body(hitl={"required": False, "reason": "r", **forged})
        packet = (await web.post(PACKETS, content)).json()
        assert packet["hitl"]["response"] is None and packet["hitl"]["responded_by"] is None
        assert not set(forged) & set(packet["hitl"]) - {"response", "responded_by", "responded_at"}
        answer = await web.request(
            "PATCH", f"{PACKETS}/{packet['id']}", {"hitl": {"reason": "r", **forged}}
        )
        assert answer.json()["hitl"]["response"] is None

    loop.run(run())


# --- votes ---------------------------------------------------------------------------------------


def test_so_many_of_the_approvers_must_say_the_same(loop, people):
    async def run():
        bot = people["bot"]
        packet_id = await ask(
            bot, options=["approve", "reject"], approvers=["ann", "bob", "group:leads", "bot"],
            quorum=2,
        )
        assert code(await respond(people["cid"], packet_id, "approve")) == (403, "not_approver")
        assert code(await respond(bot, packet_id, "approve")) == (403, "not_approver")
        answer = await respond(people["ann"], packet_id, "approve", "Ann")
        assert answer.status == 200 and answer.json()["status"] == "awaiting_human"
        assert answer.json()["hitl"]["response"] is None
        assert code(await respond(people["ann"], packet_id, "approve")) == (409, "already_voted")
        answer = await respond(people["boss"], packet_id, "approve", "Boss")
        assert answer.json()["status"] == "claimed"
        assert [v["key_id"] for v in answer.json()["hitl"]["votes"]] == ["ann", "boss"]
        found = await history(bot, packet_id)
        assert [e["event_type"] for e in found] == ["created", "hitl_voted", "hitl_responded"]
        assert found[1]["details"]["votes"] == 1 and found[1]["details"]["quorum"] == 2

    loop.run(run())


def test_who_asks_is_not_waited_for(loop, people):
    async def run():
        bot = people["bot"]
        rule = {"options": ["approve", "reject"], "quorum": 2, "on_reject": "majority"}
        unmet = approving({**ASKED, "approvers": ["ann", "bot"], **rule})
        answer = await bot.post(PACKETS, body(hitl=unmet))
        assert answer.status == 422 and answer.json()["detail"][0]["loc"] == ["body", "hitl"]
        assert "quorum cannot be met" in answer.json()["detail"][0]["msg"]
        path = f"{PACKETS}/{(await bot.post(PACKETS, body())).json()['id']}"
        change = {"status": "awaiting_human", "hitl": unmet}
        assert (await bot.request("PATCH", path, change)).status == 422
        assert (await bot.get(path)).json()["status"] == "created"
        assert (await people["cid"].request("PATCH", path, change)).status == 200
        packet_id = await ask(bot, approvers=["ann", "bob", "bot"], **rule)
        answer = await respond(people["ann"], packet_id, "reject")
        assert answer.json()["hitl"]["response"] == "reject", "two can not be for it any more"

    loop.run(run())


def test_one_rejection_is_enough_unless_a_majority_is_asked_for(loop, people):
    async def run():
        bot = people["bot"]
        rule = {"options": ["approve", "reject"], "approvers": ["ann", "bob", "cid"], "quorum": 2}
        packet_id = await ask(bot, **rule)
        answer = await respond(people["ann"], packet_id, "reject")
        assert answer.json()["status"] == "claimed"
        assert answer.json()["hitl"]["response"] == "reject"
        packet_id = await ask(bot, on_reject="majority", **rule)
        answer = await respond(people["ann"], packet_id, "reject")
        assert answer.json()["status"] == "awaiting_human"
        answer = await respond(people["bob"], packet_id, "reject")
        assert answer.json()["hitl"]["response"] == "reject"
        packet_id = await ask(bot, on_reject="majority", **rule)
        await respond(people["ann"], packet_id, "reject")
        await respond(people["bob"], packet_id, "approve")
        answer = await respond(people["cid"], packet_id, "approve")
        assert answer.json()["hitl"]["response"] == "approve"
        named = {"approvers": ["ann", "bob"], "quorum": 2, "options": ["ja", "nein"],
                 "rejections": ["nein"]}
        packet_id = await ask(bot, **named)
        answer = await respond(people["ann"], packet_id, "nein")
        assert answer.json()["hitl"]["response"] == "nein"

    loop.run(run())


def test_votes_at_once_are_all_counted(loop, people):
    async def run():
        names = ["ann", "bob", "cid", "boss", "lead"]
        for _ in range(10):
            packet_id = await ask(people["bot"], approvers=names, quorum=5)
            answers = await gather(*(respond(people[n], packet_id, "approve", n) for n in names))
            assert all(answer.status == 200 for answer in answers)
            packet = await get(people["bot"], packet_id)
            assert packet["status"] == "claimed"
            assert sorted(v["key_id"] for v in packet["hitl"]["votes"]) == sorted(names)

    loop.run(run())


# --- what was approved ---------------------------------------------------------------------------

SUBJECT = '{"transfer": {"amount": 100.00, "to": "DE00"}}'


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_an_approval_is_bound_to_its_subject(loop, people):
    async def run():
        bot = people["bot"]
        content = json.dumps(body(hitl=approving({**ASKED, "subject": "@"}))).replace('"@"', SUBJECT)
        packet = (await bot.post(PACKETS, content.encode())).json()
        path = f"{PACKETS}/{packet['id']}"
        assert packet["hitl"]["subject_digest"] == digest(SUBJECT)
        other = {"hitl": approving({**ASKED, "subject": {"transfer": {"amount": 1000000}}})}
        answer = await bot.request("PATCH", path, other)
        assert code(answer) == (409, "checkpoint_open")
        assert (await respond(people["ann"], packet["id"], "approve")).status == 200
        answer = await bot.request("PATCH", path, other)
        assert code(answer) == (409, "checkpoint_open")
        wrong = {"subject_digest": digest("{}")}
        answer = await bot.post(f"{path}/claim", claim("coder", **wrong))
        assert code(answer) == (409, "subject_mismatch")
        answer = await bot.post(f"{path}/claim", claim("coder", subject_digest=digest(SUBJECT)))
        assert answer.status == 200
        answer = await bot.request("PATCH", path, {"status": "completed", **wrong})
        assert code(answer) == (409, "subject_mismatch")
        right = {"status": "completed", "subject_digest": digest(SUBJECT)}
        assert (await bot.request("PATCH", path, right)).status == 200

    loop.run(run())


def test_a_digest_is_worth_nothing_without_an_approval(loop, people):
    async def run():
        bot = people["bot"]

        async def check_refused(packet):
            path = f"{PACKETS}/{packet['id']}"
            named = {"subject_digest": packet["hitl"]["subject_digest"]}
            answer = await bot.post(f"{path}/claim", claim("coder", **named))
            assert code(answer) == (409, "subject_mismatch")
            assert "was not approved" in answer.json()["detail"]
            assert (await bot.post(f"{path}/claim", claim("coder"))).status == 200
            answer = await bot.request("PATCH", path, {"status": "completed", **named})
            assert code(answer) == (409, "subject_mismatch")

        rejected = await ask(bot, options=["approve", "reject"], subject={"amount": 100})
        await respond(people["ann"], rejected, "reject")
        await check_refused(await get(bot, rejected))
        for on_timeout in ("release", "answer:approve"):
            late = await ask(
                bot, options=["approve"], subject=1, timeout_seconds=1, on_timeout=on_timeout
            )
            packet = await until(bot, late, lambda p: p["status"] != "awaiting_human")
            await check_refused(packet)

    loop.run(run())


@pytest.mark.parametrize(
    "options, answer, approved",
    [(["approve", "reject"], "reject", False), (["Ja", "Nein"], "Nein", False),
     (["approve", "cancel"], "cancel", False), (["ship", "no ship"], "no ship", False),
     (["\u2705", "\u274c Reject"], "\u274c Reject", False), (["Ja", "Nein"], "Ja", True),
     (["no", "yes"], "no", True)],
)
def test_only_an_approve_option_approves(loop, people, options, answer, approved):
    async def run():
        bot = people["bot"]
        packet_id = await ask(bot, options=options, subject={"amount": 100})
        assert (await respond(people["ann"], packet_id, answer)).status == 200
        named = {"subject_digest": (await get(bot, packet_id))["hitl"]["subject_digest"]}
        claimed = await bot.post(f"{PACKETS}/{packet_id}/claim", claim("coder", **named))
        assert (claimed.status == 200) is approved, claimed

    loop.run(run())


def test_an_approver_may_edit_the_subject(loop, people):
    async def run():
        bot = people["bot"]
        packet_id = await ask(bot, subject={"amount": 100})
        answer = await respond(people["ann"], packet_id, "approve", subject={"amount": 50})
        hitl = answer.json()["hitl"]
        assert hitl["subject"] == {"amount": 100} and hitl["approved_subject"] == {"amount": 50}
        path = f"{PACKETS}/{packet_id}"
        before = digest('{"amount": 100}')
        answer = await bot.post(f"{path}/claim", claim("coder", subject_digest=before))
        assert code(answer) == (409, "subject_mismatch")
        after = {"subject_digest": hitl["subject_digest"]}
        assert (await bot.post(f"{path}/claim", claim("coder", **after))).status == 200
        found = (await history(bot, packet_id))[1]["details"]
        assert found["subject"] == {"amount": 100} and found["edited_subject"] == {"amount": 50}
        packet_id = await ask(bot)
        answer = await respond(people["ann"], packet_id, "approve", subject={"amount": 50})
        assert answer.status == 422

    loop.run(run())


def test_asking_again_begins_anew(loop, people):
    async def run():
        bot = people["bot"]
        packet_id = await ask(bot, approvers=["ann"], subject=1)
        await respond(people["ann"], packet_id, "approve")
        path = f"{PACKETS}/{packet_id}"
        answer = await bot.request(
            "PATCH", path, {"status": "awaiting_human",
                            "hitl": approving({**ASKED, "approvers": ["bob"], "subject": 2})}
        )
        packet = answer.json()
        assert packet["status"] == "awaiting_human" and "votes" not in packet["hitl"]
        assert packet["hitl"]["response"] is None
        assert packet["hitl"]["subject_digest"] == digest("2")
        assert code(await respond(people["ann"], packet_id)) == (403, "not_approver")
        assert (await respond(people["bob"], packet_id)).status == 200

    loop.run(run())


# --- no answer -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy, status",
    [(None, "expired"), ("expire", "expired"), ("fail", "failed"), ("release", "created"),
     ("answer:go", "claimed")],
)
def test_time_runs_out(loop, web, policy, status):
    async def run():
        hitl = {"timeout_seconds": 1, "options": ["go", "stop"]}
        packet_id = await ask(web, **hitl, **({"on_timeout": policy} if policy else {}))
        packet = await until(web, packet_id, lambda p: p["status"] != "awaiting_human")
        assert packet["status"] == status
        hitl = packet["hitl"]
        assert hitl["timed_out"] is True and hitl["responded_by"] is None and "votes" not in hitl
        assert hitl["response"] == ("go" if status == "claimed" else None)
        found = await history(web, packet_id)
        assert [e["event_type"] for e in found] == ["created", "hitl_timed_out"]
        assert found[1]["actor"] == "system:hitl_timeout"
        assert found[1]["details"] == {
            "on_timeout": policy or "expire", "transition_to": status
        }
        answer = await respond(web, packet_id, "go")
        assert code(answer) == (409, "not_awaiting_human")

    loop.run(run())


def test_the_ladder_the_warning_and_the_end_come_in_order(loop, people):
    async def run():
        bot = people["bot"]
        packet_id = await ask(
            bot, approvers=["ann"], timeout_seconds=4, warn_before_seconds=1,
            escalation=[{"after_seconds": 1, "to": "bob", "note": "hurry"},
                        {"after_seconds": 2, "to": "group:leads"}],
            on_timeout="escalate_to:cid",
        )
        assert code(await respond(people["bob"], packet_id)) == (403, "not_approver")
        packet = await until(bot, packet_id, lambda p: p["hitl"].get("timed_out"))
        assert packet["status"] == "awaiting_human"
        assert packet["hitl"]["escalated_to"] == ["bob", "group:leads", "cid"]
        found = await history(bot, packet_id)
        assert [e["event_type"] for e in found] == [
            "created", "hitl_escalated", "hitl_escalated", "hitl_warning", "hitl_timed_out"
        ]
        assert found[1]["details"] == {
            "step": 1, "after_seconds": 1, "to": "bob", "note": "hurry"
        }
        assert (await respond(people["cid"], packet_id, "late")).json()["status"] == "claimed"
        packet_id = await ask(bot, approvers=["ann"], timeout_seconds=1,
                              on_timeout="escalate_to:cid")
        packet = await until(bot, packet_id, lambda p: p["status"] != "awaiting_human")
        assert packet["status"] == "expired"

    loop.run(run())


@pytest.mark.parametrize("seconds", [0, -30, 2**53, 31536001])
def test_a_time_out_has_a_range(loop, web, agent, seconds):
    async def run():
        content = body(hitl={**ASKED, "timeout_seconds": seconds})
        for answer in (await web.post(PACKETS, content), await agent.json("packet.create", content)):
            assert answer.status == 422
            [issue] = answer.json()["detail"]
            assert issue["loc"] == ["body", "hitl", "timeout_seconds"]
            assert issue["msg"].startswith("Input should be "), issue

    loop.run(run())


def test_an_answer_stops_the_clock(loop, web):
    async def run():
        packet_id = await ask(web, timeout_seconds=1)
        await respond(web, packet_id)
        await asyncio.sleep(1.5)
        assert (await get(web, packet_id))["status"] == "claimed"

    loop.run(run())


@pytest.mark.parametrize(
    "hitl, word",
    [
        ({"on_timeout": "explode", "timeout_seconds": 1}, "on_timeout"),
        ({"on_timeout": "answer:", "timeout_seconds": 1}, "on_timeout"),
        ({"on_timeout": "expire:x", "timeout_seconds": 1}, "on_timeout"),
        ({"on_timeout": "answer:no", "options": ["yes"], "timeout_seconds": 1}, "options"),
        ({"on_timeout": "fail"}, "timeout_seconds"),
        ({"warn_before_seconds": 5}, "timeout_seconds"),
        ({"warn_before_seconds": 5, "timeout_seconds": 5}, "warn_before"),
        ({"escalation": [{"after_seconds": 2, "to": "a"}, {"after_seconds": 2, "to": "b"}]},
         "rise"),
        ({"escalation": [{"after_seconds": 2, "to": "a"}], "timeout_seconds": 2}, "before"),
        ({"escalation": [{"after_seconds": 2, "to": ""}]}, "escalate"),
        ({"approvers": ["a", "b"], "quorum": 3}, "quorum"),
        ({"approvers": ["a", "a"]}, "twice"),
        ({"approvers": [""]}, "approver"),
        ({"rejections": ["no"], "options": ["yes"]}, "rejections"),
        ({"subject": 1}, "approve_options"),
        ({"escalation": [{"after_seconds": 3, "to": "a"}, {"after_seconds": 1, "to": "b"}]},
         "rise"),
        ({"approvers": ["a"]}, "approve_options"),
        ({"quorum": 1}, "approve_options"),
        ({"approve_options": ["no"], "options": ["yes"]}, "approve_options"),
        ({"approve_options": ["no"], "rejections": ["no"]}, "rejections"),
    ],
)
def test_refuses_checkpoints_that_make_no_sense(loop, web, agent, hitl, word):
    async def run():
        content = body(hitl={**ASKED, **hitl})
        answer = await web.post(PACKETS, content)
        assert answer.status == 422 and word in answer.json()["detail"][0]["msg"], answer
        assert answer.json()["detail"][0]["loc"] == ["body", "hitl"]
        answer = await agent.json("packet.create", content)
        assert answer.status == 422

    loop.run(run())
