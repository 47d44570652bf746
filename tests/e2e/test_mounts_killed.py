"""One hundred kills while the entries of a data directory are exchanged: after the next run there is the old directory
or the new one, whole, and in between nothing that PostgreSQL starts on."""

import random
import re
import shutil

import pytest

from harness.binaries import DEBIAN
from harness.clones import clone_arguments, clone_environment, primary_by_hand, tree, verify_backup
from harness.cluster import Cluster
from harness.network import Network

PIECES, KILLS = 10, 10
_TRACE = "trace=renameat2"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """One primary for all pieces that a worker has."""
    network = Network(tmp_path_factory.mktemp("killed") / "log")
    try:
        h1 = network.host("h1", "10.20.20.1")
        primary_by_hand(h1)
        yield network, h1
    finally:
        network.close()


class Victim:
    """A host with a data directory on a disk of its own, and runs that are killed at their n-th rename."""

    def __init__(self, network, source, number):
        self.source = source
        self.host = network.host(f"k{number}", f"10.20.20.{number + 10}")
        self.data = self.host.tmpfs(self.host.data, 400)
        self.run().expect(0)

    def run(self, *options, tracer=()):
        """A whole clone, traced or not."""
        command = self.host.standfast_command(*clone_arguments(self.source, self.host, "-R", "--replace", *options))
        return self.host.run([*tracer, *command], env=clone_environment())

    def renames(self):
        """How many renames a run makes, and which of them is the first of the exchange."""
        self.run(tracer=["strace", "-f", "-qq", "-e", _TRACE, "-o", "/tmp/trace"]).expect(0)
        lines = (self.host.folder / "tmp/trace").read_text().splitlines()
        thread = [line.split()[0] for line in lines if "/.standfast/old-" in line][0]  # each is counted for itself
        lines = [line for line in lines if line.split()[0] == thread and "rename" in line and "resumed" not in line]
        first = [number for number, line in enumerate(lines, 1) if "/.standfast/old-" in line][0]
        assert "/global" in lines[first - 1] and "/global" in lines[-1], "pg_control goes first and comes last"
        return first, len(lines)

    def killed(self, number, *options):
        """Before its n-th rename."""
        return self.run(*options, tracer=["strace", "-f", "-qq", "-o", "/dev/null", "-e", _TRACE, "-e",
                                          f"inject=renameat2:signal=SIGKILL:when={number}"]).code == -9

    def killed_late(self):
        """When all is in place and only the journal is to go; that of a run before goes first."""
        journal = self.data / ".standfast/clone.json"
        number = 2 if journal.exists() else 1
        return self.run(tracer=["strace", "-f", "-qq", "-o", "/dev/null", "-P", journal, "-e", "trace=unlinkat", "-e",
                                f"inject=unlinkat:signal=SIGKILL:when={number}"]).code == -9

    def next_run(self, kill_at=None):
        """One that ends what a killed one had begun, and then does not reach a primary."""
        if kill_at and self.killed(kill_at, "-p", "54321"):
            return False
        self.run("-p", "54321").expect(6)
        return True

    def kept(self):
        return sorted((self.data / ".standfast").glob("old-*"))

    def tree(self):
        """The data directory without what is only Standfast's."""
        return without_own(tree(self.data))

    def refuses_to_start(self):
        """PostgreSQL finds no pg_control, whatever else is there."""
        result = self.host.run([DEBIAN.program("postgres"), "-D", self.data])
        assert result.code != 0 and re.search("PG_VERSION|pg_control|could not find|no such file", result.err, re.I), result


def without_own(files):
    return {name: facts for name, facts in files.items() if name != "." and name.split("/")[0] != ".standfast"}


@pytest.mark.parametrize("piece", range(PIECES))
def test_killed_while_the_entries_are_exchanged(world, piece):
    network, h1 = world
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    victim = Victim(network, h1, piece)
    first, last = victim.renames()
    for path in victim.kept():
        shutil.rmtree(path)
    halves = 0
    late = dice.randrange(KILLS)
    for kill in range(KILLS):
        before = victim.tree()
        if kill == late:
            assert victim.killed_late() and victim.next_run()
            assert_new_and_kept(victim, before)
            continue
        at = dice.randint(first, last)
        assert victim.killed(at), f"it came to its end before rename {at}"
        half = not (victim.data / "global/pg_control").exists()
        halves += half
        if half and kill % 3 == 0:
            victim.refuses_to_start()
        while not victim.next_run(kill_at=dice.randint(1, last - first) if dice.random() < 0.4 else None):
            assert (victim.data / "global/pg_control").exists() <= (victim.tree() == before)
        assert victim.tree() == before and victim.kept() == [], f"rename {at} of {last}: the old one is not back"
    assert halves >= KILLS // 2
    before = victim.tree()
    victim.run().expect(0)
    assert_new_and_kept(victim, before)
    Cluster(victim.host, DEBIAN).start().stop("immediate")


def assert_new_and_kept(victim, before):
    """The new directory is in place, and the old one whole in its own."""
    (kept,) = victim.kept()
    assert without_own(tree(kept)) == before
    verify_backup(victim.host, "--ignore", ".standfast")
    shutil.rmtree(kept)


def test_plan_says_what_an_interrupted_run_has_left_and_changes_nothing(world):
    network, h1 = world
    victim = Victim(network, h1, PIECES)
    first, last = victim.renames()
    for path in victim.kept():
        shutil.rmtree(path)
    before = victim.tree()
    assert victim.killed((first + last) // 2)
    half = tree(victim.data)
    plan = victim.run("--dry-run").expect(0)
    assert "would first rename back" in plan.out and "pg_control last" in plan.out
    assert tree(victim.data) == half
    victim.next_run()
    assert victim.tree() == before
