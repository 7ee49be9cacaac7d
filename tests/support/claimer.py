"""One agent process that takes packets, works on each for a moment, and completes it.

    python claimer.py NATS_URL NAME CLAIMERS LEASE_SECONDS

Runs until it is killed. What it was told goes to standard output, one line each:
"took <packet id> <generation>", and then "completed <packet id> <generation>" or
"refused <packet id> <generation> <code>".
"""

import asyncio
import json
import random
import sys

import nats

JSON = {"Content-Type": "application/json"}


async def send(client, verb, content, headers=None):
    """(status, answer) of a command."""
    reply = await client.request(
        f"hr.v1.cmd.default.agent.packet.{verb}", json.dumps(content).encode(),
        timeout=30, headers={**JSON, **(headers or {})},
    )
    found = reply.headers or {}
    status = int(found.get("Nats-Service-Error-Code", found.get("HR-Status", "200")))
    return status, json.loads(reply.data) if reply.data else None


async def claimer(client, name, lease):
    while True:
        wish = {"agent_id": name, "agent_name": name, "scope": "any", "wait_seconds": 5,
                "lease_seconds": lease}
        try:
            status, packet = await send(client, "claim-next", wish)
        except (TimeoutError, nats.errors.Error):
            continue
        if status != 200:
            continue
        generation = packet["claim"]["generation"]
        print("took", packet["id"], generation, flush=True)
        await asyncio.sleep(random.uniform(0.1, 0.5))
        done = {"packet_id": packet["id"], "status": "completed"}
        try:
            status, answer = await send(client, "update", done, {"HR-Claim": str(generation)})
        except (TimeoutError, nats.errors.Error):
            continue
        if status == 200:
            print("completed", packet["id"], generation, flush=True)
        else:
            print("refused", packet["id"], generation, answer["code"], flush=True)


async def main(url, name, claimers, lease):
    client = await nats.connect(url, inbox_prefix=b"_INBOX.agent", max_reconnect_attempts=-1)
    await asyncio.gather(*(claimer(client, f"{name}-{i}", lease) for i in range(claimers)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
