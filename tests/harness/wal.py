"""A host that keeps WAL: `standfast wal receive` and `standfast wal serve` on it, as the tests run them."""

import shutil
import signal

from harness.binaries import DEBIAN
from harness.clones import PASSWORD
from harness.waiting import wait_until

PORT = 5433


def make_wal_folder(host, name="wal"):
    folder = host.folder / name
    folder.mkdir(mode=0o700)
    shutil.chown(folder, "postgres", "postgres")
    return folder


def end_of_wal(primary):
    return primary.psql("SELECT pg_current_wal_lsn()")


def receive(host, primary_host, folder, *options, end=None, port=5432, timeout=120):
    """Receives up to `end` and stops."""
    up_to = ["-n", "-E", end] if end else []
    return host.standfast("wal", "receive", "-h", primary_host.address, "-p", port, "-U", "replicator", "-D", folder,
                          *up_to, *options, env={"PGPASSWORD": PASSWORD}, timeout=timeout)


def users_file(host, primary, name="users", role="replicator"):
    """What the primary has of the role's password, read without a trace in the test's record."""
    port, socket_folder = primary.host.server_socket(primary.data)
    line = primary.host.run([DEBIAN.program("psql"), "-XqAt", "-h", socket_folder, "-p", port, "-d", "postgres"],
                            stdin=f"SELECT rolname || ':' || rolpassword FROM pg_authid WHERE rolname = '{role}'",
                            record=False).out
    assert line.startswith(f"{role}:SCRAM-SHA-256$")
    return host.write(name, f"# the witness's users\n{line}")


class Served:
    """`standfast wal serve`, up to its first word and to its end."""

    def __init__(self, host, folder, users, *options, listen=None, port=PORT):
        self.host, self.port = host, port
        listen = listen or f"{host.address}:{port}"
        self.running = host.start(host.standfast_command("wal", "serve", "-D", folder, "--users", users, "--listen",
                                                         listen, *options))
        wait_until(lambda: "serving WAL" in self.running.out or not self.running.alive, 60, "wal serve listens")
        assert self.running.alive, self.running.err

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.running.alive:
            self.running.signal(signal.SIGKILL)
            self.running.wait()

    def stop(self):
        self.running.signal(signal.SIGTERM)
        return self.running.wait(60).expect(0)

    def resident_megabytes(self):
        with open(f"/proc/{self.running.pid}/status", encoding="utf-8") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) // 1024

    def conninfo(self, *more, password=PASSWORD, user="replicator"):
        quoted = password.replace("\\", "\\\\").replace("'", "\\'")
        return " ".join([f"host={self.host.address} port={self.port} user={user} password='{quoted}'", *more])
