"""A full disk: 503, nothing acknowledged is touched, and it goes on by itself when there is room."""
import os
import subprocess

import pytest

from load import Load, audit
from waiting import wait_until

SIZE_MB = 24
FULL = (r"MKTO0201", r"MKTO02\d\d", r"MKTO03\d\d")


@pytest.fixture(name="small_disk")
def loop_mount(directory):
    """An ext4 of a few MB, mounted over the spool's directory."""
    if os.getuid() != 0:
        pytest.skip("mounting needs root")
    image, spool = os.path.join(directory, "disk.img"), os.path.join(directory, "spool")
    subprocess.run(["truncate", "-s", "%dM" % SIZE_MB, image], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    os.makedirs(spool, exist_ok=True)
    done = subprocess.run(["mount", "-o", "loop", image, spool], check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        pytest.skip("no loop mounts here: %s" % done.stderr.strip())
    yield spool
    subprocess.run(["umount", "-l", spool], check=True)


@pytest.mark.servers("nginx")
def test_disk_is_full(small_disk, server, sandbox):
    server.announce(*FULL)
    server.conf["spool"]["keep_free"] = "0%"
    sandbox.store.settings.update(rate_calls=1000000)
    server.conf["marketo"].update(calls_per_20s=100)
    server.start()
    with Load(server, 200, prefix="early") as early:
        pass
    ballast = os.path.join(small_disk, "ballast")
    with open(ballast, "wb") as file:
        try:
            while True:
                file.write(b"\0" * 65536)
                file.flush()
        except OSError:
            pass
    with Load(server, 3000, prefix="full", resend=False) as full:
        pass
    assert 503 in full.statuses and set(full.statuses) <= {200, 503}, full.statuses
    reply = wait_until(lambda: next((r for r in [server.post("track", {"userId": "u", "event": "x"})] if r.status == 503), None),
                       what="a 503")
    assert reply.headers["retry-after"] == "30" and not reply.json["success"]
    courier = server.couriers()
    os.remove(ballast)
    wait_until(lambda: server.post("identify", {"userId": "u", "traits": {"email": "room@example.com"}}).status == 200,
               what="room again")
    audit(sandbox, early)
    audit(sandbox, full)
    assert server.couriers() == courier, "it went on without a restart"
