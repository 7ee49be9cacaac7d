"""A Postgres of the test's own, to be taken away and given back.

    with Postgres() as server:
        Rail(None, "--postgres-url", server.url)
"""

import os
import pathlib
import shutil
import signal
import subprocess

import psycopg
from rail import enterable_folder, has_ended, wait_until


def programs():
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parts[4]))
    return found[-1]


class Postgres:
    def __init__(self):
        self.folder = enterable_folder()
        self.identity = {}
        if os.geteuid() == 0:  # it does not run as root
            self.identity = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(self.folder, "postgres")
        self.process = None

    def __enter__(self):
        data = str(self.folder / "data")
        subprocess.run(
            [str(programs() / "initdb"), "-D", data, "-U", "test", "-A", "trust", "-E", "UTF8",
             "--locale=C.UTF-8", "--no-sync"],
            check=True, capture_output=True, cwd="/", **self.identity,
        )
        self.start()
        wait_until(self.accepts, 20, "Postgres accepts connections")
        return self

    def __exit__(self, *_):
        if self.process is not None and not has_ended(self.process):
            self.resume()
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self):
        return f"postgresql://test@/postgres?host={self.folder}"

    def connect(self):
        return psycopg.connect(self.url, autocommit=True)

    def accepts(self):
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def start(self):
        """Does not wait. On the main thread: it ends with the thread that started it."""
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "QUIT", str(programs() / "postgres"),
             "-D", str(self.folder / "data"), "-k", str(self.folder), "-c", "listen_addresses="],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd="/", **self.identity,
        )

    def stop(self):
        """At once, as if its machine had gone."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(10)

    def _signal_all(self, number):
        parents = [self.process.pid]
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        parents += [int(pid) for pid in children.read_text().split()]
        for pid in parents:
            os.kill(pid, number)

    def freeze(self):
        """It stays connected and says nothing more."""
        self._signal_all(signal.SIGSTOP)

    def resume(self):
        self._signal_all(signal.SIGCONT)
