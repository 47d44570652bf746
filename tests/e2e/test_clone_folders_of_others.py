"""Folders that are another's although their path, or the old data directory's links, say otherwise: the source's own on
the same host, and one folder under two paths. Nothing in them is renamed."""

import pytest

from harness.binaries import DEBIAN
from harness.clones import clone, clone_arguments, clone_environment, primary_by_hand, staging, tree
from harness.cluster import Cluster

CONTAINER = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")  # where no other process is seen


@pytest.fixture
def copied(pair):
    """A primary with its WAL and a tablespace elsewhere, and on the same host what cp -a makes of it: its links are
    the primary's own."""
    host = pair[0]
    host.run(["mkdir", "/tmp/space"]).expect(0)
    primary = primary_by_hand(host, DEBIAN, "--waldir=/tmp/wal")
    primary.psql("CREATE TABLESPACE space LOCATION '/tmp/space'")
    primary.psql("CREATE TABLE lies_there TABLESPACE space AS SELECT 7 AS seven")
    with open(primary.data / "pg_hba.conf", "a", encoding="utf-8") as hba:
        hba.write("local replication all trust\n")
    primary.psql("CHECKPOINT")
    primary.reload()
    copy = host.home / "copy"
    host.run(["sh", "-c", f"cp -a {host.data} {copy} && rm {copy}/postmaster.pid && touch {copy}/standby.signal"]).expect(0)
    return host, primary, copy


@pytest.mark.parametrize("how, options, says", [
    ((), (), ["/tmp/space", "the source's own"]),
    ((), ("-T", "/tmp/space=/tmp/space"), ["/tmp/space", "in use by the server"]),
    ((), ("-T", "/tmp/space=/tmp/new", "--waldir", "/tmp/wal"), ["/tmp/wal", "in use by the server"]),
    (CONTAINER, (), ["/tmp/space", "the source's own"]),
    (CONTAINER, ("-h", "/tmp"), ["/tmp/space", "the source's own"]),
])
def test_copy_by_hand_does_not_give_the_primarys_own_folders_away(copied, how, options, says):
    host, primary, copy = copied
    watched = [host.home, host.folder / "tmp/space", host.folder / "tmp/wal/archive_status"]
    before = [tree(folder) for folder in watched]
    command = host.standfast_command(*clone_arguments(host, host, "--replace", "-D", copy, *options))
    if "-h" in options:
        command += ["-p", str(primary.port)]
    result = host.run([*how, *command], env=clone_environment(), user="root" if how else "postgres")
    result.expect_error(9, *says, "hint: ")
    assert "-T " in result.err
    assert [tree(folder) for folder in watched] == before
    primary.psql("CHECKPOINT")
    assert primary.psql("SELECT seven FROM lies_there") == "7"


def test_copy_by_hand_is_replaced_where_its_folders_are_mapped(copied):
    host, primary, copy = copied
    clone(host, host, "--replace", "-D", copy, "-T", "/tmp/space=/tmp/new", "--waldir", "/tmp/newwal").expect(0)
    assert primary.psql("SELECT seven FROM lies_there") == "7"
    assert list((host.folder / "tmp/new").glob("PG_*"))


@pytest.mark.parametrize("option", ["waldir", "tablespace"])
def test_bind_mount_of_the_target_is_not_outside_of_it(pair, option):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    h2.run(["sh", "-c", f"mkdir -m 700 {h2.data} {h2.home}/alias"]).expect(0)
    h2.bind(h2.home / "alias", h2.data)
    if option == "waldir":
        options = ["--waldir", h2.home / "alias"]
    else:
        h1.run(["mkdir", "/tmp/space"]).expect(0)
        primary.psql("CREATE TABLESPACE space LOCATION '/tmp/space'")
        options = ["-T", f"/tmp/space={h2.home}/alias"]
    clone(h1, h2, *options).expect_error(9, f"{h2.home}/alias", "outside", "hint: ")
    assert list(h2.data.iterdir()) == [] and staging(h2) == []


def test_server_that_runs_in_the_target_is_seen_through_a_bind_mount_of_it(pair):
    h1, h2 = pair
    primary_by_hand(h1)
    old = Cluster(h2, DEBIAN).init().start()
    h2.run(["mkdir", "-m", "700", f"{h2.home}/alias"]).expect(0)
    h2.bind(h2.home / "alias", h2.data)
    clone(h1, h2, "-D", h2.home / "alias", "--replace").expect_error(20, "running", "hint: ")
    assert old.psql("SELECT 1") == "1" and not (h2.data / ".standfast").exists()
