"""handoffrail serve: start, watch, stop, leave nothing behind."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import time

import httpx
import packets
import pytest
from rail import BIN, NOBODY, birth, descendants, enterable_folder, has_ended, wait_until

WORKERS = [f"hr-worker-{noun}-1" for noun in packets.WORKERS]
ROOT = pathlib.Path(__file__).resolve().parents[2]
EVERYBODY = ["nats-server", "postgres", *WORKERS, "hr-gateway-1"]


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def processes(rail):
    """(pid, birth) of everything below serve."""
    return [(pid, birth(pid)) for pid in descendants(rail.pid)]


def alive(found):
    return [pid for pid, born in found if born is not None and birth(pid) == born]


def environment(pid):
    text = pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode()
    return dict(item.split("=", 1) for item in text.split("\0") if item)


def is_ready(rail):
    try:
        return httpx.get(rail.url + "/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def serve(*args, env=None):
    return subprocess.run(
        [str(BIN / "handoffrail"), "serve", *args],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, **(env or {})},
    )


@pytest.fixture
def folder():
    made = enterable_folder()
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def stand_in(folder):
    """Replaces one of our programs by a shell script."""

    def make(name, script):
        programs = folder / "bin"
        programs.mkdir(exist_ok=True)
        source = pathlib.Path(os.environ.get("HR_BIN_DIR", BIN))
        for program in source.glob("hr-*"):
            if not (programs / program.name).exists():
                (programs / program.name).symlink_to(program)
        (programs / name).unlink()
        (programs / name).write_text("#!/bin/sh\n" + script)
        (programs / name).chmod(0o755)
        return {"HR_BIN_DIR": str(programs)}

    return make


def test_says_ready_once_and_answers(rail):
    assert rail.output == ["ready " + rail.url]
    assert rail.url.startswith("http://127.0.0.1:")
    assert httpx.get(rail.url + "/ready").status_code == 200


def test_every_process_is_listed_and_runs(rail):
    assert sorted(rail.pids) == sorted(EVERYBODY)
    assert rail.status["pid"] == rail.pid
    for name, pid in rail.pids.items():
        assert birth(pid) == rail.child(name)["birth"]


def test_secrets_are_for_the_owner_only(rail):
    assert rail.key.startswith("hr_") and len(rail.key) == 46
    for name in ["admin.key", "secrets", "agent.nats", "admin.nats", "nats/nats.conf"]:
        assert mode(rail.folder / name) == 0o600, name
    assert rail.agent_nats_url.startswith("nats://agent:")
    assert rail.admin_nats_url.startswith("nats://admin:")
    assert "@" not in rail.nats_url
    assert not any(rail.key in line for line in rail.errors + rail.output)


def test_a_child_gets_no_secret_it_does_not_need(rail):
    secrets = dict(
        line.split(" ") for line in (rail.folder / "secrets").read_text().splitlines()
    )
    may_know = {
        **dict.fromkeys(WORKERS, {"nats.worker"}),
        "hr-worker-expiry-1": {"nats.expiry"},
        "hr-worker-audit-1": {"nats.worker", "postgres.handoffrail"},
        "hr-worker-query-1": {"nats.worker", "postgres.handoffrail"},
        "hr-gateway-1": {"nats.gateway"},
        "nats-server": set(),
        "postgres": set(),
    }
    for name, pid in rail.pids.items():
        told = environment(pid)
        text = "\n".join(told.values())
        known = {secret for secret, value in secrets.items() if value in text}
        assert known == may_know[name]
        assert ("HR_BOOTSTRAP_KEY" in told) == (name == "hr-gateway-1")


def test_restarts_every_child_that_dies(make_rail):
    rail = make_rail().start()
    for name in EVERYBODY:
        old = rail.pids[name]
        os.kill(old, signal.SIGKILL)
        rail.await_restart(name, old)
        assert rail.child(name)["restarts"] == 1
    wait_until(lambda: is_ready(rail), 20, "ready again")
    assert any("died of signal 9" in line for line in rail.errors)
    assert len(rail.output) == 1, "ready is said once"


def test_nats_keeps_its_port_over_its_own_and_our_restart(make_rail, folder):
    rail = make_rail(folder / "data").start()
    url = rail.nats_url
    old = rail.pids["nats-server"]
    os.kill(old, signal.SIGKILL)
    rail.await_restart("nats-server", old)
    assert rail.nats_url == url
    rail.stop()
    assert make_rail(folder / "data").start().nats_url == url


def test_stops_in_time_and_leaves_nothing(make_rail):
    rail = make_rail().start()
    found = processes(rail)
    assert len(found) >= len(EVERYBODY)
    status, seconds = rail.stop()
    assert status == 0
    assert seconds < 5
    assert alive(found) == []
    assert not (rail.folder / "run").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_other_signals_stop_it_too(make_rail, number):
    rail = make_rail().start()
    rail.process.send_signal(number)
    assert rail.wait(5) == 0


def test_stops_in_time_when_a_child_does_not_listen(make_rail, stand_in):
    env = stand_in("hr-worker-audit", "trap '' TERM\nwhile :; do sleep 0.1; done\n")
    rail = make_rail(env=env).launch()
    wait_until(lambda: any("hr-worker-audit-1" in line for line in rail.errors), 30, "its start")
    time.sleep(0.5)
    found = processes(rail)
    status, seconds = rail.stop()
    assert (status, seconds < 5) == (0, True)
    # The sleep of the script is not ours; it ends by itself.
    wait_until(lambda: not alive(found), 1, "all are gone")


def test_stops_while_it_is_still_starting(make_rail):
    rail = make_rail().launch()
    wait_until(lambda: any("initdb" in line for line in rail.errors), 10, "initdb")
    found = processes(rail)
    status, seconds = rail.stop()
    assert (status, seconds < 5) == (0, True)
    assert alive(found) == []
    rail.start()  # what was interrupted does not stand in the way


def test_leaves_no_orphan_when_it_is_killed(make_rail):
    rail = make_rail().start()
    found = processes(rail)
    assert len(found) > len(EVERYBODY), "the children of Postgres count"
    rail.process.kill()
    wait_until(lambda: not alive(found), 6, "all are gone")


def test_starts_over_what_a_killed_one_left(make_rail, folder):
    rail = make_rail(folder / "data").start()
    key = rail.key
    rail.process.kill()
    rail.process.wait()
    again = make_rail(folder / "data").start()
    assert again.key == key
    again.kill()
    pid_file = folder / "data/postgres/postmaster.pid"
    wait_until(lambda: not pid_file.exists(), 6, "Postgres has stopped")
    # A postmaster.pid that names a live process which is not Postgres.
    pid_file.write_text(f"{os.getpid()}\n{folder}/data/postgres\n0\n5432\n\n\n0 0\nready\n")
    assert make_rail(folder / "data").start().key == key


def test_a_second_start_keeps_keys_and_data(make_rail, folder):
    rail = make_rail(folder / "data").start()
    key, agent = rail.key, rail.agent_nats_url
    inode = (folder / "data/postgres/PG_VERSION").stat().st_ino
    rail.stop()
    rail = make_rail(folder / "data").start()
    assert (rail.key, rail.agent_nats_url) == (key, agent)
    assert (folder / "data/postgres/PG_VERSION").stat().st_ino == inode


def test_refuses_a_folder_in_use(rail):
    second = serve("--port", "0", "--data-dir", str(rail.folder))
    assert second.returncode == 1
    assert f"in use by pid {rail.pid}" in second.stderr
    assert second.stdout == ""
    assert httpx.get(rail.url + "/ready").status_code == 200


def test_refuses_a_folder_that_holds_something_else(folder):
    (folder / "letter.txt").write_text("dear")
    refused = serve("--port", "0", "--data-dir", str(folder))
    assert refused.returncode == 1
    assert "holds something else" in refused.stderr
    assert [entry.name for entry in folder.iterdir()] == ["letter.txt"]


def test_a_port_in_use_is_said(folder):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        for option in ["--port", "--nats-port"]:
            args = [] if option == "--port" else ["--port", "0"]
            failed = serve(*args, option, port, "--data-dir", str(folder / "data"))
            assert failed.returncode == 1
            assert f"port {port} is already in use" in failed.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["--port", "http"],
        ["--port", "65536"],
        ["--nats-port", "0"],
        ["--scale", "claim"],
        ["--scale", "claim=0"],
        ["--scale", "claim=2x"],
        ["--scale", "gateway=2"],
        ["--log-format", "xml"],
        ["--no-such-option"],
        ["stray"],
    ],
)
def test_bad_arguments_end_with_status_2(args):
    failed = serve(*args)
    assert failed.returncode == 2
    assert "handoffrail serve" in failed.stderr


def test_help_and_version():
    program = str(BIN / "handoffrail")
    for args in [["--help"], ["serve", "--help"], ["--version"]]:
        shown = subprocess.run([program, *args], capture_output=True, text=True, timeout=10)
        assert shown.returncode == 0
        assert "handoffrail" in shown.stdout
    for args in [[], ["no-such-command"]]:
        assert subprocess.run([program, *args], capture_output=True, timeout=10).returncode == 2


def test_scale_runs_copies(make_rail):
    rail = make_rail(None, "--scale", "claim=3,packet=2").start()
    names = set(rail.pids)
    assert {"hr-worker-claim-3", "hr-worker-packet-2"} <= names
    assert len(names) == len(EVERYBODY) + 3


def test_gives_up_on_bad_configuration(make_rail, stand_in):
    env = stand_in("hr-worker-query", "echo 'HR_THING: not a number' >&2; exit 2\n")
    rail = make_rail(env=env).launch()
    assert rail.wait(30) == 1
    assert "HR_THING: not a number" in rail.errors
    assert any("does not accept its configuration" in line for line in rail.errors)
    assert rail.output == []


def test_gives_up_on_a_child_that_never_stays_up(make_rail, stand_in):
    env = stand_in("hr-worker-query", "echo 'no good' >&2; exit 1\n")
    rail = make_rail(env=env).launch()
    assert rail.wait(30) == 1
    assert rail.errors.count("no good") == 5
    assert any("5 times in a row; giving up" in line for line in rail.errors)


def test_json_lines(make_rail):
    rail = make_rail(None, "--log-format", "json").start()
    rail.stop()
    events = [json.loads(line)["event"] for line in rail.errors]
    assert events.count("child.started") >= len(EVERYBODY)
    assert "serve.stopping" in events


def test_the_bootstrap_key_of_the_environment_wins(make_rail):
    rail = make_rail(env={"HR_BOOTSTRAP_KEY": "hr_from_outside"}).start()
    assert environment(rail.pids["hr-gateway-1"])["HR_BOOTSTRAP_KEY"] == "hr_from_outside"
    assert not (rail.folder / "admin.key").exists()


def test_a_long_path_takes_its_sockets_elsewhere(make_rail, folder):
    rail = make_rail(folder / ("long" * 25)).start()
    sockets = pathlib.Path(os.readlink(rail.folder / "run/sockets"))
    assert (sockets / "pg").is_dir()
    rail.stop()
    assert not sockets.exists()


def test_works_as_an_ordinary_user(make_rail, folder):
    user = NOBODY if os.geteuid() == 0 else None
    programs = folder / "programs"  # the build folder may be out of their reach
    programs.mkdir()
    for program in [*BIN.glob("handoffrail"), *BIN.glob("hr-*")]:
        shutil.copy(program, programs)
    home = folder / "home"
    home.mkdir()
    home.chmod(0o777)
    rail = make_rail(home / "data", user=user, bin_dir=programs).start()
    owner = (rail.folder / "admin.key").stat().st_uid
    assert owner == (NOBODY if user is not None else os.geteuid())
    for pid in rail.pids.values():
        assert pathlib.Path(f"/proc/{pid}").stat().st_uid == owner
    found = processes(rail)
    assert rail.stop()[0] == 0
    assert alive(found) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's Postgres has another user")
def test_a_folder_postgres_cannot_enter_is_explained(folder):
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    failed = serve("--port", "0", "--data-dir", str(closed / "data"))
    assert failed.returncode == 1
    assert f"user postgres, who may not enter {closed}" in failed.stderr


def test_uses_servers_of_others(make_rail, rail):
    other = make_rail(
        None,
        "--nats-url",
        rail.admin_nats_url,
        "--postgres-url",
        environment(rail.pids["hr-worker-audit-1"])["HR_POSTGRES_URL"],
    ).start()
    assert sorted(other.pids) == sorted([*WORKERS, "hr-gateway-1"])
    assert other.nats_url == rail.nats_url, "without credentials"
    assert not has_ended(other.process)


def test_nobody_has_to_be_urged_to_stop(make_rail):
    rail = make_rail().start()
    assert httpx.get(rail.url + "/api/v1/packets", headers=rail.headers).status_code == 200
    status, _ = rail.stop()
    assert status == 0
    assert [line for line in rail.errors if "urging" in line or "drain_timeout" in line] == []


def test_every_worker_is_in_the_list_of_the_fleet():
    folders = {file.parent.name for file in (ROOT / "workers").glob("*/main.c")}
    rows = re.findall(r"^    X\((\w+),", (ROOT / "broker/run/fleet.h").read_text(), re.MULTILINE)
    assert folders == set(rows) == set(packets.WORKERS) and len(rows) == len(folders)
