"""handoffrail serve: which nats-server and which ports it takes, and what stops a start."""

import os
import pathlib
import shutil
import subprocess

import httpx
import pytest
from hooks import make_hook
from rail import BIN, SERVER, enterable_folder, wait_until



@pytest.fixture
def folder():
    made = enterable_folder()
    yield made
    shutil.rmtree(made, ignore_errors=True)


def serve(*args, env=None, path=None):
    environment = {**os.environ, **(env or {})}
    if path is not None:
        environment["PATH"] = f"{path}:{environment['PATH']}"
    return subprocess.run(
        [str(BIN / "handoffrail"), "serve", "--port", "0", *args],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )


def fake_server(folder, version):
    """A nats-server that only says its version."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "nats-server"
    made.write_text(f"#!/bin/sh\n[ \"$1\" = --version ] && echo 'nats-server: v{version}' && exit 0\nexit 9\n")
    made.chmod(0o755)
    return str(made)


def test_four_that_start_in_the_same_moment_take_four_ports(make_rail, folder):
    rails = []
    for i in range(4):
        data = folder / str(i)
        data.mkdir()  # so that the rail's own test support chooses no port for it
        data.chmod(0o755)
        rails.append(make_rail(data))
    for rail in rails:
        rail.launch()
    for rail in rails:
        wait_until(lambda: rail.output or rail.process.poll() is not None, 120, "the ready line")
        assert rail.output, rail.errors
    assert len({rail.nats_url for rail in rails}) == 4
    assert len({rail.url for rail in rails}) == 4
    assert all(rail.child("nats-server")["restarts"] == 0 for rail in rails)


def test_the_newest_nats_server_is_taken(folder):
    fake_server(folder / "a", "2.8.4")
    fake_server(folder / "b", "99.1.0")
    failed = serve("--data-dir", str(folder / "data"), path=f"{folder}/a:{folder}/b")
    assert failed.returncode == 1, "it is a fake"
    assert "version 99.1.0" in failed.stderr
    assert "2.9 can hang" not in failed.stderr


def test_a_nats_server_that_is_named_is_taken(make_rail, folder):
    named = folder / "mine"
    shutil.copy(SERVER, named)
    fake_server(folder / "b", "99.1.0")
    env = {"PATH": f"{folder}/b:{os.environ['PATH']}"}
    rail = make_rail(folder / "data", "--nats-server", str(named), env=env).start()
    exe = pathlib.Path(f"/proc/{rail.pids['nats-server']}/exe").readlink()
    assert exe == named
    version = subprocess.run([SERVER, "--version"], capture_output=True, text=True).stdout
    is_old = "v2.9." in version
    assert any("2.9 can hang on a full disk" in line for line in rail.errors) == is_old


@pytest.mark.parametrize("version", ["2.8.4", "0.0.1"])
def test_one_that_is_too_old_is_refused(folder, version):
    failed = serve(
        "--data-dir", str(folder / "data"), "--nats-server", fake_server(folder / "a", version)
    )
    assert failed.returncode == 1
    assert "2.9 is the oldest" in failed.stderr


def test_what_is_no_nats_server_is_refused(folder):
    for path in ["/bin/true", "/no/such/file", str(folder)]:
        failed = serve("--data-dir", str(folder / "data"), "--nats-server", path)
        assert failed.returncode == 1
        assert "is not a nats-server" in failed.stderr


def test_an_older_server_does_not_touch_what_a_newer_one_wrote(make_rail, folder):
    rail = make_rail(folder / "data").start()
    rail.stop()
    (folder / "data/nats/version").write_text("v99.1.0\n")
    failed = serve("--data-dir", str(folder / "data"))
    assert failed.returncode == 1
    assert "is older than v99.1.0" in failed.stderr


def test_lost_webhook_keys_stop_the_start_when_there_are_webhooks(make_rail, folder):
    env = {"HR_ALLOWED_WEBHOOK_HOSTS": "127.0.0.1"}
    rail = make_rail(folder / "data", env=env).start()
    keys = folder / "data/webhook.keys"
    rail.stop()
    keys.unlink()
    rail.start()  # there is no webhook yet: new keys do
    text = keys.read_text()
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=10) as client:
        make_hook(client, "http://127.0.0.1:9/")
    rail.stop()
    keys.unlink()
    failed = serve("--data-dir", str(folder / "data"), env=env)
    assert failed.returncode == 1
    assert "webhook.keys is missing" in failed.stderr and "put it back" in failed.stderr
    assert not keys.exists()
    keys.write_text(text)
    rail.start()


@pytest.mark.parametrize("text", ["", "short\n", "hr_short\n", "hr_" + "a" * 42 + "!\n", "hr_" + "a" * 44])
def test_an_admin_key_of_another_form_is_refused(folder, text):
    data = folder / "data"
    data.mkdir()
    (data / "lock").write_text("")
    (data / "admin.key").write_text(text)
    failed = serve("--data-dir", str(data))
    assert failed.returncode == 1
    assert "does not hold a key" in failed.stderr and "put the key back" in failed.stderr
    assert text.strip() == "" or text.strip() not in failed.stderr
    assert (data / "admin.key").read_text() == text


def test_every_setting_is_passed_on_however_many_there_are(make_rail):
    settings = {f"HR_TEST_{i:03}": str(i) for i in range(200)}
    rail = make_rail(env=settings).start()
    environ = pathlib.Path(f"/proc/{rail.pids['hr-gateway-1']}/environ").read_bytes().decode()
    assert {item.split("=")[0] for item in environ.split("\0")} >= set(settings)
