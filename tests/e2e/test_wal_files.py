"""Folders of WAL as files: `wal get` for a real recovery, `wal list`, `wal verify`, and segments that are packed; filled
by `wal receive` and by PostgreSQL's own pg_receivewal."""

import shutil
import signal
from types import SimpleNamespace

import pytest

from harness.binaries import DEBIAN
from harness.clones import clone_environment, primary_by_hand
from harness.cluster import Cluster
from harness.waiting import wait_until

MIB = 1 << 20
RECEIVERS = {
    "pg_receivewal": ["--synchronous"],
    "pg_receivewal-lz4": ["--synchronous", "--compress=lz4"],
    "pg_receivewal-gzip": ["--compress=gzip:1"],
    "standfast": ["--synchronous"],
    "standfast-zstd": ["--synchronous", "-Z", "zstd:3"],
    "standfast-lz4": ["--synchronous", "--compress=lz4"],
}
PACKED = {"pg_receivewal-lz4": ".lz4", "pg_receivewal-gzip": ".gz", "standfast-zstd": ".zst", "standfast-lz4": ".lz4"}
# pg_receivewal packs the segment that is not full as well, and that one is of no use before it is.
WITHOUT_LAST_SEGMENT = ("pg_receivewal-lz4", "pg_receivewal-gzip")


def receive(host, name, folder):
    """A receiver of that kind, at work, with a slot of its own."""
    folder.mkdir()
    shutil.chown(folder, "postgres", "postgres")
    login = ["-h", host.address, "-U", "replicator", "-D", folder, "-S", name.replace("-", "_"), *RECEIVERS[name]]
    if name.startswith("pg_receivewal"):
        command = [DEBIAN.program("pg_receivewal"), "-w", *login]
    else:
        command = host.standfast_command("wal", "receive", "-w", *login)
    return host.start(command, env=clone_environment())


def whole_segments(folder):
    return sorted(path.name for path in folder.iterdir() if path.name[:8] == "00000001" and ".partial" not in path.name)


@pytest.fixture(scope="module")
def world(shared_network):
    """A primary that is gone, a copy of it from before, and folders with all the WAL since."""
    host = shared_network.host("h1", "10.20.20.1")
    primary = primary_by_hand(host, DEBIAN, "--wal-segsize=1", max_wal_senders=20, max_replication_slots=20)
    folders = {name: host.home / f"wal-{name}" for name in RECEIVERS}
    for name in RECEIVERS:
        primary.psql(f"SELECT pg_create_physical_replication_slot('{name.replace('-', '_')}', true)")
    running = {name: receive(host, name, folders[name]) for name in RECEIVERS}
    backup = host.home / "backup"
    host.run([DEBIAN.program("pg_basebackup"), "-h", host.address, "-U", "replicator", "-w", "-D", backup, "-X", "none",
              "-c", "fast", "--no-slot"], env=clone_environment()).expect(0)
    primary.psql("CREATE TABLE t AS SELECT i, repeat(md5(i::text), 10) AS text FROM generate_series(1, 20000) i")
    for _ in range(3):
        primary.psql("INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 5000) i")
    primary.psql("SELECT pg_switch_wal()")
    rows_before_last = int(primary.psql("SELECT count(*) FROM t"))
    primary.psql("INSERT INTO t VALUES (0, 'last')")
    end = primary.psql("SELECT pg_current_wal_flush_lsn()")
    flushed = ("SELECT count(*) FROM pg_replication_slots s JOIN pg_stat_replication r ON r.pid = s.active_pid "
               f"WHERE r.flush_lsn >= '{end}' OR (s.slot_name = 'pg_receivewal_gzip' AND r.write_lsn >= '{end}')")
    wait_until(lambda: int(primary.psql(flushed)) == len(RECEIVERS), 120, f"all receivers at {end}")
    for name in ("standfast-zstd", "standfast-lz4"):
        # All but the last whole one get packed while the stream goes on.
        wait_until(lambda folder=folders[name]: sum("." not in file for file in whole_segments(folder)) <= 1, 120,
                   f"{name} has packed its segments")
    primary.stop("immediate")  # its receivers see the connection break
    for name, program in running.items():
        program.signal(signal.SIGINT)
        program.wait(60)
    return SimpleNamespace(host=host, folders=folders, backup=backup, end=end, rows=rows_before_last + 1,
                           rows_before_last=rows_before_last)


def recovery(world, folder, name):
    """A copy of the backup that is to recover with that folder's WAL alone."""
    data = world.host.home / f"recovered-{name}"
    world.host.run(["cp", "-a", world.backup, data]).expect(0)
    server = Cluster(world.host, DEBIAN, data)
    command = f"{world.host.network.program} wal get %f %p -D {folder}"
    server.configure(port=5499, restore_command=f"'{command}'", wal_level="replica")
    (data / "recovery.signal").touch()
    shutil.chown(data / "recovery.signal", "postgres")
    return server


def log_of(server):
    return (server.data.parent / f"{server.data.name}.log").read_text()


def copied(world, name, to):
    folder = world.host.home / to
    world.host.run(["cp", "-a", world.folders[name], folder]).expect(0)
    return folder


def flip(path, offset):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


@pytest.mark.quick
@pytest.mark.parametrize("name", RECEIVERS)
def test_recovery_from_a_folder(world, name):
    folder = world.folders[name]
    if name in PACKED:
        assert any(file.endswith(PACKED[name]) for file in whole_segments(folder))
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    server = recovery(world, folder, name).start()
    try:
        wait_until(lambda: server.psql("SELECT pg_is_in_recovery()") == "f", 120, "the end of recovery")
        wanted = world.rows_before_last if name in WITHOUT_LAST_SEGMENT else world.rows
        assert int(server.psql("SELECT count(*) FROM t")) == wanted
        assert not list(server.data.rglob("*standfast-tmp"))
    finally:
        server.stop("immediate")
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.quick
@pytest.mark.parametrize("name", RECEIVERS)
def test_a_folder_is_verified_and_listed(world, name):
    folder = world.folders[name]
    verified = world.host.standfast("wal", "verify", "-D", folder, "--output", "json").expect(0).json()
    assert verified["whole"] and verified["findings"] == []
    (timeline,) = verified["timelines"]
    lsn = lambda text: int(text.split("/")[0], 16) << 32 | int(text.split("/")[1], 16)  # noqa: E731
    if name not in WITHOUT_LAST_SEGMENT:
        assert lsn(timeline["valid_end"]) >= lsn(world.end)
    listed = world.host.standfast("wal", "list", "-D", folder, "--output", "json").expect(0).json()
    assert listed["segment_bytes"] == MIB
    runs = listed["timelines"][0]["runs"]
    assert listed["timelines"][0]["gaps"] == []
    assert sum(run["segments"] for run in runs) == timeline["segments"]
    forms = {run["form"] for run in runs}
    if name in PACKED:
        assert {".lz4": "lz4", ".gz": "gzip", ".zst": "zstd"}[PACKED[name]] in forms
    if name not in WITHOUT_LAST_SEGMENT:
        assert runs[-1]["form"] == "partial" and runs[-1]["proven_end"] == timeline["valid_end"]
    text = world.host.standfast("wal", "list", "-D", folder).expect(0).out
    assert runs[0]["first"] in text and "timeline 1\n" in text and "lacks" not in text


def test_a_damaged_segment_in_the_middle_stops_recovery(world):
    for name in ("standfast", "standfast-zstd"):
        folder = copied(world, name, f"damaged-{name}")
        segments = whole_segments(folder)
        path = folder / segments[len(segments) // 2]
        flip(path, path.stat().st_size // 2)
        server = recovery(world, folder, f"damaged-{name}")
        # It may be consistent, and take connections, before it comes to that segment.
        world.host.run([DEBIAN.program("pg_ctl"), "-D", server.data, "-w", "-l", f"{server.data}.log", "start"])
        wait_until(lambda server=server: not server.running, 60, "recovery has given up")
        log = log_of(server)
        assert f"FATAL:  could not restore file \"{path.name[:24]}\" from archive: child process exited with exit code " \
               "200" in log, log
        assert str(path) in log
        assert "archive recovery complete" not in log
        found = world.host.standfast("wal", "verify", "-D", folder, "--output", "json").expect(14).json()
        assert not found["whole"] and found["findings"][0]["file"] == str(path)
        assert "NOT whole" in world.host.standfast("wal", "verify", "-D", folder).expect(14).out


def test_get_tells_its_outcomes_apart(world):
    folder = copied(world, "standfast", "outcomes")
    segments = whole_segments(folder)
    target = world.host.home / "got"

    def get(file, code, *texts):
        world.host.standfast("wal", "get", file, target, "-D", folder).expect_error(code, *texts)
        assert not target.exists() and not list(world.host.home.glob("got*"))

    get("0000000100000000000000FF", 1, "is not in")
    get("00000002.history", 1, "is not in")
    (folder / segments[1]).write_bytes((folder / segments[1]).read_bytes()[:1000])
    get(segments[1], 200, "has 1000 bytes where a segment has 1048576", "hint: Put a good copy in its place")
    (folder / segments[2]).chmod(0)
    get(segments[2], 200, segments[2])
    world.host.standfast("wal", "get", segments[3], "/nowhere/at/all", "-D", folder).expect(200)
    world.host.standfast("wal", "get", segments[3], target, "-D", folder).expect(0)
    assert target.read_bytes() == (folder / segments[3]).read_bytes()
    target.unlink()
    folder = world.host.home / "not-mounted"
    get(segments[3], 1, "is not there", "mounted")


def test_a_mistake_in_restore_command_is_no_end_of_the_wal(world):
    """Recovery goes on, or ends, at any code up to 125: a call that cannot have looked must not have one."""
    folder = copied(world, "standfast", "mistakes")
    segment = whole_segments(folder)[3]
    target = world.host.home / "got"
    secret = "host=h password=x"
    for words, text in (
            (["get", segment, "-D", folder], "a file and its target are needed"),
            (["get", segment, target], "no folder was given"),
            (["get", target, segment, "-D", folder], "is no file that a recovery asks for"),
            (["get", "%f", target, "-D", folder], "is no file that a recovery asks for"),
            (["get", segment, target, "-D", folder / segment], "is not a folder"),
            (["get", segment, target, "-D", folder, "--directry", folder], "unrecognized option"),
            (["get", segment, target, "-D", folder, "more"], "too many"),
            (["get", segment, target, "-D"], "--directory"),
            (["get", segment, target, "-D", folder, "--output", "xml"], "--output"),
            (["get", segment, target, "-D", folder, secret], "does not belong on the command line"),
            (["fetch", segment, target, "-D", folder], "needs a second word"),
            ([], "needs a second word")):
        world.host.standfast("wal", *words).expect_error(200, text)
    # Not to be seen is something else than not there.
    closed = world.host.home / "closed"
    closed.mkdir(mode=0o700)
    world.host.standfast("wal", "get", segment, target, "-D", closed / "wal").expect(200)
    folder.chmod(0)
    world.host.standfast("wal", "get", segment, target, "-D", folder).expect(200)
    assert not target.exists()


def test_get_without_memory_is_no_end_of_the_wal(world):
    folder = copied(world, "standfast", "memory")
    segment, target = whole_segments(folder)[3], world.host.home / "got"
    command = world.host.standfast_command("wal", "get", segment, target, "-D", folder)
    codes = set()
    for megabytes in (*range(4, 60, 2), *range(60, 200, 10), 2000):
        done = world.host.run(["prlimit", f"--as={megabytes << 20}", *command])
        assert done.code == 0 or done.code > 125 or done.code < 0, done
        codes.add(done.code)
    assert 0 in codes and len(codes) > 1
    target.unlink()


def test_a_gap_is_listed_and_found(world):
    folder = copied(world, "standfast-zstd", "gap")
    segments = whole_segments(folder)
    for name in segments[3:5]:
        (folder / name).unlink()
    listed = world.host.standfast("wal", "list", "-D", folder, "--output", "json").expect(0).json()
    (gap,) = listed["timelines"][0]["gaps"]
    assert gap["segments"] == 2
    text = world.host.standfast("wal", "list", "-D", folder).expect(0).out
    assert f"lacks {segments[3][:24]} to {segments[4][:24]} (2 segments)" in text
    found = world.host.standfast("wal", "verify", "-D", folder, "--output", "json").expect(14).json()
    assert [(each["kind"], each["at"]) for each in found["findings"]] == [("gap", gap["from"])]
    assert found["timelines"][0]["valid_end"] <= gap["from"]


def test_gzip_is_refused_by_receive(world):
    world.host.standfast("wal", "receive", "-D", world.host.home, "-Z", "gzip").expect_error(
        2, "segments are not packed with gzip", "Take lz4 or zstd")


@pytest.mark.quick
def test_looking_while_wal_is_received(network):
    """The commands that only look find nothing wrong in a folder that is being written to, and disturb nothing."""
    host = network.host("h1", "10.20.20.1")
    primary = primary_by_hand(host, DEBIAN, "--wal-segsize=1")
    primary.psql("SELECT pg_create_physical_replication_slot('standfast_lz4', true)")
    folder = host.home / "wal"
    receiver = receive(host, "standfast-lz4", folder)
    wait_until(lambda: folder.exists() and list(folder.glob("*.partial")), 60, "the first segment")
    load = host.start([DEBIAN.program("psql"), "-Xq", "-h", "/tmp", "-p", "5432", "-d", "postgres", "-c",
                       "CREATE TABLE t AS SELECT i, repeat(md5(i::text), 20) AS text FROM generate_series(1, 60000) i"])
    looks = 0
    while load.alive or looks < 3:
        verified = host.standfast("wal", "verify", "-D", folder, "--output", "json").expect(0).json()
        assert verified["whole"]
        listed = host.standfast("wal", "list", "-D", folder, "--output", "json").expect(0).json()
        last = listed["timelines"][0]["runs"][-1]
        got = host.standfast("wal", "get", last["first"], host.home / "got", "-D", folder)
        assert got.code in (0, 1), got
        looks += 1
    load.wait().expect(0)
    assert receiver.alive
    end = primary.psql("SELECT pg_current_wal_flush_lsn()")
    wait_until(lambda: primary.psql(f"SELECT flush_lsn >= '{end}' FROM pg_stat_replication") == "t", 60, f"a flush of {end}")
    wait_until(lambda: len(list(folder.glob("*.lz4"))) > 5, 60, "packed segments")
    receiver.signal(signal.SIGTERM)
    receiver.wait(60).expect(0)
    host.standfast("wal", "verify", "-D", folder).expect(0)
