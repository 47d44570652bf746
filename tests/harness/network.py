"""Hosts as the tests have them.

A host is a network namespace on a switch, which is a namespace too, so nothing of it is in the machine's own network
and every host has its own port 5432. Its programs see their own /tmp, /dev/shm, home of postgres, /run/postgresql and
/etc/postgresql (bind mounts in a mount namespace of their own), and a host name. All its files lie under
`host.folder`, where the tests see them. The machine's own clusters are out of sight.
"""

import csv
import itertools
import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import sweep
from harness.binaries import DEBIAN
from harness.processes import Running, Terminal
from harness.waiting import wait_until

_counter = itertools.count(1)
_ENTER = """
hostname "$1"; shift
while [ "$1" != -- ]; do mount --rbind "$1" "$2"; shift 2; done; shift
exec "$@"
"""


def _ip(*args):
    subprocess.run(["ip", *args], check=True)


class Network:
    """A switch and its hosts; `close` removes everything again."""

    def __init__(self, log_folder):
        if os.geteuid() != 0:
            pytest.fail("network namespaces need root: run the tests as root or with sudo")
        self.name = f"sf{os.getpid()}n{next(_counter)}"
        self.folder = sweep.FOLDER / self.name
        self.log_folder = log_folder
        self.numbers = itertools.count(1)
        self.hosts = {}
        self._switch = f"{self.name}-switch"
        shutil.rmtree(log_folder, ignore_errors=True)
        log_folder.mkdir(parents=True)
        self.folder.mkdir(mode=0o755)
        self._claim = sweep.claim(self.folder)
        self.program = self._place_program()
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "br0", "up")

    def _place_program(self):
        """A copy that user postgres can read wherever the checkout is, and that a build cannot change under a test."""
        built = Path(os.environ.get("STANDFAST_BIN", Path(__file__).parents[2] / "build/release/standfast"))
        placed = self.folder / "standfast"
        if built.exists():
            shutil.copy(built, placed)
            placed.chmod(0o755)
        return placed

    @property
    def namespaces(self):
        return [self._switch] + [host.namespace for host in self.hosts.values()]

    def host(self, name, address):
        """Adds a host: `address` is its IPv4 one; its IPv6 one is fd00:20:: with the same last number."""
        host = Host(self, name, address)
        self.hosts[name] = host
        _ip("netns", "add", host.namespace)
        _ip("-n", self._switch, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
        _ip("-n", self._switch, "link", "set", name, "master", "br0", "up")
        _ip("-n", host.namespace, "addr", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", host.namespace, "addr", "add", f"{host.address6}/64", "dev", "eth0", "nodad")
        _ip("-n", host.namespace, "link", "set", "eth0", "up")
        _ip("-n", host.namespace, "link", "set", "lo", "up")
        return host

    def link_down(self, host):
        """Pulls the plug of a host: nothing arrives, nobody is told."""
        _ip("-n", self._switch, "link", "set", host.name, "down")

    def link_up(self, host):
        """It carries again when this returns; the kernel takes up to a second to notice."""
        _ip("-n", self._switch, "link", "set", host.name, "up")

        def carries(namespace, name):
            shown = subprocess.run(["ip", "-n", namespace, "-o", "link", "show", "dev", name], capture_output=True,
                                   text=True, check=True).stdout
            return " state UP " in shown

        wait_until(lambda: carries(self._switch, host.name) and carries(host.namespace, "eth0"), 30, "the link up again")

    def limit_rate(self, host, megabits_per_second):
        """Slows what goes to a host down."""
        subprocess.run(["tc", "-n", self._switch, "qdisc", "replace", "dev", host.name, "root", "tbf", "rate",
                        f"{megabits_per_second}mbit", "burst", "64k", "latency", "100ms"], check=True)

    def delay(self, host, milliseconds):
        """Delays what goes to a host; skips the test where the kernel has no netem."""
        done = subprocess.run(["tc", "-n", self._switch, "qdisc", "replace", "dev", host.name, "root", "netem",
                               "delay", f"{milliseconds}ms"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"this kernel cannot delay packets: {done.stderr.strip()}")

    def keep_logs(self):
        """Copies the servers' logs and the configuration beside the record of a failed test."""
        for pattern in ("*.log", "log/*", "*.conf", "backup_label", "*.signal"):
            for path in self.folder.rglob(pattern):
                if path.is_file() and path.stat().st_size < 4_000_000:
                    kept = self.log_folder / "files" / path.relative_to(self.folder)
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, kept)

    def close(self):
        sweep.remove(self.name)
        self._claim.close()


class Host:
    """One machine of the test. Programs run as user postgres unless told otherwise.

    `data` is where its cluster goes, in a folder (`cluster_folder`) that has nothing else in it; `secrets` is
    Standfast's own folder, of its server's user.
    """

    def __init__(self, network, name, address):
        self.network, self.name, self.address = network, name, address
        self.address6 = f"fd00:20::{address.rpartition('.')[2]}"
        self.namespace = f"{network.name}-{name}"
        self.folder = network.folder / name
        self.cluster_folder = self.folder / "pg"
        self.data = self.cluster_folder / "data"
        self.home = self.folder / "home"
        self.secrets = self.home / ".standfast"
        self._outputs = self.folder / "outputs"
        self._ipc = self.folder / "ipc"
        self._make_folders()

    def _make_folders(self):
        postgres = pwd.getpwnam("postgres")
        self.folder.mkdir(mode=0o755)
        self._outputs.mkdir(mode=0o700)
        self._binds = []
        for folder, place, mode in ((self.cluster_folder, None, 0o755), (self.home, postgres.pw_dir, 0o755),
                                    (self.folder / "run", "/run/postgresql", 0o2775),
                                    (self.folder / "etc", "/etc/postgresql", 0o755),
                                    (self.folder / "log", "/var/log/postgresql", 0o1775),
                                    (self.folder / "tmp", "/tmp", 0o1777), (self.folder / "shm", "/dev/shm", 0o1777)):
            folder.mkdir()
            folder.chmod(mode)
            if folder.name not in ("tmp", "shm"):
                os.chown(folder, postgres.pw_uid, postgres.pw_gid)
            if place:
                os.makedirs(place, exist_ok=True)
                self._binds += [str(folder), place]
        self._ipc.touch()
        subprocess.run(["unshare", f"--ipc={self._ipc}", "true"], check=True)

    def _command(self, args, user):
        enter = ["nsenter", f"--net=/run/netns/{self.namespace}", f"--ipc={self._ipc}", "--", "unshare", "--mount",
                 "--uts", "--propagation", "slave", "--", "/bin/sh", "-ec", _ENTER, "sh", self.name, *self._binds, "--"]
        if user != "root":
            group = str(pwd.getpwnam(user).pw_gid)
            enter += ["setpriv", f"--reuid={user}", f"--regid={group}", "--init-groups", "--"]
        return enter + args

    def _environment(self, user, changes):
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
               "HOME": pwd.getpwnam(user).pw_dir, "USER": user, "LOGNAME": user, "STANDFAST_HOME": str(self.secrets)}
        env.update((name, value) for name, value in os.environ.items()
                   if name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"))
        for name, value in (changes or {}).items():
            env[name] = value
        return {name: str(value) for name, value in env.items() if value is not None}

    def start(self, args, *, user="postgres", env=None, stdin=None, record=True):
        """Starts a program and goes on. A value of None in `env` takes that variable away. `record=False` is for one
        that shows a secret on purpose: its output is kept nowhere."""
        args = [str(arg) for arg in args]
        return Running(self, args, self._command(args, user), self._environment(user, env), self._outputs, stdin, record)

    def terminal(self, args, *, user="postgres", env=None, record=True):
        """Starts a program on a terminal."""
        args = [str(arg) for arg in args]
        return Terminal(self, args, self._command(args, user), self._environment(user, env), record)

    def run(self, args, *, user="postgres", env=None, stdin=None, tty=False, timeout=120, record=True):
        """Runs a program to its end, whatever its exit code."""
        if tty:
            return self.terminal(args, user=user, env=env, record=record).finish(timeout)
        return self.start(args, user=user, env=env, stdin=stdin, record=record).wait(timeout)

    def standfast(self, *args, **options):
        """Runs the program under test to its end. A finding of a sanitizer fails the test whatever its exit code."""
        result = self.run(self.standfast_command(*args), **options)
        assert "Sanitizer" not in result.err and "runtime error:" not in result.err, f"sanitizer:\n{result}"
        return result

    def standfast_command(self, *args):
        program = self.network.program
        assert program.exists(), "the program is not built: cmake --preset release && cmake --build --preset release"
        return [str(program), *map(str, args)]

    def psql(self, sql, *, database="postgres", data=None, timeout=120):
        """The result of SQL on this host's server over its socket: rows as lines, columns parted by |."""
        return self._psql(["-At"], sql, database, data, timeout).out.rstrip("\n")

    def rows(self, sql, *, database="postgres", data=None, timeout=120):
        """The same as a list of dicts, one a row; every value is a string."""
        text = self._psql(["--csv"], sql, database, data, timeout).out
        return list(csv.DictReader(text.splitlines()))

    def _psql(self, format_options, sql, database, data, timeout):
        port, socket_folder = self.server_socket(data)
        return self.run([DEBIAN.program("psql"), "-Xq", "-v", "ON_ERROR_STOP=1", *format_options, "-h", socket_folder,
                         "-p", port, "-d", database, "-c", sql], timeout=timeout).expect(0)

    def server_socket(self, data=None):
        """Port and socket folder of the server that runs here, from its postmaster.pid."""
        lines = ((data or self.data) / "postmaster.pid").read_text().splitlines()
        return lines[3], lines[4]

    def write(self, path, text, *, mode=0o600, user="postgres"):
        """Writes a file that belongs to `user`; relative paths are in the host's own folder."""
        path = self.folder / path
        path.touch(mode=mode)
        path.chmod(mode)
        shutil.chown(path, user)
        path.write_text(text)
        return path

    def tmpfs(self, path, megabytes):
        """A small disk of the server's user at a folder of this host, which is made when it is missing."""
        path.mkdir(parents=True, exist_ok=True)
        owner = pwd.getpwnam("postgres")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755,uid={owner.pw_uid},"
                        f"gid={owner.pw_gid}", "tmpfs", str(path)], check=True)
        return path

    def bind(self, place, source=None):
        """Puts a folder or a file of this host in the place of one of the machine's; a folder that is not given is made,
        empty. Every program that starts afterwards sees it there."""
        if source is None:
            source = self.folder / "places" / str(place).strip("/").replace("/", "-")
            source.mkdir(parents=True)
            os.makedirs(place, exist_ok=True)
        self._binds += [str(source), str(place)]
        return Path(source)

    def real(self, place):
        """Where the tests see what this host sees at a place."""
        for source, bound in reversed([*zip(self._binds[::2], self._binds[1::2])]):
            if Path(place).is_relative_to(bound):
                return Path(source) / Path(place).relative_to(bound)
        return Path(place)

    def record(self, result):
        with open(self.network.log_folder / "commands.txt", "a", encoding="utf-8") as log:
            log.write(f"{self.name}{result}\n\n")
