"""Bodies of requests, and the one short way to Postgres."""

import pathlib

import psycopg

PACKETS = "/api/v1/packets"
WORKERS = ("packet", "claim", "chain", "hitl", "expiry", "webhook", "audit", "query", "schema")


def body(summary="do it", **parts):
    """A packet as small as the contract allows, with parts replaced or added."""
    return {
        "metadata": {
            "source_agent": {"id": "planner", "name": "Planner"},
            "target_agent": {"id": "coder", "name": "Coder"},
        },
        "context": {"summary": summary},
        **parts,
    }


def claim(agent="coder", **parts):
    return {"agent_id": agent, "agent_name": agent.title(), **parts}


def postgres(rail):
    """A connection to the rail's own Postgres, as its workers have it."""
    environ = pathlib.Path(f"/proc/{rail.pids['hr-worker-audit-1']}/environ").read_bytes()
    for item in environ.decode().split("\0"):
        name, _, value = item.partition("=")
        if name == "HR_POSTGRES_URL":
            return psycopg.connect(value, autocommit=True)
    raise KeyError("HR_POSTGRES_URL")
