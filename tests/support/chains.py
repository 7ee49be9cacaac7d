"""Bodies of follow-up packets, and what is expected of what they hold."""

import hashlib

from packets import PACKETS, body


def said(*texts, role="agent"):
    return [{"role": role, "content": text} for text in texts]


def link(source="coder", target="tester", **parts):
    """The body of a chain, as small as the contract allows, with parts replaced or added."""
    whole = body(**parts)
    whole["metadata"] = {
        "source_agent": {"id": source, "name": source.title()},
        "target_agent": {"id": target, "name": target.title()},
        **parts.get("metadata", {}),
    }
    return whole


def root(client, source="planner", target="coder", **parts):
    answer = client.post(PACKETS, json=link(source, target, **parts))
    assert answer.status_code == 201, answer.text
    return answer.json()


def chain(client, parent, source="coder", target="tester", headers=None, **parts):
    """The answer to a chain from parent, a packet or an id."""
    packet_id = parent if isinstance(parent, str) else parent["id"]
    return client.post(
        f"{PACKETS}/{packet_id}/chain", json=link(source, target, **parts), headers=headers
    )


def follow(client, parent, *args, **parts):
    answer = chain(client, parent, *args, **parts)
    assert answer.status_code == 201, answer.text
    return answer.json()


def get(client, packet):
    answer = client.get(f"{PACKETS}/{packet['id']}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def talk(packet):
    return [entry["content"] for entry in packet["context"]["conversation_state"]]


def ids(items, name="id"):
    return [item[name] for item in items]


def sha256(data):
    return hashlib.sha256(data).hexdigest()
