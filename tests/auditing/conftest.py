"""A PostgreSQL of its own, where there is one on this machine."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest


def _program(name):
    found = shutil.which(name) or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None
    )
    return found


@pytest.fixture(scope="session")
def postgres():
    """The URL of an empty database, as its owner."""
    pytest.importorskip("ibis")
    pytest.importorskip("psycopg")
    initdb, server = _program("initdb"), _program("postgres")
    if initdb is None or server is None:
        pytest.skip("PostgreSQL is not installed here (Debian: apt-get install postgresql)")
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        as_user = []
        if os.getuid() == 0:  # it does not run as root
            if shutil.which("runuser") is None or not _has_user("postgres"):
                pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
            as_user = ["runuser", "-u", "postgres", "--"]
            shutil.chown(folder, "postgres")
        data = f"{folder}/data"
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(
            [*as_user, initdb, "-D", data, "-U", "owner", "-A", "trust", "-N"], cwd=folder, **quiet
        )
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        options = ["-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder, "-F"]
        running = subprocess.Popen(
            [*as_user, server, *options],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait(port)
            yield f"postgresql://owner:secret@127.0.0.1:{port}/postgres"
        finally:
            running.terminate()
            running.wait(30)


def _has_user(name):
    import pwd

    return any(entry.pw_name == name for entry in pwd.getpwall())


def _wait(port):
    import time

    import psycopg

    for _ in range(200):
        try:
            psycopg.connect(f"postgresql://owner@127.0.0.1:{port}/postgres").close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise TimeoutError("PostgreSQL did not start within 20 seconds")
