"""Copies through an agent as their tests make them: a primary with an agent, and the host of a standby that is a member of
their cluster and has no copy yet. `servers` is always (primary, standby)."""

import hashlib
import json
import os
from pathlib import Path

from harness import rude_link
from harness.binaries import DEBIAN
from harness.clones import verify_backup
from harness.members import assert_follows, member_pair
from harness.waiting import wait_until

CREATED = ("-R", "-C", "-S", "mine")
SLOWLY = ("-r", "8M")
LINK_PORT = 7433


def source_and_member(h1, h2, prepare, **how):
    """The standby was made once, so that its host is a member, and is gone again."""
    primary, standby = member_pair(h1, h2, prepare, **how)
    standby.stop()
    h2.run(["rm", "-rf", standby.data, str(standby.data) + ".standfast-lock"]).expect(0)
    return primary, standby


def arguments(servers, *options):
    primary, standby = servers
    return ["standby", "clone", "-h", primary.host.address, "-U", "postgres", "-D", standby.data, "-c", "fast",
            "--from", "agent", *options]


def clone(servers, *options, **how):
    return servers[1].host.standfast(*arguments(servers, *options), timeout=120, **how)


def start_clone(servers, *options):
    host = servers[1].host
    return host.start(host.standfast_command(*arguments(servers, *options)))


def written(host):
    """Bytes of the copied files that lie on the disk in the staging folder: a file may have room before it has content,
    and WAL, which no later run takes for its own, is not of them."""
    folder = host.cluster_folder / "data.standfast-staging"
    total = 0
    for place, folders, names in os.walk(folder):  # which takes it that things go while it looks
        folders[:] = [name for name in folders if name != "pg_wal"]
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


def wait_until_written(running, host, count, seconds=60):
    wait_until(lambda: not running.alive or written(host) >= count, seconds, f"{count} bytes of the copy")
    assert running.alive, running.wait()


def check_manifest(server):
    if server.binaries == DEBIAN:  # the one that has the program
        verify_backup(server.host)
    elif server.binaries.major >= 13:
        text = (server.data / "backup_manifest").read_bytes()
        said = json.loads(text)
        assert said["Manifest-Checksum"] == hashlib.sha256(text[:text.index(b'"Manifest-Checksum"')]).hexdigest()
        for file in said["Files"]:  # settings were added to the one that is left out
            is_same = (server.data / file["Path"]).stat().st_size == file["Size"]
            assert is_same or file["Path"] == "postgresql.auto.conf", file


def proved(servers):
    """Its files are those of its manifest; it starts, streams and has what the source has."""
    primary, standby = servers
    check_manifest(standby)
    standby.configure(listen_addresses="'*'")
    assert_follows(standby, primary, "mine")


class RudeLink:
    """From the standby's host to the primary's agent: what `options` has for a clone goes through it."""

    options = ("--agent", f"127.0.0.1:{LINK_PORT}")

    def __init__(self, servers, agent_port):
        primary, standby = servers
        self._host = standby.host
        self._order = self._host.folder / "tmp" / "order"
        self.program = self._host.start(["python3", "-c", Path(rude_link.__file__).read_text(), LINK_PORT,
                                         primary.host.address, agent_port, "/tmp/order"])
        wait_until(lambda: "listens" in self.program.out, 20, "the link")

    def tell(self, what, after, whose="any"):
        """Once: what happens to the connection of that number after so many bytes that came back."""
        self._host.write("tmp/order.new", f"{what} {after} {whose}").rename(self._order)

    def did(self, what):
        return f"{what} " in self.program.out

    def close(self):
        self.program.signal(9)
        self.program.wait()
