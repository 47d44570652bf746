"""`standby promote` where it would lose what a client was told of: witnesses that move, differ, are not known yet or are
silent, a primary that only seems to be gone; and what the new primary's commits wait for."""

import pytest

from harness import steps
from harness.binaries import DEBIAN
from harness.cluster import wait_for_replay
from harness.waiting import wait_until

STANDBYS = {"h2": "pgstandby1", "h3": "pgstandby2", "h4": "pgstandby3"}


def primary_setup(host, *options):
    return host.standfast("primary", "setup", "-D", host.data, *options, timeout=120)


def promote(host, *options, **how):
    return host.standfast("standby", "promote", "-D", host.data, *options, timeout=120, **how)


def postmaster(host):
    return (host.data / "postmaster.pid").read_text().splitlines()[0]


def kill_primary(h1):
    h1.run(["kill", "-KILL", postmaster(h1)]).expect(0)
    h1.network.link_down(h1)  # whose kernel would still deliver what the dead server had sent


def settings(host):
    return sorted((host.data / "postgresql.auto.conf").read_text().splitlines())


def members(network, count, *witnesses):
    """A primary and so many standbys of it; a standby stands in for a witness, as it speaks the same protocol."""
    h1, *standbys = (network.host(f"h{i}", f"10.20.20.{i}") for i in range(1, count + 2))
    options = [option for host in standbys for option in ("--standby", host.address)]
    options += [option for witness in witnesses for option in ("--witness", witness)]
    primary_setup(h1, "--init", *options, "--restart").expect(0)
    identifier = h1.psql("SELECT system_identifier FROM pg_control_system()")
    for host in standbys:
        token = (h1.secrets / identifier / f"{STANDBYS[host.name]}.token").read_text()
        steps.join(host, host.write("token", token), "--listen", "*").expect(0)
    h1.psql("CREATE TABLE t (i int)")
    for host in standbys:
        wait_for_replay(h1, host)
    return h1, *standbys


@pytest.mark.parametrize("pause", ["0.005", "0.05"])  # in most looks at the slower one the standby is level
def test_primary_that_lives_behind_a_partition_is_noticed_by_its_witness(network, pause):
    h1, h2, h3 = members(network, 2, "10.20.20.3:5432=keeper")
    for host in (h1, h3):  # a disk that stands still for a second is a primary that writes nothing
        host.psql("ALTER SYSTEM SET fsync = off")
        host.psql("SELECT pg_reload_conf()")
    h2.run(["ip", "route", "add", "unreachable", "10.20.20.1"], user="root").expect(0)
    h1.run(["ip", "route", "add", "blackhole", "10.20.20.2"], user="root").expect(0)
    port, folder = h1.server_socket()
    writer = h1.start([DEBIAN.program("psql"), "-Xq", "-h", folder, "-p", port, "-d", "postgres", "-c",
                       "DO $$ BEGIN FOR n IN 1..100000 LOOP INSERT INTO t VALUES (n); COMMIT; "
                       f"PERFORM pg_sleep({pause}); END LOOP; END $$"])
    wait_until(lambda: h1.psql("SELECT count(*) FROM t") != "0", 60, "the first commits")
    before = settings(h2)
    refused = promote(h2).expect_error(10, "goes on getting WAL", "its primary lives", "--yes")
    assert "does not say that it is dead" in refused.err
    assert h2.psql("SELECT pg_is_in_recovery()") == "t" and settings(h2) == before
    told = promote(h2, "--yes").expect(0)
    assert "goes on getting it: the old primary lives" in told.err and "Stop the old primary now" in told.err
    writer.signal(9)
    writer.wait()


def test_witnesses_on_two_lines_are_refused_before_one_is_followed(network):
    h1, h2, h3, h4 = members(network, 3, "10.20.20.3:5432=old", "10.20.20.4:5432=new")
    for host in (h2, h4):
        network.link_down(host)
    h1.psql("INSERT INTO t SELECT generate_series(1, 1000)")
    wait_for_replay(h1, h3)
    kill_primary(h1)
    h4.psql("SELECT pg_promote()")
    h4.psql("CREATE TABLE elsewhere (i int)")
    for host in (h2, h4):
        network.link_up(host)
    before = settings(h2)
    promote(h2).expect_error(10, "two lines", "--without-witness old")
    assert settings(h2) == before and h2.psql("SELECT count(*) FROM t") == "0"
    told = promote(h2, "--without-witness", "new", "--output", "json").expect(0).json()
    assert {one["name"]: one["state"] for one in told["witnesses"]} == {"new": "given_up", "old": "ahead"}
    assert [one["state"] for one in told["witnesses_after"]] == ["has_no_more"]
    assert told["streamed_from"] == "old" and h2.psql("SELECT count(*) FROM t") == "1000"


def test_witness_whose_row_is_not_replayed_yet_is_asked_all_the_same(network):
    h1, h2 = members(network, 1)
    h2.psql("ALTER SYSTEM SET recovery_min_apply_delay = '1h'")
    h2.psql("SELECT pg_reload_conf()")
    primary_setup(h1, "--witness", "10.20.20.9:5433=keeper").expect(0)
    lsn = h1.psql("SELECT pg_current_wal_lsn()")
    wait_until(lambda: h2.psql(f"SELECT pg_last_wal_receive_lsn() >= '{lsn}'") == "t", 60, "what setup wrote")
    assert h2.psql("SELECT to_regclass('standfast.witness') IS NULL", database="standfast") == "t"
    kill_primary(h1)
    before = settings(h2)
    promote(h2).expect_error(10, 'witness "keeper" at 10.20.20.9 port 5433 cannot be asked', "--without-witness keeper")
    assert h2.psql("SELECT pg_is_in_recovery()") == "t" and settings(h2) == before
    promote(h2, "--without-witness", "kepeer").expect_error(2, 'no witness "kepeer" is known', "keeper")
    told = promote(h2, "--without-witness", "keeper").expect(0)
    assert "is given up" in told.out and h2.psql("SELECT pg_is_in_recovery()") == "f"


def test_row_that_is_not_understood_is_not_passed_over(network):
    h1, h2 = members(network, 1)
    assert "no witness is known" in promote(h2, "--dry-run").expect(0).out
    primary_setup(h1, "--witness", "10.20.20.9:5433=keeper").expect(0)
    h1.psql("UPDATE standfast.witness SET address = 'keeper.example'", database="standfast")
    wait_for_replay(h1, h2)
    kill_primary(h1)
    promote(h2).expect_error(10, 'witness "keeper" cannot be asked', "keeper.example")


def test_standby_that_cannot_be_asked_is_promoted_only_on_demand(network):
    h1, h2 = members(network, 1)
    kill_primary(h1)
    rules = h2.data / "pg_hba.conf"
    rules.write_text("local all all reject\n" + rules.read_text())
    h2.psql("SELECT pg_reload_conf()")
    wait_until(lambda: promote(h2, "--dry-run").expect(0).out.count("would refuse"), 60, "the new rule")
    promote(h2).expect_error(10, "the standby cannot be asked", "--accept-data-loss")
    assert (h2.data / "standby.signal").exists()
    promote(h2, "--accept-data-loss").expect(0)
    assert not (h2.data / "standby.signal").exists()


def test_frozen_primary_is_not_taken_for_a_dead_one(network):
    h1, h2 = members(network, 1)
    h1.run(["kill", "-STOP", postmaster(h1)]).expect(0)
    promote(h2).expect_error(10, "still runs", "--yes")
    h1.run(["kill", "-CONT", postmaster(h1)]).expect(0)
    assert h2.psql("SELECT pg_is_in_recovery()") == "t"


def test_replay_paused_at_a_recovery_target_is_not_let_go_on(network):
    h1, h2 = members(network, 1)
    target = h1.psql("SELECT pg_current_wal_lsn()")
    h2.psql(f"ALTER SYSTEM SET recovery_target_lsn = '{target}'")
    h2.standfast("standby", "stop", "-D", h2.data).expect(0)
    h1.psql("INSERT INTO t VALUES (1)")
    h2.standfast("standby", "start", "-D", h2.data, timeout=90).expect(0)
    h1.psql("INSERT INTO t VALUES (2)")
    wait_until(lambda: h2.psql("SELECT pg_is_wal_replay_paused()") == "t", 60, "the target")
    kill_primary(h1)
    promote(h2).expect_error(10, "recovery_target_lsn", "pg_ctl promote")
    assert h2.psql("SELECT pg_is_in_recovery(), pg_is_wal_replay_paused()") == "t|t"


def test_inherited_list_that_stops_every_commit_is_said_with_the_way_out(network):
    h1, h2 = members(network, 1)
    h2.psql("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (pgstandby1, witness1)'")
    h2.psql("SELECT pg_reload_conf()")
    kill_primary(h1)
    told = promote(h2).expect(0)
    assert "every commit here stands still" in told.err and f"standfast sync disable -D {h2.data}" in told.err
    h2.standfast("sync", "disable", "-D", h2.data).expect(0)
    h2.psql("INSERT INTO t VALUES (1)")


@pytest.mark.parametrize("how", ["start", "status"])
def test_settings_that_a_killed_promotion_left_are_named(network, how):
    h1, h2, _ = members(network, 2, "10.20.20.3:5432=keeper")
    network.link_down(h2)
    h1.psql("CREATE TABLE filler AS SELECT repeat(md5(i::text), 30) AS t FROM generate_series(1, 12000) AS i")
    wait_for_replay(h1, network.hosts["h3"])
    kill_primary(h1)
    network.link_up(h2)
    network.limit_rate(h2, 2)
    running = h2.start(h2.standfast_command("standby", "promote", "-D", h2.data))
    wait_until(lambda: "host=10.20.20.3" in "".join(settings(h2)), 60, "the witness in the settings")
    running.signal(9)
    running.wait()
    command = ("standby", "start") if how == "start" else ("status",)
    told = h2.standfast(*command, "-D", h2.data, timeout=90)
    assert "a promotion is under way or was broken off" in told.out + told.err
