"""Running `handoffrail audit verify`, and the seal of a row once more, from its description alone."""

import base64
import datetime
import hashlib
import hmac
import json
import struct
import subprocess
import uuid

from rail import BIN


def verify(*args, stdin=None):
    """(exit status, its JSON or None, standard error)"""
    done = subprocess.run(
        [BIN / "handoffrail", "audit", "verify", "--json", *map(str, args)],
        input=stdin, capture_output=True, timeout=120,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr.decode()


def found(*args, stdin=None):
    """What is wrong, as {(tenant, result, seq)}; the empty set when nothing is."""
    status, answer, errors = verify(*args, stdin=stdin)
    assert answer is not None, errors
    assert status == (0 if answer["ok"] else 1), errors
    return {(one["tenant"], one["result"], one["seq"]) for one in answer["tampered"]}


def read_keys(path):
    lines = (line.split() for line in path.read_text().splitlines())
    return {int(number): key.encode() for number, key in lines}


def micros(text):
    moment = datetime.datetime.fromisoformat(text)
    return round((moment - datetime.datetime.fromtimestamp(0, datetime.UTC)).total_seconds() * 1e6)


def row_mac(row, previous, keys):
    """Of a row as an export has it: see broker/seal/seal.h."""
    content = b"hr.audit.row.1" + struct.pack(
        ">7q", row["epoch"], row["shard"], row["seq"], row["part"], row["number"],
        micros(row["at"]), row["mac_key"],
    )
    content += uuid.UUID(row["event_id"]).bytes + uuid.UUID(row["packet_id"]).bytes
    for name in ("tenant", "type", "actor", "key_id", "details"):
        text = row[name].encode()
        content += struct.pack(">Q", len(text)) + text
    record = base64.b64decode(row["record"], validate=True)
    content += struct.pack(">Q", len(record)) + record
    return hmac.digest(keys[row["mac_key"]], content + previous, hashlib.sha256)
