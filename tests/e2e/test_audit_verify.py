"""Every way to tamper with the log, in the database and in both forms of an export, is named."""

import csv
import io
import json
import shutil
import time

import httpx
import nats
import psycopg
import pytest
import seal
from packets import PACKETS, body, claim
from pg import Postgres
from rail import Rail, enterable_folder, wait_until

EXPORT = "/api/v1/audit/export"


def work(rail, packets):
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=30) as client:
        for i in range(packets):
            made = client.post(PACKETS, json=body(f"packet {i}")).json()
            client.post(f"{PACKETS}/{made['id']}/claim", json=claim())
            client.patch(f"{PACKETS}/{made['id']}", json={"status": "in_progress"})
        return {
            kind: client.get(EXPORT, params={"format": kind}).content for kind in ("ndjson", "csv")
        }


class Log:
    """A log over two epochs and two keys, at rest."""

    def __init__(self, server, folder):
        self.server = server
        self.keys = folder / "audit.keys"
        self.heads = folder / "audit.heads"
        self.exports = {}
        self.rows = []
        self.databases = 0

    def copy(self):
        """A database of its own, and a superuser's connection to it that no trigger stops."""
        self.databases += 1
        name = f"copy_{self.databases}"
        with self.server.connect() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE postgres")
        url = self.server.url.replace("/postgres?", f"/{name}?")
        connection = psycopg.connect(url, autocommit=True)
        connection.execute("SET session_replication_role = replica")
        return url, connection


@pytest.fixture(scope="module")
def log():
    with Postgres() as server:
        folder = enterable_folder() / "data"
        with Rail(folder, "--postgres-url", server.url) as rail:
            work(rail, 6)
        # The stream is lost: a new epoch. A new key.
        shutil.rmtree(folder / "nats" / "jetstream")
        with open(folder / "audit.keys", "a") as keys:
            keys.write("2 " + "k" * 43 + "\n")
        made = Log(server, folder)
        with Rail(folder, "--postgres-url", server.url) as rail:
            made.exports = work(rail, 6)
        made.rows = [json.loads(line) for line in made.exports["ndjson"].splitlines()]
        yield made
        shutil.rmtree(folder.parent, ignore_errors=True)


def test_the_log_has_two_epochs_and_two_keys(log):
    assert {(row["epoch"], row["mac_key"]) for row in log.rows} == {(1, 1), (2, 2)}
    assert [row["number"] for row in log.rows] == list(range(1, 37))
    keys = seal.read_keys(log.keys)
    previous = bytes(32)
    for row in log.rows:
        assert seal.row_mac(row, previous, keys).hex() == row["mac"]
        previous = bytes.fromhex(row["mac"])


def test_what_nobody_touched_is_sound(log):
    status, answer, _ = seal.verify("--database", log.server.url, "--key-file", log.keys,
                                    "--heads", log.heads)
    assert (status, answer["ok"], answer["rows"], answer["chains"]) == (0, True, 36, 1)
    for kind, text in log.exports.items():
        assert seal.found("--key-file", log.keys, "--heads", log.heads, stdin=text) == set(), kind


# The middle of epoch 1, its border with epoch 2, and the middle of that.
PLACES = [7, 17, 25]

# --- in the database -----------------------------------------------------------------------------

HERE = "epoch = %(epoch)s AND seq = %(seq)s"

TAMPERING = {
    "changed": [f"UPDATE packet_events SET actor = 'agent:mallory' WHERE {HERE}"],
    "changed record": [
        f"UPDATE packet_events SET record = set_byte(record, 5, 7) WHERE {HERE}"],
    "changed time": [
        f"UPDATE packet_events SET at = at + interval '1 microsecond' WHERE {HERE}"],
    "deleted": [f"DELETE FROM packet_events WHERE {HERE}"],
    "inserted": [
        "INSERT INTO packet_events SELECT seq, at, gen_random_uuid(), packet_id, epoch, shard,"
        " tenant, 'completed', actor, key_id, details, record, number + 1, 1, mac_key,"
        f" sha256(mac) FROM packet_events WHERE {HERE}"],
    "reordered": [
        f"UPDATE packet_events SET seq = 1000000 WHERE {HERE}",
        "UPDATE packet_events SET seq = seq - 1 WHERE epoch = %(epoch)s AND seq = %(next)s",
        "UPDATE packet_events SET seq = %(next)s WHERE seq = 1000000"],
}


@pytest.mark.parametrize("number", PLACES)
@pytest.mark.parametrize("kind", TAMPERING)
def test_tampering_with_the_database_is_named(log, kind, number):
    url, connection = log.copy()
    row = log.rows[number - 1]
    with connection:
        if kind == "reordered" and log.rows[number]["epoch"] != row["epoch"]:
            row = log.rows[number - 2]
        place = {"epoch": row["epoch"], "seq": row["seq"], "next": row["seq"] + 1}
        for statement in TAMPERING[kind]:
            assert connection.execute(statement, place).rowcount == 1, statement
    # What is gone is noticed at the row behind it.
    seq = log.rows[row["number"]]["seq"] if kind == "deleted" else row["seq"]
    want = {("default", kind.split()[0], seq)}
    assert seal.found("--database", url, "--key-file", log.keys) == want
    assert seal.found("--database", url, "--key-file", log.keys, "--heads", log.heads) == want


@pytest.mark.parametrize("count", [1, 5, 30])
def test_a_database_without_its_end_is_named(log, count):
    url, connection = log.copy()
    last = log.rows[-1 - count]
    with connection:
        connection.execute("DELETE FROM packet_events WHERE number > %s", [last["number"]])
    want = {("default", "truncated", last["seq"])}
    assert seal.found("--database", url, "--key-file", log.keys) == want
    # Whoever can delete rows can also write what the table of chains' ends says. Heads help.
    with psycopg.connect(url) as connection:
        connection.execute(
            "UPDATE audit_chains SET number = e.number, epoch = e.epoch, seq = e.seq, part = e.part,"
            " mac = e.mac FROM (SELECT * FROM packet_events ORDER BY number DESC LIMIT 1) e")
    assert seal.found("--database", url, "--key-file", log.keys) == set()
    assert seal.found("--database", url, "--key-file", log.keys, "--heads", log.heads) == want


def test_a_database_without_rows_is_named(log):
    url, connection = log.copy()
    with connection:
        connection.execute("TRUNCATE packet_events")
    assert seal.found("--database", url, "--key-file", log.keys) == {("default", "truncated", 0)}


# --- in an export --------------------------------------------------------------------------------


class Lines:
    """An export as a list of rows, whichever form it has."""

    def __init__(self, kind, text):
        self.kind = kind
        if kind == "ndjson":
            self.rows = [json.loads(line) for line in text.decode().splitlines()]
        else:
            self.rows = list(csv.DictReader(io.StringIO(text.decode(), newline="")))

    def text(self):
        if self.kind == "ndjson":
            return "".join(json.dumps(row) + "\n" for row in self.rows).encode()
        out = io.StringIO(newline="")
        # Another writer than ours: LF, everything quoted, columns the other way round.
        writer = csv.DictWriter(out, list(self.rows[0])[::-1], quoting=csv.QUOTE_ALL,
                                lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return out.getvalue().encode()


def change(rows, at):
    rows[at]["details"] = '{"note":"nothing happened"}'


def delete(rows, at):
    del rows[at]


def insert(rows, at):
    rows.insert(at, {**rows[at], "actor": "agent:mallory", "mac": "00" * 32})


def reorder(rows, at):
    rows[at], rows[at + 1] = rows[at + 1], rows[at]


def truncate(rows, at):
    del rows[at:]


@pytest.mark.parametrize("kind", ["ndjson", "csv"])
@pytest.mark.parametrize("number", PLACES)
@pytest.mark.parametrize(
    ("tamper", "result"),
    [(change, "changed"), (delete, "deleted"), (insert, "inserted"), (reorder, "reordered"),
     (truncate, "truncated")],
)
def test_tampering_with_an_export_is_named(log, tmp_path, kind, number, tamper, result):
    lines = Lines(kind, log.exports[kind])
    tamper(lines.rows, number - 1)
    file = tmp_path / "export"
    file.write_bytes(lines.text())
    first = {"deleted": number, "reordered": number, "truncated": number - 2}.get(
        result, number - 1)
    want = {("default", result, log.rows[first]["seq"])}
    assert seal.found("--export", file, "--key-file", log.keys, "--heads", log.heads) == want
    if result == "truncated":  # a shorter log is a log
        assert seal.found("--export", file, "--key-file", log.keys) == set()
    else:
        assert seal.found("--export", file, "--key-file", log.keys) == want


def test_rewritten_exports_stay_readable_when_nothing_is_changed(log):
    for kind, text in log.exports.items():
        again = Lines(kind, text).text()
        assert seal.found("--key-file", log.keys, "--heads", log.heads, stdin=again) == set()


# --- keys, heads, statuses -----------------------------------------------------------------------


def test_a_forged_head_is_tampering(log, tmp_path):
    head = json.loads(log.heads.read_text().splitlines()[-1])
    head["count"] -= 1
    forged = tmp_path / "heads"
    forged.write_text(json.dumps(head) + "\n")
    status, answer, errors = seal.verify("--database", log.server.url, "--key-file", log.keys,
                                         "--heads", forged)
    assert (status, answer["forged_heads"], answer["tampered"]) == (1, 1, [])
    assert "heads:1: the head is not signed" in errors


def test_a_key_that_is_missing_or_wrong_is_not_taken_for_fine(log, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(log.keys.read_text().splitlines()[0] + "\n")
    assert seal.found("--database", log.server.url, "--key-file", keys) == {
        ("default", "no_key", next(row["seq"] for row in log.rows if row["mac_key"] == 2))}
    keys.write_text("1 " + "x" * 40 + "\n2 " + "k" * 43 + "\n")
    assert seal.found("--database", log.server.url, "--key-file", keys) == {
        ("default", "changed", log.rows[0]["seq"])}


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--key-file", "/nonexistent"],
        ["--key-file", "KEYS", "--export", "/nonexistent"],
        ["--key-file", "KEYS", "--export", "/"],
        ["--key-file", "KEYS", "--export", "/dev/null"],
        ["--key-file", "KEYS", "--export", "KEYS"],
        ["--key-file", "KEYS", "--export", "EXPORT", "--heads", "/nonexistent"],
        ["--key-file", "KEYS", "--export", "EXPORT", "--heads", "KEYS"],
        ["--key-file", "KEYS", "--export", "EXPORT", "--database", "x"],
        ["--key-file", "KEYS", "--database", "no such word"],
        ["--key-file", "KEYS", "--database", "host=/nonexistent dbname=x"],
        ["--nonsense"],
    ],
)
def test_what_cannot_be_read_is_not_called_sound(log, tmp_path, args):
    file = tmp_path / "export"
    file.write_bytes(log.exports["ndjson"])
    names = {"KEYS": str(log.keys), "EXPORT": str(file)}
    status, answer, errors = seal.verify(*[names.get(arg, arg) for arg in args])
    assert (status, answer) == (2, None)
    assert errors
    assert "k" * 43 not in errors


def test_an_export_that_was_cut_within_a_row_cannot_be_read(log):
    for text in log.exports.values():
        status, _, errors = seal.verify("--key-file", log.keys, stdin=text[:-20])
        assert status == 2
        assert "in the middle of a row" in errors


def test_a_strange_text_does_nothing_to_a_terminal(log):
    lines = Lines("ndjson", log.exports["ndjson"])
    for row in lines.rows:
        row["tenant"] = "\x1b[2J\n"
    import subprocess

    done = subprocess.run([seal.BIN / "handoffrail", "audit", "verify", "--key-file", log.keys],
                          input=lines.text(), capture_output=True, timeout=60)
    assert done.returncode == 1
    assert b"\x1b" not in done.stdout and b"\\u001B" in done.stdout


# --- serve's part --------------------------------------------------------------------------------


def test_heads_are_published_to_the_stream_and_the_file(make_rail, loop):
    rail = make_rail(env={"HR_AUDIT_HEADS_SECONDS": "1"}).start()
    exports = work(rail, 3)
    keys, heads = rail.folder / "audit.keys", rail.folder / "audit.heads"
    assert keys.stat().st_mode & 0o777 == 0o600
    wait_until(lambda: heads.exists() and b'"count":9' in heads.read_bytes(), 10, "a head of all")

    async def read_stream():
        connection = await nats.connect(rail.admin_nats_url)
        try:
            js = connection.jetstream()
            info = await js.stream_info("HR_AUDIT_HEADS")
            message = await js.get_last_msg("HR_AUDIT_HEADS", "hr.v1.audit.head.default")
            return info, message
        finally:
            await connection.close()

    info, message = loop.run(read_stream())
    assert info.config.max_msgs_per_subject == 1000
    assert message.data.decode() in heads.read_text().splitlines()
    assert message.headers["Content-Type"] == "application/json"
    assert seal.found("--key-file", keys, "--heads", heads, stdin=exports["csv"]) == set()

    # What moved last is told at the stop, at the latest.
    key = keys.read_text()
    before = len(heads.read_text().splitlines())
    work(rail, 1)
    assert rail.stop()[0] == 0
    lines = heads.read_text().splitlines()
    assert len(lines) > before
    assert json.loads(lines[-1])["count"] == 12
    rail.start()
    assert keys.read_text() == key, "a key is never replaced"
    time.sleep(1.5)
    assert heads.read_text().splitlines() == lines, "nothing moved, nothing is told"


def test_a_chain_is_an_event_of_both_packets(rail):
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=30) as client:
        parent = client.post(PACKETS, json=body("the first part")).json()["id"]
        answer = client.post(f"{PACKETS}/{parent}/chain", json=body("the next part"))
        assert answer.status_code == 201, answer.text
        child = answer.json()["id"]
        ours = client.get(f"{PACKETS}/{parent}/history").json()["events"]
        assert [one["event_type"] for one in ours] == ["created", "chained"]
        assert ours[1]["details"] == {"child_packet_id": child}
        theirs = client.get(f"{PACKETS}/{child}/history").json()["events"]
        assert [one["event_type"] for one in theirs] == ["created"]
        assert (ours[1]["timestamp"], ours[1]["actor"], ours[1]["key_id"]) == (
            theirs[0]["timestamp"], theirs[0]["actor"], theirs[0]["key_id"])
        page = client.get("/api/v1/audit", params={"action": "chained"}).json()
        assert page["total"] >= 1
        assert page["entries"][0]["packet_id"] == parent
        newest = client.get("/api/v1/audit", params={"limit": 2}).json()["entries"]
        assert [one["action"] for one in newest] == ["chained", "created"]
        export = client.get(EXPORT).content
        rows = [json.loads(line) for line in export.splitlines()][-2:]
        assert [(row["part"], row["type"], row["packet_id"]) for row in rows] == [
            (0, "created", child), (1, "chained", parent)]
        assert rows[1]["record"] == "" and rows[0]["seq"] == rows[1]["seq"]
        assert seal.found("--key-file", rail.folder / "audit.keys", stdin=export) == set()


def test_a_worker_without_a_usable_key_does_not_start(make_rail, tmp_path):
    bad = tmp_path / "keys"
    bad.write_text("1 short\n")
    bad.chmod(0o644)
    tmp_path.chmod(0o755)
    rail = make_rail(env={"HR_AUDIT_KEY_FILE": str(bad)}).launch()
    assert rail.wait(40) != 0
    assert any("keyring.unusable" in line for line in rail.errors)
    assert not any("short" in line for line in rail.errors)


def test_the_help_tells_the_statuses():
    import subprocess

    shown = subprocess.run([seal.BIN / "handoffrail", "audit", "verify", "--help"],
                           capture_output=True, text=True, timeout=30)
    assert shown.returncode == 0
    assert "handoffrail audit verify" in shown.stdout and "Exit status" in shown.stdout
