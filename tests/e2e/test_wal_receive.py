"""`wal receive` from real primaries: what lies in the folder is the server's own WAL, and no acknowledged commit is lost
whoever is killed."""

import random
import re
import signal
import time

import pytest

from harness.binaries import DEBIAN
from harness.cluster import Cluster
from harness.waiting import wait_until
from harness.wal_servers import folder_on, primary_on, standby_of, wait_until_flushed, write_some

SLOT = "witness1"


def receive(primary, host, folder, *options):
    return host.standfast_command("wal", "receive", "-h", primary.host.address, "-U", "postgres", "-D", folder, "-S", SLOT,
                                  *options)


def make_slot(primary, host):
    host.standfast("wal", "receive", "-h", primary.host.address, "-U", "postgres", "-S", SLOT, "--create-slot").expect(0)


def segments(folder):
    return sorted(path.name for path in folder.iterdir() if re.fullmatch("[0-9A-F]{24}", path.name))


def assert_same_as_primary(primary, folder):
    """Segment by segment, as far as the primary still has them."""
    compared = 0
    for name in segments(folder):
        own = primary.data / "pg_wal" / name
        if own.exists():
            assert own.read_bytes() == (folder / name).read_bytes(), name
            compared += 1
    assert compared
    return compared


def test_bytes_are_the_primarys_on_every_major(pair, binaries):
    h1, h2 = pair
    primary = primary_on(h1, binaries)
    folder = folder_on(h2)
    make_slot(primary, h2)
    running = h2.start(receive(primary, h2, folder))
    for number in range(3):
        write_some(primary, f"t{number}")
        primary.psql("SELECT pg_switch_wal()")
    lsn = primary.psql("SELECT pg_current_wal_flush_lsn()")
    wait_until_flushed(primary, lsn)
    running.signal(signal.SIGINT)
    running.wait(60).expect(0)
    assert_same_as_primary(primary, folder)
    assert primary.psql(f"SELECT restart_lsn >= '{lsn}' FROM pg_replication_slots") == "t"
    # A second run goes on where the first one ended, packs what is finished, and a stopping primary waits for its last word.
    packing, ending = ("lz4", ".lz4") if binaries.major % 2 else ("zstd", ".zst")
    running = h2.start(receive(primary, h2, folder, "--no-loop", "-Z", packing))
    write_some(primary, "after")
    wait_until(lambda: list(folder.glob(f"*{ending}")), 60, "a packed segment")
    wait_until_flushed(primary, primary.psql("SELECT pg_current_wal_flush_lsn()"))
    primary.stop()
    result = running.wait(60)
    assert result.code == 6 and "being stopped" in result.err
    h2.standfast("wal", "verify", "-D", folder).expect(0)
    tail = next(folder.glob("*.partial"))
    own = primary.data / "pg_wal" / tail.name.removesuffix(".partial")
    control = h1.run([binaries.program("pg_controldata") if (binaries.bin_dir / "pg_controldata").exists()
                      else DEBIAN.program("pg_controldata"), primary.data]) if binaries.major == 15 else None
    if control:
        checkpoint = int(re.search(r"Latest checkpoint location:\s+\w+/(\w+)", control.out)[1], 16) % 2**24
        assert own.read_bytes()[:checkpoint + 100] == tail.read_bytes()[:checkpoint + 100], "the last checkpoint is there"


@pytest.mark.parametrize("megabytes", [1, 64])
def test_other_segment_sizes(pair, megabytes):
    h1, h2 = pair
    primary = primary_on(h1, DEBIAN, f"--wal-segsize={megabytes}")
    folder = folder_on(h2)
    make_slot(primary, h2)
    running = h2.start(receive(primary, h2, folder, "--synchronous"))
    write_some(primary, "t", 40000)
    primary.psql("SELECT pg_switch_wal()")
    wait_until_flushed(primary, primary.psql("SELECT pg_current_wal_flush_lsn()"))
    running.signal(signal.SIGTERM)
    running.wait(60).expect(0)
    assert_same_as_primary(primary, folder)
    h2.run([DEBIAN.program("pg_waldump"), "-q", "-p", folder, segments(folder)[0]], timeout=60).expect(0)


def test_folder_goes_to_pg_receivewal_and_back(pair):
    h1, h2 = pair
    primary = primary_on(h1)
    folder = folder_on(h2)
    make_slot(primary, h2)
    theirs = [DEBIAN.program("pg_receivewal"), "-h", h1.address, "-U", "postgres", "-D", folder, "-S", SLOT, "--synchronous"]
    for number, command in enumerate([theirs, receive(primary, h2, folder), theirs, receive(primary, h2, folder)]):
        running = h2.start(command)
        write_some(primary, f"t{number}")
        if number % 2:
            primary.psql("SELECT pg_switch_wal()")
        wait_until_flushed(primary, primary.psql("SELECT pg_current_wal_flush_lsn()"))
        running.signal(signal.SIGINT)
        running.wait(60).expect(0)
    assert_same_as_primary(primary, folder)


def test_endpos_ends_it(pair):
    h1, h2 = pair
    primary = primary_on(h1)
    folder = folder_on(h2)
    make_slot(primary, h2)
    write_some(primary, "t")
    lsn = primary.psql("SELECT pg_current_wal_flush_lsn()")
    result = h2.run(receive(primary, h2, folder, "--endpos", lsn, "--no-loop"), timeout=60).expect(0)
    assert f"acknowledged up to {lsn}" in result.out or "acknowledged up to" in result.out
    for reached in (lsn, "0/1"):  # as pg_receivewal does, whatever the server has to send
        h2.run(receive(primary, h2, folder, "--endpos", reached, "--no-loop"), timeout=60).expect(0)


@pytest.mark.parametrize("synchronous", [True, False])
def test_witness_alone_keeps_every_acknowledged_commit(pair, synchronous):
    """The witness is killed again and again, the primary at the end; recovery from the witness's WAL alone has every commit
    that was acknowledged."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    h1, h2 = pair
    primary = primary_on(h1, full_page_writes="on", synchronous_standby_names="'ANY 1 (witness1)'",
                         synchronous_commit="local")
    folder = folder_on(h2)
    make_slot(primary, h2)
    base = h1.cluster_folder / "base"
    command = receive(primary, h2, folder, *(["--synchronous"] if synchronous else []))
    running = h2.start(command)
    wait_until(lambda: primary.psql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'") == "1", 60,
               "the witness as synchronous standby")
    h1.run([DEBIAN.program("pg_basebackup"), "-h", "/tmp", "-U", "postgres", "-D", base, "-X", "none", "-c", "fast"],
           timeout=120, env={"PGOPTIONS": "-c synchronous_commit=local"}).expect(0)
    primary.psql("CREATE TABLE acknowledged (client int, n int, pad text)")
    clients = []
    for client in range(3):
        script = h1.cluster_folder / f"client{client}.sql"
        script.write_text("SET synchronous_commit = on;\n" + "".join(
            f"INSERT INTO acknowledged VALUES ({client}, {n}, repeat('x', {rng.choice([10, 500, 20000])})) RETURNING n;\n"
            for n in range(20000)))
        clients.append(h1.start([DEBIAN.program("psql"), "-h", "/tmp", "-U", "postgres", "-qAt", "-v", "ON_ERROR_STOP=1",
                                 "-f", script]))
    for _ in range(50 if synchronous else 10):
        running.signal(signal.SIGKILL)
        running.wait(60)
        running = h2.start(command)
        before = int(primary.psql("SELECT count(*) FROM acknowledged"))
        wait_until(lambda: int(primary.psql("SELECT count(*) FROM acknowledged")) > before or not clients[0].alive, 60,
                   "commits to go on")
        time.sleep(rng.random() * 0.3)
    h1.run(["kill", "-9", (primary.data / "postmaster.pid").read_text().splitlines()[0]], user="root").expect(0)
    told = [len(client.wait(60).out.split()) for client in clients]
    assert sum(told) > 0
    running.signal(signal.SIGKILL)
    running.wait(60)
    # Once more, so that the tail is proven; the primary is gone, and that is no matter: it is asked after the proof.
    running = h2.start(command)
    wait_until(lambda: "Trying again each" in running.err, 60, "the tail")
    running.signal(signal.SIGTERM)
    running.wait(60)
    restored = Cluster(h1, DEBIAN, data=base, port=5433)
    h1.run(["cp", "-r", folder, h1.cluster_folder / "from_witness"], user="root").expect(0)
    h1.run(["chown", "-R", "postgres", h1.cluster_folder / "from_witness"], user="root").expect(0)
    for partial in (h1.cluster_folder / "from_witness").glob("*.partial"):
        partial.rename(str(partial).removesuffix(".partial"))
    restored.configure(port=5433, restore_command=f"'cp {h1.cluster_folder}/from_witness/%f %p'", synchronous_standby_names="''",
                       recovery_target_timeline="'current'")
    (base / "recovery.signal").touch()
    restored.start()
    wait_until(lambda: restored.psql("SELECT pg_is_in_recovery()") == "f", 120, "the end of recovery")
    for client, count in enumerate(told):
        there = int(restored.psql(f"SELECT count(*) FROM acknowledged WHERE client = {client} AND n < {count}"))
        assert there == count, f"client {client}: {count} acknowledged, {there} there (seed {seed})"
    restored.stop()


def test_refusals_change_nothing(pair):
    h1, h2 = pair
    primary = primary_on(h1)
    folder = folder_on(h2)
    make_slot(primary, h2)
    again = h2.standfast("wal", "receive", "-h", h1.address, "-U", "postgres", "-S", SLOT, "--create-slot")
    assert again.code == 15 and "already exists" in again.err
    h2.standfast("wal", "receive", "-h", h1.address, "-U", "postgres", "-S", SLOT, "--create-slot", "--if-not-exists").expect(0)
    running = h2.start(receive(primary, h2, folder))
    write_some(primary, "t")
    primary.psql("SELECT pg_switch_wal()")
    write_some(primary, "u", 200000)
    primary.psql("SELECT pg_switch_wal()")
    wait_until_flushed(primary, primary.psql("SELECT pg_current_wal_flush_lsn()"))
    other = h2.run(receive(primary, h2, folder, "--no-loop"))
    assert other.code == 20 and "another process uses" in other.err
    running.signal(signal.SIGINT)
    running.wait(60).expect(0)
    names = segments(folder)
    assert len(names) >= 3

    missing = h2.run(receive(primary, h2, folder / "none", "--no-loop"))
    assert missing.code == 12 and "none" in missing.err
    gap = folder / names[1]
    kept = gap.read_bytes()
    gap.unlink()
    refused = h2.run(receive(primary, h2, folder, "--no-loop"))
    assert refused.code == 10 and "lacks WAL between" in refused.err
    gap.write_bytes(kept)
    last = folder / names[-1]
    kept = last.read_bytes()
    last.write_bytes(kept[:300000] + bytes([kept[300000] ^ 1]) + kept[300001:])
    damaged = h2.run(receive(primary, h2, folder, "--no-loop"))
    assert damaged.code == 14 and names[-1] in damaged.err
    last.write_bytes(kept)
    other_primary = Cluster(h1, DEBIAN, data=h1.cluster_folder / "other", port=5440).init()
    other_primary.configure(listen_addresses="'*'", port=5440)
    with open(other_primary.data / "pg_hba.conf", "a", encoding="utf-8") as hba:
        hba.write("host replication all 10.20.20.0/24 trust\n")
    other_primary.start()
    stranger = h2.standfast("wal", "receive", "-h", h1.address, "-p", "5440", "-U", "postgres", "-D", folder, "--no-loop")
    assert stranger.code == 10 and "holds WAL of system" in stranger.err
    other_primary.stop()
    running = h2.start(receive(primary, h2, folder))
    write_some(primary, "v")
    wait_until_flushed(primary, primary.psql("SELECT pg_current_wal_flush_lsn()"))
    running.signal(signal.SIGINT)
    running.wait(60).expect(0)
    h2.standfast("wal", "receive", "-h", h1.address, "-U", "postgres", "-S", SLOT, "--drop-slot").expect(0)
    assert primary.psql("SELECT count(*) FROM pg_replication_slots") == "0"


def test_follows_a_promoted_standby_and_refuses_one_that_lacks_acknowledged_wal(pair):
    h1, h2 = pair
    primary = primary_on(h1)
    folder = folder_on(h2)
    make_slot(primary, h2)
    standby = standby_of(primary, h1, h1.cluster_folder / "standby", 5433)
    behind = standby_of(primary, h1, h1.cluster_folder / "behind", 5434)
    behind.stop("immediate")
    running = h2.start(receive(primary, h2, folder))
    write_some(primary, "before")
    wait_until_flushed(primary, primary.psql("SELECT pg_current_wal_flush_lsn()"))
    wait_until(lambda: standby.psql("SELECT to_regclass('before') IS NOT NULL") == "t", 60, "the standby to have it")
    primary.stop()
    running.signal(signal.SIGINT)
    running.wait(60)
    wait_until(lambda: standby.psql("SELECT pg_last_wal_replay_lsn() = pg_last_wal_receive_lsn()") == "t", 60, "replay")
    standby.psql("SELECT pg_promote()")
    write_some(standby, "after")
    standby.psql("SELECT pg_switch_wal()")
    write_some(standby, "later")
    end = standby.psql("SELECT pg_current_wal_flush_lsn()")
    from_standby = h2.standfast_command("wal", "receive", "-h", h1.address, "-p", "5433", "-U", "postgres", "-D", folder)
    running = h2.start(from_standby)
    wait_until_flushed(standby, end)
    running.signal(signal.SIGINT)
    result = running.wait(60).expect(0)
    assert "timeline 2" in result.out
    assert (folder / "00000002.history").read_bytes() == (standby.data / "pg_wal" / "00000002.history").read_bytes()
    for path in folder.iterdir():
        own = standby.data / "pg_wal" / path.name
        if re.fullmatch("00000002[0-9A-F]{16}", path.name):
            assert own.read_bytes() == path.read_bytes()
    assert any(path.name.startswith("00000001") and path.name.endswith(".partial") for path in folder.iterdir())

    # The other standby never got what was acknowledged: promoted, it is a history without it.
    other = folder_on(h2, "other")
    for path in folder.iterdir():
        if path.name.startswith("00000001"):
            h2.run(["cp", path, other]).expect(0)
    (behind.data / "postgresql.auto.conf").write_text("port = 5434\nunix_socket_directories = '/tmp'\n")
    behind.start()
    behind.psql("SELECT pg_promote()")
    write_some(behind, "elsewhere")
    before = {path.name: path.read_bytes() for path in other.iterdir() if path.name.startswith("00000001")}
    to_other = h2.standfast_command("wal", "receive", "-h", h1.address, "-p", "5434", "-U", "postgres", "-D", other, "--no-loop")
    refused = h2.run(to_other)
    fork = behind.psql("SELECT split_part(pg_read_file('pg_wal/00000002.history'), E'\\t', 2)")
    assert refused.code == 10 and f"from {fork} to " in refused.err and f"--accept-fork {fork}" in refused.err
    assert {path.name: path.read_bytes() for path in other.iterdir() if path.name.startswith("00000001")} == before
    end = behind.psql("SELECT pg_current_wal_flush_lsn()")
    h2.run(to_other + ["--accept-fork", fork, "--endpos", end], timeout=60).expect(0)
    assert {path.name: path.read_bytes() for path in other.iterdir() if path.name.startswith("00000001")} == before
    assert any(path.name.startswith("00000002") for path in other.iterdir())


def test_full_disk_ends_it_and_nothing_is_acknowledged_behind(pair):
    h1, h2 = pair
    primary = primary_on(h1)
    folder = folder_on(h2)
    h2.tmpfs(folder, 40)
    make_slot(primary, h2)
    running = h2.start(receive(primary, h2, folder, "--synchronous"))
    wait_until(lambda: primary.psql("SELECT count(*) FROM pg_stat_replication") == "1", 60, "the stream")
    for number in range(4):
        write_some(primary, f"t{number}", 120000)
    result = running.wait(120)
    assert result.code == 11 and "No space left" in result.err
    restart = primary.psql("SELECT restart_lsn FROM pg_replication_slots")
    held = h2.standfast("wal", "list", "-D", folder, "--output", "json")
    assert held.code == 0
    for name in segments(folder):
        own = primary.data / "pg_wal" / name
        assert own.read_bytes() == (folder / name).read_bytes()
    # With room again it goes on where the proof ends, which is not before what was acknowledged.
    h2.run(["mount", "-o", "remount,size=400m", folder], user="root")
    end = primary.psql("SELECT pg_current_wal_flush_lsn()")
    again = h2.start(receive(primary, h2, folder))
    wait_until_flushed(primary, end)
    again.signal(signal.SIGINT)
    started = again.wait(60).expect(0)
    at = re.search(r"starting log streaming at (\w+/\w+)", started.out)[1]
    assert primary.psql(f"SELECT '{at}'::pg_lsn >= '{restart}'::pg_lsn") == "t"
    assert_same_as_primary(primary, folder)
