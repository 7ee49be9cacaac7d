"""Many agents claim one packet at once, through every door: exactly one gets it."""

import asyncio
import collections
import json

import pytest
from agent import Agent, command_pb2, gather
from packets import PACKETS, body
from web import Web

ROUNDS = 200
CLIENTS = 64


@pytest.fixture
def rail(make_rail):
    return make_rail(None, "--scale", "claim=3").start()


class Claim:
    """One claimer's outcome."""

    def __init__(self, agent, status, seq, winner, message):
        self.agent = agent
        self.status = status
        self.seq = seq  # of the claim, if it was stored
        self.winner = winner  # who has the packet, as this claimer was told
        self.message = message


def claim_body(packet_id, agent):
    return {"packet_id": packet_id, "agent_id": agent, "agent_name": "Name of " + agent}


def outcome(agent, status, seq, answer):
    if status == 200:
        return Claim(agent, status, seq, answer["metadata"]["target_agent"]["id"], "")
    detail = answer["detail"]
    assert answer["code"] == "already_claimed"
    return Claim(agent, status, 0, detail["claimed_by"]["id"], detail["message"])


async def over_rest(web, packet_id, agent):
    answer = await web.post(f"{PACKETS}/{packet_id}/claim", claim_body(packet_id, agent))
    return outcome(agent, answer.status, answer.headers.get("x-hr-seq"), answer.json())


async def over_nats_in_json(nats, packet_id, agent):
    answer = await nats.json("packet.claim", claim_body(packet_id, agent))
    return outcome(agent, answer.status, answer.seq, answer.json())


async def over_nats_in_protobuf(nats, packet_id, agent):
    request = command_pb2.ClaimPacket(**claim_body(packet_id, agent))
    answer = await nats.protobuf("packet.claim", request)
    message = answer.message()
    if answer.status == 200:
        return Claim(agent, 200, answer.seq, message.metadata.target_agent.id, "")
    assert message.code == "already_claimed" and message.status == answer.status
    detail = json.loads(message.detail.text)
    return Claim(agent, answer.status, 0, detail["claimed_by"]["id"], detail["message"])


async def one_round(number, web, nats):
    created = await web.post(PACKETS, body(f"round {number}"))
    assert created.status == 201, created
    packet_id = created.json()["id"]
    doors = [
        (over_rest, web),
        (over_nats_in_json, nats),
        (over_rest, web),
        (over_nats_in_protobuf, nats),
    ]
    jobs = []
    for i in range(CLIENTS):
        # Another door goes first in every round.
        door, connection = doors[(i + number) % len(doors)]
        jobs.append(door(connection, packet_id, f"agent-{number}-{i}"))
    return packet_id, await gather(*jobs)


def test_exactly_one_claimer_wins(rail):
    doors_of_winners = collections.Counter()

    async def run():
        async with Web(rail.url, rail.headers) as web, Agent(rail) as nats:
            for number in range(ROUNDS):
                packet_id, claims = await one_round(number, web, nats)
                statuses = collections.Counter(claim.status for claim in claims)
                assert statuses == {200: 1, 409: CLIENTS - 1}, f"round {number}"
                won = next(claim for claim in claims if claim.status == 200)
                winner = won.agent
                assert {claim.winner for claim in claims} == {winner}
                assert {claim.message for claim in claims} == {
                    "",
                    f"Packet {packet_id} is already claimed",
                }
                doors_of_winners[(int(winner.rpartition("-")[2]) + number) % 4] += 1

                # The gateway did not see what was claimed beside it.
                seen = {"X-HR-Min-Seq": str(won.seq)}
                history = await web.get(f"{PACKETS}/{packet_id}/history?all=true", seen)
                rows = [(row["event_type"], row["actor"]) for row in history.json()["events"]]
                assert rows == [("created", "agent:planner"), ("claimed", f"agent:{winner}")]

                stored = (await web.get(f"{PACKETS}/{packet_id}")).json()
                assert stored["claim"]["holder"]["id"] == winner
                assert stored["status"] == "claimed"

    asyncio.run(run())
    assert sum(doors_of_winners.values()) == ROUNDS
    print(f"winners by door (rest, json, rest, protobuf): {sorted(doors_of_winners.items())}")
