"""Processes that find each other as torchrun's do, on this machine."""

import os
import socket
import subprocess


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def run(command, size, **environment):
    """The command in ``size`` processes that find each other as torchrun's do."""
    shared = os.environ | {
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "OMP_NUM_THREADS": "1",
        **environment,
    }
    running = [
        subprocess.Popen(
            command,
            env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    try:
        ended = [process.communicate(timeout=300) for process in running]
    finally:
        for process in running:
            process.kill()
            process.communicate()
    failed = [errors for one, (_, errors) in zip(running, ended, strict=True) if one.returncode]
    assert not failed, "\n".join(errors[-1500:] for errors in failed)
    return ended
