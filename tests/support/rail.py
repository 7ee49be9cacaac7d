"""Starts and stops `handoffrail serve` for tests, and knows its processes.

    with Rail() as rail:
        httpx.get(rail.url + "/ready")

HR_PRESET names the build whose programs are used (default dev); the chaos tests and the bench use
this too.
"""

import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRESET = os.environ.get("HR_PRESET", "dev")
BIN = ROOT / "build" / PRESET / "bin"
NOBODY = 65534
# HR_TEST_NATS_SERVER: the nats-server that rails start, instead of the one of the system.
SERVER = os.environ.get("HR_TEST_NATS_SERVER") or shutil.which(
    "nats-server", path=os.environ["PATH"] + ":/usr/local/sbin:/usr/sbin"
)
if PRESET == "tsan":
    os.environ.setdefault("TSAN_OPTIONS", f"suppressions={ROOT}/tests/tsan.supp")
SANITIZER = re.compile("(Address|Leak|Thread)Sanitizer|runtime error:")


# Under nohup it is ignored, by every rail as well, and then none would stop on it.
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def birth(pid):
    """Ticks since boot at which a process was started; None when it is gone or a zombie."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def descendants(pid):
    """The pids of all processes below one, itself not included."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = []
    todo = [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def wait_until(condition, seconds, what):
    """Polls; returns the first true value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def enterable_folder():
    """A folder that any user may enter: Postgres under root runs as another one."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hr-test-"))
    folder.chmod(0o755)
    return folder


def free_port():
    """A port that nobody has, below those that the system gives to connections."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def has_ended(process):
    return process.poll() is not None


class Rail:
    def __init__(self, folder=None, *args, env=None, user=None, bin_dir=None):
        """folder: data folder, kept afterwards; None: a fresh one, removed afterwards.

        user: uid to run as; only root may ask for another.
        """
        self._own = None if folder is not None else enterable_folder()
        self.folder = pathlib.Path(folder) if folder is not None else self._own / "data"
        self.args = args
        self.env = {**os.environ, **(env or {})}
        self.user = user
        self.bin_dir = bin_dir or BIN
        self.process = None
        self.output = []  # its lines on standard output
        self.errors = []  # and on standard error

    def command(self, *args):
        return [str(self.bin_dir / "handoffrail"), "serve", "--data-dir", str(self.folder), *args]

    def _follow(self, stream, lines):
        def copy():
            for line in stream:
                lines.append(line.rstrip("\n"))

        thread = threading.Thread(target=copy, daemon=True)
        thread.start()
        return thread

    def launch(self):
        """Starts it and does not wait."""
        args = self.args if "--port" in self.args else ("--port", "0", *self.args)
        if "--nats-port" not in args and not self.folder.exists():
            args = ("--nats-port", str(free_port()), *args)  # rails may start at the same moment
        if os.environ.get("HR_TEST_NATS_SERVER") and not {"--nats-server", "--nats-url"} & {*args}:
            args = ("--nats-server", SERVER, *args)
        if os.environ.get("HR_TEST_SCALE"):  # of the rolling tests: both versions of every worker
            args = (*args, "--scale", os.environ["HR_TEST_SCALE"])
        identity = {}
        if self.user is not None:
            identity = {"user": self.user, "group": self.user, "extra_groups": []}
        self.output, self.errors = [], []
        self.process = subprocess.Popen(
            self.command(*args),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.env,
            **identity,
        )
        self._threads = [
            self._follow(self.process.stdout, self.output),
            self._follow(self.process.stderr, self.errors),
        ]
        return self

    def start(self, seconds=60):
        """Starts it and waits for its ready line."""
        self.launch()
        try:
            wait_until(lambda: self.output or has_ended(self.process), seconds, "the ready line")
            if not self.output:
                raise AssertionError("serve ended before it was ready")
        except AssertionError as error:
            self.kill()
            self.close()
            raise AssertionError("\n".join([str(error), *self.errors])) from None
        return self

    def wait(self, seconds):
        """Waits for its end and returns the exit status."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise AssertionError("\n".join([str(error), *self.errors])) from None
        for thread in self._threads:
            thread.join(5)  # a child that outlives it may hold the other end
        return status

    def stop(self, seconds=10):
        """Asks it to stop; returns the exit status and how long it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds), time.monotonic() - started

    def kill(self):
        if not has_ended(self.process):
            self.process.kill()
        self.wait(10)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.process is not None and not has_ended(self.process):
            self.stop()
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)
        found = [i for i, line in enumerate(self.errors) if SANITIZER.search(line)]
        if found:
            raise AssertionError("\n".join(self.errors[found[0] : found[0] + 60]))

    @property
    def pid(self):
        return self.process.pid

    @property
    def url(self):
        return self.output[0].removeprefix("ready ")

    @property
    def key(self):
        return (self.folder / "admin.key").read_text().strip()

    @property
    def headers(self):
        return {"X-API-Key": self.key}

    @property
    def status(self):
        """What serve says about itself: see clients/cli/serve/status.h."""
        return json.loads((self.folder / "run" / "children.json").read_text())

    @property
    def nats_url(self):
        """Without credentials."""
        return self.status["nats"]

    @property
    def agent_nats_url(self):
        return (self.folder / "agent.nats").read_text().strip()

    @property
    def admin_nats_url(self):
        return (self.folder / "admin.nats").read_text().strip()

    def child(self, name):
        for child in self.status["children"]:
            if child["name"] == name:
                return child
        raise KeyError(name)

    @property
    def pids(self):
        """name -> pid of every child that runs."""
        return {c["name"]: c["pid"] for c in self.status["children"] if c["pid"] > 0}

    def await_restart(self, name, old_pid, seconds=15):
        """Waits until a child runs under another pid, and returns that."""

        def fresh():
            child = self.child(name)
            return child["pid"] if child["pid"] not in (0, old_pid) else None

        return wait_until(fresh, seconds, f"{name} runs again")
