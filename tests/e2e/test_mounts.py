"""Disks as they are: data directories, WAL folders and tablespaces that are mount points, that lie where only they may
be written, or that are given by a link. There the entries of a folder are exchanged, and the folder stays."""

import shutil

import pytest

from harness.binaries import DEBIAN, npm
from harness.clones import (assert_streams, clone, clone_arguments, clone_environment, fill, primary_by_hand, staging,
                            tree, verify_backup, wait_for_slots)
from harness.cluster import Cluster
from harness.steps import SLOT, assert_replicates, carry_token, join, set_up_primary

SEEDS = ("-R", "-C", "-S", SLOT)
AGAIN = ("-R", "-S", SLOT, "--replace")


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def old_in(folder):
    """What an exchange has kept in a folder."""
    (name,) = entries(folder / ".standfast")
    assert name.startswith("old-"), name
    return folder / ".standfast" / name


def old_cluster(host, binaries=DEBIAN):
    """A stopped server with something in it that must not be lost."""
    old = Cluster(host, binaries).init()
    old.start().psql("CREATE TABLE precious AS SELECT 7 AS seven")
    return old.stop()


def assert_precious(host, data, binaries=DEBIAN):
    """The old data directory, wherever it is now, is whole: a server starts on it and has what it had."""
    data.chmod(0o700)
    cluster = Cluster(host, binaries, data).start()
    assert cluster.psql("SELECT seven FROM precious") == "7"
    cluster.stop()


@pytest.mark.parametrize("major", [12, 15, 18])
def test_data_directory_that_is_a_mount_point(pair, major):
    h1, h2 = pair
    binaries = npm(major)
    primary = primary_by_hand(h1, binaries)
    h2.tmpfs(h2.data, 200)
    clone(h1, h2, *SEEDS).expect(0)
    assert staging(h2) == [] and ".standfast" not in entries(h2.data)
    assert h2.data.stat().st_mode & 0o777 == 0o700
    if 13 <= major <= 16:
        verify_backup(h2)
    assert_streams(primary, h2, binaries)


def test_mount_point_that_holds_something_else_is_refused(pair):
    h1, h2 = pair
    primary_by_hand(h1)
    h2.tmpfs(h2.data, 200)
    h2.run(["sh", "-c", f"echo precious > {h2.data}/notes"]).expect(0)
    before = tree(h2.cluster_folder)
    clone(h1, h2, *SEEDS, "--replace").expect_error(9, str(h2.data), "PG_VERSION", "hint: ")
    assert tree(h2.cluster_folder) == before


def test_lost_and_found_of_a_disk_counts_as_nothing_and_stays(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    h2.tmpfs(h2.data, 200)
    (h2.data / "lost+found").mkdir(mode=0o700)
    clone(h1, h2, *SEEDS).expect(0)
    assert "lost+found" in entries(h2.data)
    assert_streams(primary, h2)


@pytest.mark.parametrize("major", [12, 15, 18])
def test_old_directory_on_a_mount_point_is_kept_inside(pair, major):
    h1, h2 = pair
    binaries = npm(major)
    primary = primary_by_hand(h1, binaries)
    h2.tmpfs(h2.data, 300)
    old_cluster(h2, binaries)
    primary.psql(f"SELECT pg_create_physical_replication_slot('{SLOT}')")
    plan = clone(h1, h2, *AGAIN, "--dry-run").expect(0)
    assert "mount point" in plan.out and "pg_control last" in plan.out
    result = clone(h1, h2, *AGAIN).expect(0)
    kept = old_in(h2.data)
    assert str(kept) in result.out and "Base backups of this server would copy it" in result.err
    assert staging(h2) == []
    assert_streams(primary, h2, binaries).stop()
    assert_precious(h2, kept, binaries)


def test_old_directory_is_moved_to_another_disk(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    h2.tmpfs(h2.data, 300)
    old_cluster(h2)
    place = h2.tmpfs(h2.home / "kept", 200)
    plan = clone(h1, h2, "-R", "--replace", "--move-old-to", place, "--dry-run").expect(0)
    assert f'on to "{place}"' in plan.out
    result = clone(h1, h2, *SEEDS, "--replace", "--move-old-to", place).expect(0)
    assert str(place) in result.out and ".standfast" not in entries(h2.data)
    assert not [name for name in entries(place) if name.startswith(".")]
    assert_streams(primary, h2).stop()
    assert_precious(h2, place)


@pytest.mark.parametrize("mounted", [True, False])
def test_old_directory_is_renamed_on_the_same_disk(pair, mounted):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    disk = h2.tmpfs(h2.home / "disk", 300) if mounted else h2.cluster_folder
    data = disk / "main"
    old = Cluster(h2, DEBIAN, data).init()
    old.start().psql("CREATE TABLE precious AS SELECT 7 AS seven")
    old.stop()
    inode = (data / "PG_VERSION").stat().st_ino
    clone(h1, h2, "-D", data, *SEEDS, "--replace", "--move-old-to", disk / "before").expect(0)
    assert (disk / "before/PG_VERSION").stat().st_ino == inode
    assert entries(disk)[:2] == ["before", "main"]
    assert_precious(h2, disk / "before")


def test_too_little_room_for_the_old_directory_is_told_before_anything_is_stopped(pair):
    h1, h2 = pair
    primary_by_hand(h1)
    old = Cluster(h2, DEBIAN).init().start()
    before = old.psql("SELECT pg_postmaster_start_time()")
    place = h2.tmpfs(h2.home / "kept", 4)
    result = clone(h1, h2, "-R", "--replace", "--stop", "--move-old-to", place)
    result.expect_error(11, "the old directory needs", str(place), "hint: ")
    assert old.psql("SELECT pg_postmaster_start_time()") == before and staging(h2) == []


def test_too_little_room_for_the_copy_is_told_before_anything_is_stopped(pair):
    h1, h2 = pair
    fill(primary_by_hand(h1), 60)
    h2.tmpfs(h2.data, 100)
    old = Cluster(h2, DEBIAN).init().start()
    before = old.psql("SELECT pg_postmaster_start_time()")
    clone(h1, h2, "-R", "--replace", "--stop").expect_error(11, str(h2.data), "free", "hint: ")
    assert old.psql("SELECT pg_postmaster_start_time()") == before
    assert ".standfast" not in entries(h2.data) and staging(h2) == []


@pytest.mark.parametrize("mounted", ["", "base"])
def test_room_is_that_of_the_disk_that_takes_the_copy(pair, mounted):
    """Of the target itself, or of the folder in it that nearly all of a data directory is in; not of what is above."""
    h1, h2 = pair
    set_up_primary(h1, h2)
    h2.run(["mkdir", "-m", "700", h2.data]).expect(0)
    disk = h2.tmpfs(h2.data / mounted, 8)
    token = carry_token(h1, h2)
    for option in ([], ["--dry-run"]):
        result = join(h2, token, *option)
        result.expect_error(11, f'the disk of "{disk}" has', "hint: ")
        assert "receive" not in result.out and "checkpoint" not in result.out, "it is told before anything is begun"
    assert entries(h2.data) == ([mounted] if mounted else []) and staging(h2) == []


def test_room_of_a_disk_in_the_target_is_told_by_its_own_name(pair):
    h1, h2 = pair
    primary_by_hand(h1)
    h2.run(["mkdir", "-m", "700", h2.data]).expect(0)
    disk = h2.tmpfs(h2.data / "base", 8)
    clone(h1, h2, "-R").expect_error(11, f'the disk of "{disk}" has', "hint: ")


def test_join_on_a_disk_replaces_what_runs_there_and_moves_it_away(pair):
    h1, h2 = pair
    set_up_primary(h1, h2)
    h2.tmpfs(h2.data, 300)
    old = old_cluster(h2).start()
    token, place = carry_token(h1, h2), h2.home / "kept"
    plan = join(h2, token, "--replace", "--stop", "--move-old-to", place, "--dry-run").expect(0)
    assert "pg_control last" in plan.out and str(place) in plan.out and old.running
    result = join(h2, token, "--replace", "--stop", "--move-old-to", place).expect(0)
    assert str(place) in result.out and ".standfast" not in entries(h2.data)
    assert_replicates(h1, h2)
    h2.standfast("standby", "stop", "-D", h2.data).expect(0)
    assert_precious(h2, place)


@pytest.mark.parametrize("major", [12, 15, 18])
def test_seed_with_data_directory_and_tablespace_on_disks_of_their_own(pair, major):
    h1, h2 = pair
    binaries = npm(major)
    for host in pair:  # before a server starts, which sees only what is mounted by then
        host.tmpfs(host.folder / "tmp" / "space", 60)
    set_up_primary(h1, h2, binaries=binaries)
    h1.psql("CREATE TABLESPACE space LOCATION '/tmp/space'")
    h1.psql("CREATE TABLE in_space TABLESPACE space AS SELECT generate_series(1, 1000) AS i")
    h2.tmpfs(h2.data, 300)
    join(h2, carry_token(h1, h2), binaries=binaries).expect(0)
    assert_replicates(h1, h2)
    assert h2.psql("SELECT sum(i) FROM in_space") == "500500"
    for folder in (h2.data, h2.folder / "tmp" / "space"):
        assert folder.is_mount() and ".standfast" not in entries(folder)
    h1.psql("INSERT INTO in_space VALUES (1)")
    h1.standfast("verify", "-D", h1.data, "--create-database").expect(0)
    h2.standfast("verify", "-D", h2.data).expect(0)
    assert h2.psql("SELECT sum(i) FROM in_space") == "500501"
    for action in ("stop", "start"):
        h2.standfast("standby", action, "-D", h2.data, "--pg-bin", binaries).expect(0)


@pytest.mark.parametrize("place, code, says", [("relative", 2, "absolute"), ("{data}/inside", 9, "outside"),
                                               ("{home}/full", 9, "not empty"), ("/nowhere/else", 9, "/nowhere")])
def test_place_for_the_old_directory_that_cannot_be_one_is_refused(pair, place, code, says):
    h1, h2 = pair
    primary_by_hand(h1)
    old_cluster(h2)
    h2.run(["sh", "-c", f"mkdir {h2.home}/full; echo x > {h2.home}/full/x"]).expect(0)
    before = tree(h2.cluster_folder)
    place = place.format(data=h2.data, home=h2.home)
    clone(h1, h2, "-R", "--replace", "--move-old-to", place).expect_error(code, says, "hint: ")
    clone(h1, h2, "-R", "--move-old-to", h2.home / "kept").expect_error(2, "--replace", "hint: ")
    assert tree(h2.cluster_folder) == before


def test_parent_that_may_not_be_written(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    old_cluster(h2)
    shutil.chown(h2.cluster_folder, "root", "root")
    clone(h1, h2, *SEEDS, "--replace").expect(0)
    kept = old_in(h2.data)
    shutil.chown(h2.cluster_folder, "postgres", "postgres")
    assert staging(h2) == []
    assert_streams(primary, h2).stop()
    assert_precious(h2, kept)


def test_link_to_the_data_directory(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    h2.run(["sh", "-c", f"mkdir -m 700 {h2.home}/real; ln -s {h2.home}/real {h2.data}"]).expect(0)
    result = clone(h1, h2, *SEEDS).expect(0)
    assert "symbolic link" in result.err + result.out and str(h2.home / "real") in result.err + result.out
    assert h2.data.is_symlink() and (h2.home / "real/PG_VERSION").exists()
    verify_backup(h2)
    assert_streams(primary, h2)


@pytest.mark.parametrize("command", ["clone", "join"])
def test_link_to_a_directory_that_a_killed_run_has_moved_aside(pair, command):
    """The link leads nowhere then; the next run brings the directory back before it judges the link."""
    h1, h2 = pair
    real = h2.home / "real"
    if command == "clone":
        primary_by_hand(h1)
        run = clone_arguments(h1, h2, "-R", "--replace")
    else:
        set_up_primary(h1, h2)
        run = ["join", "-D", h2.data, "--token-file", carry_token(h1, h2), "--replace"]
    old_cluster(h2)
    h2.run(["sh", "-c", f"mv {h2.data} {real} && ln -s {real} {h2.data}"]).expect(0)
    killer = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat2", "-e",
              "inject=renameat2:signal=SIGKILL:when=3"]  # the journal, the old directory aside, the copy
    h2.run([*killer, *h2.standfast_command(*run)], env=clone_environment()).expect(-9)
    assert h2.data.is_symlink() and not h2.data.exists()
    plan = h2.standfast(*run, "--dry-run", env=clone_environment()).expect(0)
    assert "rename back" in plan.out + plan.err and not h2.data.exists()
    Cluster(h1, DEBIAN).stop()
    assert h2.standfast(*run, env=clone_environment()).code == 6
    assert_precious(h2, real)
    Cluster(h1, DEBIAN).start()
    h2.standfast(*run, env=clone_environment()).expect(0)
    assert h2.data.is_symlink() and (real / "standby.signal").exists()


def test_link_that_leads_nowhere_is_refused(pair):
    h1, h2 = pair
    primary_by_hand(h1)
    h2.run(["ln", "-s", "/nowhere", h2.data]).expect(0)
    clone(h1, h2, "-R").expect_error(9, str(h2.data), "symbolic link", "hint: ")
    assert staging(h2) == []


@pytest.mark.parametrize("major", [12, 15, 18])
def test_wal_on_a_disk_mounted_in_the_data_directory(pair, major):
    """First into a directory that was prepared for it, then over the old one."""
    h1, h2 = pair
    binaries = npm(major)
    primary = primary_by_hand(h1, binaries)
    h2.run(["mkdir", "-m", "700", h2.data]).expect(0)
    disk = h2.tmpfs(h2.data / "pg_wal", 200)
    clone(h1, h2, *SEEDS).expect(0)
    assert entries(h2.data)[0] != ".standfast" and disk.is_mount() and ".standfast" not in entries(disk)
    standby = assert_streams(primary, h2, binaries)
    standby.stop()
    clone(h1, h2, *AGAIN).expect(0)
    kept, kept_wal = old_in(h2.data), old_in(disk)
    assert disk.is_mount() and (kept / "pg_wal").readlink() == kept_wal
    primary.psql("DROP TABLE arrives")
    assert_streams(primary, h2, binaries).stop()
    Cluster(h2, binaries, kept).start().stop()


@pytest.mark.parametrize("major", [12, 15, 18])
def test_tablespace_and_waldir_that_are_disks_are_exchanged_with_the_old_ones(pair, major):
    h1, h2 = pair
    binaries = npm(major)
    primary = primary_by_hand(h1, binaries)
    h1.run(["mkdir", "/tmp/space"]).expect(0)
    primary.psql("CREATE TABLESPACE disk LOCATION '/tmp/space'")
    primary.psql("CREATE TABLE lies_there TABLESPACE disk AS SELECT 1 AS one")
    space, wal = h2.tmpfs(h2.folder / "disks/space", 200), h2.tmpfs(h2.folder / "disks/wal", 200)
    places = ("-T", f"/tmp/space={space}", "--waldir", wal)
    clone(h1, h2, *SEEDS, *places).expect(0)
    assert ".standfast" not in entries(space) + entries(wal)
    assert_streams(primary, h2, binaries).stop()
    primary.psql("UPDATE lies_there SET one = 2")
    clone(h1, h2, "-R", "-S", SLOT, *places).expect_error(9, str(h2.data))
    result = clone(h1, h2, *AGAIN, *places).expect(0)
    (aside,) = staging(h2)
    assert str(old_in(space)) in result.err + result.out and str(old_in(wal)) in result.err + result.out
    primary.psql("DROP TABLE arrives")
    standby = assert_streams(primary, h2, binaries)
    assert standby.psql("SELECT one FROM lies_there") == "2"
    standby.stop()
    # The old one shares nothing with it: started for itself, it still has what it had.
    old = Cluster(h2, binaries, h2.cluster_folder / aside)
    (old.data / "standby.signal").unlink()
    assert old.start().psql("SELECT one FROM lies_there") == "1"
    old.stop()


def test_folder_with_what_is_nobodys_is_refused_even_if_the_old_directory_uses_it(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1)
    for host in pair:
        host.run(["mkdir", "/tmp/space"]).expect(0)
    primary.psql("CREATE TABLESPACE disk LOCATION '/tmp/space'")
    clone(h1, h2, *SEEDS).expect(0)
    h2.run(["touch", "/tmp/space/notes"]).expect(0)
    before = tree(h2.cluster_folder), tree(h2.folder / "tmp/space")
    clone(h1, h2, *AGAIN).expect_error(9, "/tmp/space", "notes", "hint: ")
    assert (tree(h2.cluster_folder), tree(h2.folder / "tmp/space")) == before
    wait_for_slots(primary, {SLOT: ("f", "f")})  # a temporary one ends with its connection


def test_data_directory_and_wal_disk_too_small_are_told(pair):
    h1, h2 = pair
    primary_by_hand(h1)
    h2.tmpfs(h2.data, 16)
    clone(h1, h2, "-R").expect_error(11, str(h2.data), "MiB", "hint: ")
    assert entries(h2.data) == []
