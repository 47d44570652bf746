"""Proof that no secret got where it does not belong: into a process list, an environment, a file, an output."""

import os
import stat
import threading
from pathlib import Path

from harness import sweep

_SAMPLE_SECONDS = 0.05
_PIECE_BYTES = 1 << 22  # read, not mapped: a running server may cut a file short meanwhile


def secrets_of(*hosts):
    """Every password in the hosts' own secret folders, and every token. Fails if these are not private."""
    found = set()
    for host in hosts:
        for path in host.secrets.rglob("*"):
            mode = stat.S_IMODE(path.stat().st_mode)
            allowed = 0o700 if path.is_dir() else 0o600
            assert mode & ~allowed == 0, f"{path} has mode {mode:o}"
            if path.suffix == ".pgpass":
                for line in path.read_text().splitlines():
                    if line and not line.startswith("#"):
                        found.add(line.rsplit(":", 1)[1])
            elif path.suffix == ".token":
                found.add(path.read_text().strip())
    assert found, "there are no secrets, so nothing could be proved"
    return found


class SecretScan:
    """Watches the process list of a network's hosts from construction on; `assert_absent` judges, once, at the end."""

    def __init__(self, network):
        self._network = network
        self._seen = set()
        self._failure = None
        self.rounds = 0  # how often it has looked at all of them
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self):
        try:
            while not self._stop.wait(_SAMPLE_SECONDS):
                for pid in sweep.pids_in(list(self._network.namespaces)):
                    for what in ("cmdline", "environ"):
                        try:
                            self._seen.add((what, Path(f"/proc/{pid}/{what}").read_bytes()))
                        except OSError:
                            pass  # it has ended
                self.rounds += 1
        except Exception as error:  # judged in assert_absent: a scan that died proves nothing
            self._failure = error

    def stop(self):
        self._stop.set()
        self._thread.join()

    def assert_absent(self, secrets, allowed=()):
        """No secret in a sampled command line or environment, in any file of the hosts but those of their secret
        folders and the `allowed` ones, or in the record of what the commands said."""
        self.stop()
        assert self._failure is None, f"the scan died: {self._failure!r}"
        assert len(self._seen) > 1, "no process was seen, so nothing was proved"
        needles = [secret.encode() for secret in secrets]
        assert all(len(needle) >= 8 for needle in needles), "a secret this short is found by chance"
        leaks = [f"{what} of a process: {content!r}" for what, content in self._seen
                 if any(needle in content for needle in needles)]
        leaks += [str(path) for path in self._files(allowed) if _contains(path, needles)]
        assert not leaks, "a secret is in:\n" + "\n".join(leaks)

    def _files(self, allowed):
        skipped = {Path(path) for path in allowed} | {host.secrets for host in self._network.hosts.values()}
        for root in (self._network.folder, self._network.log_folder):
            for folder, folders, names in os.walk(root):
                folders[:] = [name for name in folders if Path(folder, name) not in skipped]
                for name in names:
                    path = Path(folder, name)
                    if path not in skipped and path != self._network.program and path.is_file():
                        yield path


def _contains(path, needles):
    overlap = max(map(len, needles)) - 1
    try:
        with open(path, "rb") as file:
            kept = b""
            if os.fstat(file.fileno()).st_size == 0:
                return False  # the mark of a namespace is such a file, and cannot be read
            while piece := file.read(_PIECE_BYTES):
                piece = kept + piece
                if any(needle in piece for needle in needles):
                    return True
                kept = piece[-overlap:]
    except FileNotFoundError:
        pass  # the server removed it meanwhile
    return False
