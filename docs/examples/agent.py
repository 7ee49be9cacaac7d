"""The same as agent.c, with nothing but a generic NATS client and JSON.

    pip install nats-py
    python agent.py nats://agent:PASSWORD@127.0.0.1:4222 default agent
"""

import asyncio
import json
import sys

import nats


async def main(url: str, tenant: str, key: str) -> None:
    # Answers are sent to the inbox of the key and to nowhere else.
    client = await nats.connect(url, inbox_prefix=f"_INBOX.{key}".encode())

    async def command(verb: str, body: dict) -> dict:
        reply = await client.request(
            f"hr.v1.cmd.{tenant}.{key}.packet.{verb}",
            json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            timeout=5,
        )
        answer = json.loads(reply.data)
        if reply.headers and "Nats-Service-Error-Code" in reply.headers:
            sys.exit(f"{verb}: {answer['code']}: {answer['detail']}")
        print(f"{verb:8} {answer['id']} {answer['status']}")
        return answer

    packet = await command("create", {
        "metadata": {
            "source_agent": {"id": "sales-01", "name": "SalesBot"},
            "target_agent": {"id": "billing-01", "name": "BillingBot"},
        },
        "context": {"summary": "Customer wants to upgrade to the business tier"},
    })
    await command("claim", {
        "packet_id": packet["id"], "agent_id": "billing-01", "agent_name": "BillingBot",
    })
    await command("update", {"packet_id": packet["id"], "status": "completed"})
    await client.close()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(f"Usage: {sys.argv[0]} NATS_URL TENANT KEY")
    asyncio.run(main(*sys.argv[1:]))
