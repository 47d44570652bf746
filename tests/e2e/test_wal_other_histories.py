"""`wal receive` is led to a server that counts as ours by its positions and is not: nothing is reported to it, nothing in
the folder changes. And what a receiver that was away for some timelines needs of them."""

import re
import signal

from harness.binaries import DEBIAN
from harness.cluster import Cluster, wait_for_replay
from harness.waiting import wait_until
from harness.wal_servers import folder_on, primary_on, standby_of, wait_until_flushed, write_some


def command(host, port, folder, *options):
    return host.standfast_command("wal", "receive", "-h", "10.20.20.1", "-p", port, "-U", "postgres", "-D", folder, *options)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith("standfast.spare")}


def receive_all(primary, host, folder):
    """All that the server has, and then no more."""
    running = host.start(command(host, primary.port, folder))
    wait_until_flushed(primary, primary.psql("SELECT pg_current_wal_flush_lsn()"))
    running.signal(signal.SIGINT)
    return running.wait(60).expect(0)


def assert_that_nothing_is_told(primary, host, folder, message):
    """The server keeps a commit waiting for whoever comes; a receiver of another history must not release it."""
    primary.configure(synchronous_standby_names="'*'", log_replication_commands="on")
    primary.reload()
    wait_until(lambda: primary.psql("SHOW synchronous_standby_names") == "*", 30, "the setting")
    waiting = primary.host.start([DEBIAN.program("psql"), "-h", "/tmp", "-p", str(primary.port), "-U", "postgres", "-qAt",
                                      "-c", "SET synchronous_commit = remote_write; CREATE TABLE waits (n int)"])
    wait_until(lambda: primary.psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1", 30,
               "the commit that waits")
    before = content(folder)
    refused = host.run(command(host, primary.port, folder, "--no-loop"), timeout=60)
    assert refused.code == 10 and re.search(message, refused.err), refused.err
    assert content(folder) == before
    assert waiting.alive
    assert primary.psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1"
    primary.configure(synchronous_standby_names="''")
    primary.reload()
    waiting.wait(60)


def promoted(standby):
    standby.psql("SELECT pg_promote()")
    return standby


def test_two_servers_of_the_same_timeline(pair):
    h1, h2 = pair
    primary = primary_on(h1)
    one = standby_of(primary, h1, h1.cluster_folder / "one", 5433)
    other = standby_of(primary, h1, h1.cluster_folder / "other", 5434)
    folder = folder_on(h2)
    write_some(primary, "before")
    receive_all(primary, h2, folder)
    wait_until(lambda: one.psql("SELECT to_regclass('before') IS NOT NULL") == "t", 60, "the standby to have it")
    wait_until(lambda: other.psql("SELECT to_regclass('before') IS NOT NULL") == "t", 60, "the other one too")
    primary.stop()
    promoted(one)
    write_some(one, "one")
    receive_all(one, h2, folder)
    assert (folder / "00000002.history").exists()
    # The other one goes on with timeline 1 for a while, then has a timeline 2 of its own.
    primary.start()
    write_some(primary, "more", 10)
    wait_until(lambda: other.psql("SELECT to_regclass('more') IS NOT NULL") == "t", 60, "the other standby to have more")
    primary.stop()
    promoted(other)
    write_some(other, "elsewhere", 100000)
    assert_that_nothing_is_told(other, h2, folder, "timeline 2 is another one than that held here")
    # It goes on with the right one.
    write_some(one, "again")
    receive_all(one, h2, folder)


def test_two_servers_of_the_same_timeline_from_the_same_fork(pair):
    h1, h2 = pair
    primary = primary_on(h1)
    folder = folder_on(h2)
    write_some(primary, "before")
    primary.stop()
    h1.run(["cp", "-a", primary.data, h1.cluster_folder / "other"], user="root").expect(0)
    servers = []
    for data, port in ((primary.data, 5432), (h1.cluster_folder / "other", 5434)):
        server = Cluster(h1, DEBIAN, data=data, port=port)
        server.configure(port=port)
        (server.data / "standby.signal").touch()
        h1.run(["chown", "postgres", server.data / "standby.signal"], user="root").expect(0)
        servers.append(promoted(server.start()))
    one, other = servers
    write_some(one, "one", 1000)
    receive_all(one, h2, folder)
    write_some(other, "elsewhere", 100000)
    history = "pg_read_file('pg_wal/00000002.history')"
    assert one.psql(f"SELECT split_part({history}, E'\\t', 2)") == other.psql(f"SELECT split_part({history}, E'\\t', 2)")
    assert_that_nothing_is_told(other, h2, folder, "on timeline 2 they differ at")
    write_some(one, "again")
    receive_all(one, h2, folder)


def test_a_server_that_was_set_back_to_a_snapshot(pair):
    h1, h2 = pair
    primary = primary_on(h1)
    folder = folder_on(h2)
    write_some(primary, "before")
    primary.stop()
    h1.run(["cp", "-a", primary.data, h1.cluster_folder / "snapshot"], user="root").expect(0)
    primary.start()
    # The same records in the same places, but for what they hold; then the segment is switched, so that the last one is
    # like any other server's.
    primary.psql("CREATE TABLE t AS SELECT 1 AS n")
    primary.psql("SELECT pg_switch_wal()")
    primary.psql("CHECKPOINT")
    checkpoint = primary.psql("SELECT checkpoint_time FROM pg_control_checkpoint()")
    receive_all(primary, h2, folder)
    primary.stop("immediate")
    snapshot = Cluster(h1, DEBIAN, data=h1.cluster_folder / "snapshot", port=5434)
    snapshot.configure(port=5434)
    snapshot.start()
    snapshot.psql("CREATE TABLE t AS SELECT 2 AS n")
    snapshot.psql("SELECT pg_switch_wal()")
    # In the last segment nothing but the second of the checkpoint differs.
    wait_until(lambda: snapshot.psql(f"SELECT now() >= timestamptz '{checkpoint}' + interval '1 s'") == "t", 30,
               "another second")
    snapshot.psql("CHECKPOINT")
    write_some(snapshot, "elsewhere", 100000)
    assert_that_nothing_is_told(snapshot, h2, folder, "on timeline 1 they differ at")


def test_histories_of_timelines_in_between_are_fetched(pair):
    h1, h2 = pair
    primary = primary_on(h1)
    folder = folder_on(h2)
    standby = standby_of(primary, h1, h1.cluster_folder / "standby", 5433)
    write_some(primary, "before")
    receive_all(primary, h2, folder)
    wait_until(lambda: standby.psql("SELECT to_regclass('before') IS NOT NULL") == "t", 60, "the standby to have it")
    primary.stop()
    promoted(standby)
    write_some(standby, "two")
    standby.stop()
    (standby.data / "standby.signal").touch()
    h1.run(["chown", "postgres", standby.data / "standby.signal"], user="root").expect(0)
    promoted(standby.start())
    write_some(standby, "three")
    standby.psql("CHECKPOINT")
    receive_all(standby, h2, folder)
    for name in ("00000002.history", "00000003.history"):
        assert (folder / name).read_bytes() == (standby.data / "pg_wal" / name).read_bytes()


def test_a_promotion_under_load_is_followed(pair):
    """What is still being flushed of the old timeline when it ends is no news of the next one."""
    h1, h2 = pair
    primary = primary_on(h1)
    folder = folder_on(h2)
    servers = [primary]
    for number in range(3):
        servers.append(standby_of(servers[-1], h1, h1.cluster_folder / f"standby{number}", 5433 + number))
    for number, (before, standby) in enumerate(zip(servers, servers[1:])):
        running = h2.start(command(h2, standby.port, folder))
        wait_until(lambda: standby.psql("SELECT count(*) FROM pg_stat_replication WHERE application_name = 'standfast'") == "1",
                   60, "the receiver")
        load = h1.start([DEBIAN.program("psql"), "-h", "/tmp", "-p", str(before.port), "-U", "postgres", "-qAt", "-c",
                         f"CREATE TABLE load{number} (t text)"]
                        + [part for n in range(3000) for part in ("-c", f"INSERT INTO load{number} VALUES (repeat('x', {n}))")])
        wait_until(lambda: standby.psql(f"SELECT to_regclass('load{number}') IS NOT NULL") == "t", 60, "the load")
        standby.psql("SELECT pg_promote()")
        write_some(standby, f"after{number}", 1000)
        wait_until_flushed(standby, standby.psql("SELECT pg_current_wal_flush_lsn()"))
        running.signal(signal.SIGINT)
        result = running.wait(60).expect(0)
        assert f"timeline {number + 2} begins there" in result.out
        for below in servers[number + 2:]:
            wait_for_replay(standby, below)  # who is next is refused while it lacks what the folder has
        load.wait(120)
        before.stop("immediate")
