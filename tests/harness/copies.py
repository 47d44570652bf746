"""Copies through an agent as their tests make them: a primary with an agent, and the host of a standby that is a member of
their cluster and has no copy yet. `servers` is always (primary, standby)."""

import hashlib
import json
import os
import signal
from contextlib import contextmanager
from pathlib import Path

from harness import rude_link
from harness.binaries import DEBIAN
from harness.clones import verify_backup
from harness.members import assert_follows, member_pair
from harness.waiting import wait_until

CREATED = ("-R", "-C", "-S", "mine")
SLOWLY = ("-r", "8M")
AT_A_CRAWL = ("-r", "2M")  # of a copy that never comes to its end by itself
LINK_PORT = 7433


def source_and_member(h1, h2, prepare, **how):
    """The standby was made once, so that its host is a member, and is gone again."""
    primary, standby = member_pair(h1, h2, prepare, **{"wal_sender_timeout": 0, **how})  # see held_still
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


@contextmanager
def held_still(running):
    """A copy does not come to its end while something is done to it, however long that takes where its server has no
    wal_sender_timeout."""
    running.signal(signal.SIGSTOP)
    try:
        assert running.alive, running.wait()
        yield
    finally:
        running.signal(signal.SIGCONT)


@contextmanager
def without_the_last_wal(primary, running):
    """The files of a copy come, its WAL does not: it cannot come to its end, and waits a minute for that when all else is
    there."""
    streaming = "SELECT pid FROM pg_stat_replication WHERE application_name = 'standfast_clone' AND state = 'streaming'"
    sender = int(wait_until(lambda: primary.psql(streaming) or not running.alive, 60, "its stream of WAL"))
    assert running.alive, running.wait()
    os.kill(sender, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(sender, signal.SIGCONT)


def wait_until_free(primary, slot="mine"):
    """Whoever had it has gone: the server notices that a little later."""
    users = f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{slot}' AND active"
    wait_until(lambda: primary.psql(users) == "0", 60, f"the slot {slot} free")


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


def wait_until_written(running, host, count, seconds=120):
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
        wait_until(lambda: "listens" in self.program.out, 60, "the link")

    def tell(self, what, after, whose="any"):
        """Once: what happens to the connection of that number after so many bytes that came back."""
        self._host.write("tmp/order.new", f"{what} {after} {whose}").rename(self._order)

    def did(self, what):
        return f"{what} " in self.program.out

    def close(self):
        self.program.signal(9)
        self.program.wait()
