"""`witness`: the primary's WAL received, kept and served by one process; what it acknowledged is on a standby that was cut
off, after the primary is dead."""

import signal

import pytest

from harness.binaries import DEBIAN, npm
from harness.cluster import Cluster
from harness.waiting import wait_until

NAME = "witness1"


def primary_on(host, binaries):
    cluster = Cluster(host, binaries).init()
    cluster.configure(listen_addresses="'*'", password_encryption="'scram-sha-256'")
    with open(cluster.data / "pg_hba.conf", "a", encoding="utf-8") as hba:
        hba.write("host replication all 10.20.20.0/24 scram-sha-256\nhost all all 10.20.20.0/24 scram-sha-256\n")
    cluster.start()
    cluster.psql("CREATE ROLE replicator LOGIN REPLICATION PASSWORD 'secret'")
    return cluster


def witness_on(host, primary, *options):
    """The command of a witness on a host, its folder and its users made."""
    folder = host.folder / "wal"
    if not folder.exists():
        host.run(["mkdir", "-m", "700", folder], user="root").expect(0)
        host.run(["chown", "postgres", folder], user="root").expect(0)
    verifier = primary.psql("SELECT rolname || ':' || rolpassword FROM pg_authid WHERE rolname = 'replicator'")
    users = host.write("users", verifier + "\n")
    password = host.write("passfile", "*:*:*:replicator:secret\n")
    conninfo = f"host={primary.host.address} user=replicator passfile={password}"
    return folder, host.standfast_command("witness", "-d", conninfo, "--name", NAME, "-D", folder, "--listen",
                                          f"{host.address}:5433", "--users", users, "--allow-cleartext", *options)


def standby_on(host, primary, from_host, port):
    """A standby that was copied from the primary and streams from somewhere else."""
    data = host.data
    backup = primary.host.cluster_folder / "copy"
    primary.host.run([DEBIAN.program("pg_basebackup"), "-h", "/tmp", "-U", "postgres", "-D", backup, "-c", "fast", "-X",
                      "stream"], timeout=120).expect(0)
    host.run(["cp", "-a", backup, data], user="root").expect(0)
    primary.host.run(["rm", "-r", backup], user="root").expect(0)
    standby = Cluster(host, primary.binaries, data=data)
    standby.configure(hot_standby_feedback="on",
                      primary_conninfo=f"'host={from_host.address} port={port} user=replicator password=secret'")
    (data / "standby.signal").touch()
    host.run(["chown", "postgres", data / "standby.signal"], user="root").expect(0)
    return standby.start()


def is_streaming(primary):
    return primary.psql(f"SELECT count(*) FROM pg_stat_replication WHERE application_name = '{NAME}' AND state = 'streaming' "
                        "AND flush_lsn IS NOT NULL AND replay_lsn IS NULL") == "1"


def test_acknowledged_commits_survive_a_dead_primary_on_a_standby_that_never_saw_it(network):
    h1, h2, h3 = (network.host(f"h{i}", f"10.20.20.{i}") for i in (1, 2, 3))
    primary = primary_on(h1, DEBIAN)
    primary.psql(f"SELECT pg_create_physical_replication_slot('{NAME}', true)")
    _, command = witness_on(h3, primary)
    running = h3.start(command)
    wait_until(lambda: is_streaming(primary), 60, "the witness to stream")
    h1.standfast("sync", "enable", NAME, "-h", "/tmp", "-U", "postgres").expect(0)
    standby = standby_on(h2, primary, h3, 5433)
    primary.psql("CREATE TABLE told AS SELECT 1 AS n")
    wait_until(lambda: standby.psql("SELECT to_regclass('told') IS NOT NULL") == "t", 60, "the standby behind the witness")
    assert primary.psql("SELECT count(*) FROM pg_stat_replication") == "1", "the primary sees one connection"
    wait_until(lambda: primary.psql("SELECT xmin IS NOT NULL FROM pg_replication_slots") == "t", 60,
               "the standby's feedback at the primary")
    # The standby hears nothing for a while; commits go on, acknowledged by the witness alone.
    network.link_down(h2)
    for n in range(2, 30):
        primary.psql(f"INSERT INTO told VALUES ({n})")
    h1.run(["kill", "-9", (primary.data / "postmaster.pid").read_text().splitlines()[0]], user="root").expect(0)
    network.link_up(h2)
    wait_until(lambda: standby.psql("SELECT count(*) FROM told") == "29", 120, "every row that was acknowledged")
    # A witness that starts while its primary is dead serves what it holds.
    running.signal(signal.SIGTERM)
    running.wait(60).expect(0)
    standby.psql("SELECT 1")
    running = h3.start(command)
    wait_until(lambda: "serving WAL" in running.out, 60, "the witness serves")
    wait_until(lambda: standby.psql("SELECT status FROM pg_stat_wal_receiver") == "streaming", 60, "the stream again")
    standby.psql("SELECT pg_promote()")
    assert standby.psql("SELECT count(*) FROM told") == "29"
    running.signal(signal.SIGTERM)
    running.wait(60).expect(0)


def test_a_slot_that_nobody_has_used_lets_no_acknowledged_wal_go(network):
    h1, h2, h3 = (network.host(f"h{i}", f"10.20.20.{i}") for i in (1, 2, 3))
    primary = primary_on(h1, DEBIAN)
    primary.psql(f"SELECT pg_create_physical_replication_slot('{NAME}', true)")
    _, command = witness_on(h3, primary, "--keep-size", "0B")
    running = h3.start(command)
    wait_until(lambda: is_streaming(primary), 60, "the witness to stream")
    h1.standfast("sync", "enable", NAME, "-h", "/tmp", "-U", "postgres").expect(0)
    standby = standby_on(h2, primary, h3, 5433)
    primary.psql("CREATE TABLE told AS SELECT 1 AS n")
    wait_until(lambda: standby.psql("SELECT to_regclass('told') IS NOT NULL") == "t", 60, "the standby behind the witness")
    standby.stop()
    for n in range(2, 6):
        primary.psql(f"INSERT INTO told VALUES ({n})")
        primary.psql("SELECT pg_switch_wal()")
    h3.run([DEBIAN.program("psql"), f"host={h3.address} port=5433 user=replicator password=secret replication=true", "-c",
            "CREATE_REPLICATION_SLOT pgstandby2 PHYSICAL RESERVE_WAL"]).expect(0)
    wait_until(lambda: "and stay: no standby is known to have them" in running.err, 120, "the keeper's look at what may go")
    h1.run(["kill", "-9", (primary.data / "postmaster.pid").read_text().splitlines()[0]], user="root").expect(0)
    standby.start()
    wait_until(lambda: standby.psql("SELECT count(*) FROM told") == "5", 120, "every row that was acknowledged")
    running.signal(signal.SIGTERM)
    running.wait(60).expect(0)


@pytest.mark.parametrize("major", [12, 18])
def test_standbys_of_other_majors_stream_from_it(network, major):
    h1, h2, h3 = (network.host(f"h{i}", f"10.20.20.{i}") for i in (1, 2, 3))
    binaries = npm(major)
    primary = primary_on(h1, binaries)
    primary.psql(f"SELECT pg_create_physical_replication_slot('{NAME}', true)")
    _, command = witness_on(h3, primary)
    running = h3.start(command)
    wait_until(lambda: is_streaming(primary), 60, "the witness to stream")
    password = h2.write("passfile", "*:*:*:replicator:secret\n")
    h2.standfast("standby", "clone", "-d", f"host={h1.address} user=replicator passfile={password}", "-D", h2.data, "-R", "-c", "fast",
                 timeout=120).expect(0)
    standby = Cluster(h2, binaries, data=h2.data)
    with open(h2.data / "postgresql.auto.conf", "a", encoding="utf-8") as conf:
        conf.write(f"primary_conninfo = 'host={h3.address} port=5433 user=replicator password=secret'\nprimary_slot_name = ''\n")
    standby.start()
    primary.psql("CREATE TABLE told AS SELECT generate_series(1, 1000) AS n")
    wait_until(lambda: standby.psql("SELECT to_regclass('told') IS NOT NULL") == "t", 60, "the standby behind the witness")
    running.signal(signal.SIGTERM)
    running.wait(60).expect(0)


def test_refusals(pair):
    h1, h2 = pair
    primary = primary_on(h1, DEBIAN)
    folder, command = witness_on(h2, primary)
    for missing, message in (("--name", "no name"), ("--listen", "where the witness serves"), ("--users", "nobody may log in"),
                             ("-D", "no folder"), ("-d", "where the primary is")):
        at = command.index(missing)
        refused = h2.run(command[:at] + command[at + 2:])
        assert refused.code == 2 and message in refused.err, refused
    conf = h2.write("witness.toml", "[store]\nkeep_sise = \"1GB\"\n")
    refused = h2.run(command + ["-c", conf])
    assert refused.code == 2 and "line 2: unknown key \"keep_sise\"" in refused.err
    assert not list(folder.iterdir())
