"""Removes what the networks of tests leave: processes, namespaces, mounts, folders.

Run as a program it removes those of test runs that are no longer alive, as after a SIGKILL.
"""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

FOLDER = Path("/var/tmp")  # not /tmp: each host sees a /tmp of its own
NETNS = Path("/run/netns")
_NAME = re.compile(r"sf(\d+)n\d+")


def pids_in(namespaces):
    """The processes in the named network namespaces."""
    inodes = {os.stat(NETNS / name).st_ino for name in namespaces if (NETNS / name).exists()}
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if os.stat(f"/proc/{entry.name}/ns/net").st_ino in inodes:
                    found.append(int(entry.name))
            except OSError:
                pass  # it has ended
    return found


def kill_all_in(namespaces):
    end = time.monotonic() + 120  # one that writes to a slow disk ends when that is done
    while pids := pids_in(namespaces):
        assert time.monotonic() < end, f"processes that cannot be killed: {pids}"
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.02)


def mounts_under(folder):
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [path for path in (line.split()[4] for line in lines) if path.startswith(f"{folder}/")]


def _unmount(path):
    """What has ended is without its namespaces a moment before it has let go of its files."""
    end = time.monotonic() + 60
    while (done := subprocess.run(["umount", path], capture_output=True, text=True, check=False)).returncode != 0:
        assert time.monotonic() < end, done.stderr
        time.sleep(0.05)


def remove(name):
    """Everything of the network of this name: all that runs in its namespaces is its own."""
    namespaces = [path.name for path in NETNS.glob(f"{name}-*")]
    kill_all_in(namespaces)
    for path in reversed(mounts_under(FOLDER / name)):
        _unmount(path)
    for namespace in namespaces:
        subprocess.run(["ip", "netns", "delete", namespace], check=True)
    shutil.rmtree(FOLDER / name, ignore_errors=True)


def claim(folder):
    """Locks a network's folder for as long as this process lives and keeps what this returns. The file has its name
    only once it is locked: whoever finds it there unlocked knows that its owner is dead."""
    owner = open(folder / "owner.new", "w", encoding="utf-8")
    fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    (folder / "owner.new").rename(folder / "owner")
    return owner


def _owner_lives(name):
    if not Path(f"/proc/{_NAME.match(name)[1]}").exists():
        return False
    try:
        with open(FOLDER / name / "owner", encoding="utf-8") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return True  # just made, or just being removed, by a living process


def remove_orphans():
    names = {path.name for path in FOLDER.glob("sf*")} | {path.name.split("-")[0] for path in NETNS.glob("sf*-*")}
    for name in sorted(names):
        if _NAME.fullmatch(name) and not _owner_lives(name):
            remove(name)


if __name__ == "__main__":
    remove_orphans()
