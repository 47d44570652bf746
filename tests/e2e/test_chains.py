"""A standby of a standby: the seed's way over three hosts, and what can go wrong on it."""

import subprocess

import pytest

from harness import steps
from harness.binaries import DEBIAN, npm, older_15
from harness.clones import assert_streams, clone, fill, primary_by_hand, slots, \
    staging, start_clone, tree, verify_backup, wait_for_slots, wait_until_copying
from harness.cluster import Cluster, wait_for_replay
from harness.copies import held_still
from harness.load import Pgbench, pgbench_init, table_sums
from harness.secret_scan import SecretScan, secrets_of
from harness.waiting import wait_until

DEBIAN_MINOR = subprocess.run([DEBIAN.program("postgres"), "--version"], capture_output=True, text=True,
                              check=True).stdout.split()[2]
PRECONDITION = 10
DELAYED = 36
CASCADED_SLOT = "pgstandby2"  # the name the primary's own first standby has not taken


@pytest.fixture
def three(network):
    """A, B and C of the chain A -> B -> C."""
    return tuple(network.host(f"h{number}", f"10.20.20.{number}") for number in (1, 2, 3))


def set_up_standby_as_source(host, standby, *options, binaries=None):
    return host.standfast("primary", "setup", "-D", host.data, "--from-standby", "--standby", standby.address, "--restart",
                          *steps.pg_bin(binaries), *options, timeout=120)


def carry_cascaded_token(above, below, slot=CASCADED_SLOT):
    system_identifier = above.psql("SELECT system_identifier FROM pg_control_system()")
    return below.write("token", (above.secrets / system_identifier / f"{slot}.token").read_text())


def make_pair(primary, standby, binaries=None):
    steps.set_up_primary(primary, standby, binaries=binaries)
    steps.join(standby, steps.carry_token(primary, standby), binaries=binaries).expect(0)


def make_chain(a, b, c, binaries=None):
    make_pair(a, b, binaries)
    set_up_standby_as_source(b, c, binaries=binaries).expect(0)
    return steps.join(c, carry_cascaded_token(b, c), "--from-standby", binaries=binaries).expect(0)


def let_in_for_verify(primary, standby):
    """The line that setup on the standby in between prints."""
    hba = primary.data / "pg_hba.conf"
    hba.write_text(f"hostssl standfast standfast_monitor {standby.address}/32 scram-sha-256\n" + hba.read_text())
    primary.psql("SELECT pg_reload_conf()")


def assert_follows(above, below, slot):
    row, = below.rows("SELECT status, slot_name, sender_host FROM pg_stat_wal_receiver")
    assert row == {"status": "streaming", "slot_name": slot, "sender_host": above.address}
    row, = above.rows(f"SELECT state, client_addr FROM pg_stat_replication WHERE application_name = '{slot}'")
    assert row == {"state": "streaming", "client_addr": below.address}


def members_of(host, *options):
    told = host.standfast("status", "-D", host.data, "--output", "json", *options).expect(0).json()
    return {member["name"]: (member["role"], member["from"]) for member in told["members"]}, told


@pytest.mark.parametrize("binaries", [pytest.param(major, marks=pytest.mark.quick if major == 15 else ())
                                      for major in (12, 15, 18)], indirect=True)
def test_seed_over_three_hosts_with_a_load_running(network, three, binaries):
    a, b, c = three
    scan = SecretScan(network)
    make_pair(a, b, binaries)
    setup = set_up_standby_as_source(b, c, binaries=binaries).expect(0)
    assert "itself a standby" in setup.out + setup.err and "--from-standby" in setup.out
    assert b.psql("SELECT pg_is_in_recovery()") == "t"
    token = carry_cascaded_token(b, c)
    pgbench_init(a, scale=5)
    load = Pgbench(a, seconds=900)

    joined = steps.join(c, token, "--from-standby", "--listen", "*", binaries=binaries).expect(0)

    assert f"which follows {a.address} port 5432" in joined.out
    assert_follows(b, c, CASCADED_SLOT)
    assert_follows(a, b, steps.SLOT)
    wait_until(lambda: load.transactions > 20, 120, "some transactions")
    load.stop()
    wait_for_replay(a, c)
    assert table_sums(c) == table_sums(a)
    expected = {"primary": ("primary", None), steps.SLOT: ("standby", "primary"),
                CASCADED_SLOT: ("standby", f"standby {steps.SLOT}")}
    assert members_of(b)[0] == expected
    # From here the primary does not admit us: how far it was proven is said, and at which hop it ended.
    verified = c.standfast("verify", "-D", c.data).expect(0)
    assert "cannot be asked from here" in verified.out and a.address in verified.out and "position" in verified.out
    assert "cannot be asked" in " ".join(members_of(c)[1]["notes"])
    # The primary and the last one given, the one in between is found, if it admits us.
    let_in_for_verify(b, a)
    let_in_for_verify(c, a)
    store = next(a.secrets.glob("*/primary.pgpass"))
    last = f"host={c.address} user=standfast_monitor dbname=standfast sslmode=require passfile={store}"
    both = a.standfast("verify", "-D", a.data, "-d", last, "--output", "json").expect(0).json()
    assert both["proof"] == "seen_on_standby"
    assert f"from {b.address} port 5432" in [check["seen"] for check in both["checks"]
                                             if check["name"] == "receiver"][0]
    let_in_for_verify(a, c)
    verified = c.standfast("verify", "-D", c.data, "--output", "json").expect(0).json()
    assert verified["proof"] == "seen_on_standby" and verified["marker_ms"] is not None
    assert members_of(c)[0] == expected
    for host in (b, c):
        steps.assert_nothing_lies_around(host)
    scan.assert_absent(secrets_of(a, b, c), allowed=[token, b.folder / "token"])


def test_source_that_is_a_standby_is_refused_until_it_is_said(three):
    a, b, c = three
    make_pair(a, b)
    refused = b.standfast("primary", "setup", "-D", b.data, "--standby", c.address)
    refused.expect_error(PRECONDITION, "itself a standby", "--from-standby")
    set_up_standby_as_source(b, c).expect(0)
    before, slots_before = tree(c.cluster_folder), slots(b)

    refused = steps.join(c, carry_cascaded_token(b, c))

    refused.expect_error(PRECONDITION, "itself a standby", f"{a.address} port 5432", "--from-standby")
    assert tree(c.cluster_folder) == before and slots(b) == slots_before
    planned = steps.join(c, c.folder / "token", "--from-standby", "--dry-run").expect(0)
    assert "this standby follows a standby" in planned.out and tree(c.cluster_folder) == before


def test_setup_on_a_standby_changes_nothing_the_second_time_and_nothing_of_the_primary(three):
    a, b, c = three
    make_pair(a, b)
    roles = "SELECT string_agg(rolname || coalesce(rolpassword, ''), ',' ORDER BY 1) FROM pg_authid"
    before = a.psql(roles), slots(a), (a.data / "pg_hba.conf").read_text()
    set_up_standby_as_source(b, c).expect(0)
    assert (a.psql(roles), slots(a), (a.data / "pg_hba.conf").read_text()) == before
    again = set_up_standby_as_source(b, c, "--output", "json").expect(0).json()
    assert again["verdict"] == "unchanged" and again["from_standby"] is True
    again = b.standfast("primary", "setup", "-D", b.data, "--from-standby", "--output", "json").expect(0).json()
    assert [member["slot"] for member in again["members"]] == [CASCADED_SLOT], "the others are the primary's"


def test_what_only_the_primary_can_make_is_refused_on_a_standby(three):
    a, b, c = three
    primary_by_hand(a)
    clone(a, b, "-R").expect(0)
    Cluster(b, DEBIAN).start()
    before = tree(b.cluster_folder / "data" / "global"), (b.data / "pg_hba.conf").read_text()
    refused = set_up_standby_as_source(b, c)
    refused.expect_error(PRECONDITION, "primary")
    assert (b.data / "pg_hba.conf").read_text() == before[1] and not slots(b)


def test_promotion_of_the_one_in_between_is_followed(three):
    a, b, c = three
    make_chain(a, b, c)
    Cluster(a, DEBIAN).stop("immediate")

    b.standfast("standby", "promote", "-D", b.data, "--yes").expect(0)

    wait_until(lambda: c.psql("SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming'") == "2", 60,
               "the cascaded standby on the new timeline")
    b.psql("CREATE TABLE after_promotion AS SELECT 7 AS seven")
    wait_for_replay(b, c)
    assert c.psql("SELECT seven FROM after_promotion") == "7"
    verified = c.standfast("verify", "-D", c.data, "--output", "json").expect(0).json()
    assert verified["proof"] == "seen_on_standby"
    members, _ = members_of(c)
    assert members[CASCADED_SLOT] == ("standby", "primary")


def test_second_run_on_a_cascaded_standby_says_so_and_changes_nothing(three):
    a, b, c = three
    make_chain(a, b, c)
    state = {name: (c.data / name).read_bytes() for name in ("postgresql.auto.conf", "postgresql.conf", "pg_hba.conf",
                                                            "postmaster.pid")}
    secrets = tree(c.secrets)
    again = steps.join(c, c.folder / "token", "--from-standby").expect(0)
    assert "already" in again.out and "it runs already" in again.out
    assert all((c.data / name).read_bytes() == content for name, content in state.items())
    assert tree(c.secrets) == secrets
    told = steps.join(c, c.folder / "token", "--output", "json").expect(0).json()
    assert told["was_a_standby_already"] is True and told["from_standby"] is True and "copy" not in told


@pytest.fixture
def by_hand(three):
    """A chain's first two hosts without Standfast: C is to be copied from B."""
    a, b, c = three
    primary = primary_by_hand(a)
    clone(a, b, "-R", "-C", "-S", steps.SLOT).expect(0)
    return primary, assert_streams(primary, b), c


def test_clone_of_a_standby_is_a_whole_copy_that_follows_it(by_hand):
    primary, standby, c = by_hand
    for server in (primary, standby):
        server.host.run(["mkdir", "-m", "700", "/tmp/space"]).expect(0)
    primary.psql("CREATE TABLESPACE space LOCATION '/tmp/space'")
    primary.psql("CREATE TABLE in_space TABLESPACE space AS SELECT generate_series(1, 1000) AS i")
    wait_for_replay(primary, standby)
    told = clone(standby.host, c, "-R", "-C", "-S", "leaf")
    assert "itself a standby" in told.expect(0).err, "not said, so said aloud"
    verify_backup(c)
    leaf = Cluster(c, DEBIAN).start()
    primary.psql("CREATE TABLE through AS SELECT 5 AS five")
    wait_for_replay(primary, leaf)
    assert leaf.psql("SELECT five FROM through") == "5" and leaf.psql("SELECT sum(i) FROM in_space") == "500500"
    assert leaf.psql("SELECT sender_host FROM pg_stat_wal_receiver") == standby.host.address
    assert slots(standby)["leaf"] == ("f", "t")


@pytest.mark.parametrize("method", ["none", "fetch", "stream"])
def test_clone_of_an_idle_standby_ends(by_hand, method):
    _, standby, c = by_hand
    told = clone(standby.host, c, "--from-standby", "-X", method, "--output", "json").expect(0)
    assert told.json()["source_is_standby"] is True and told.err.count("warning") == 0
    verify_backup(c, *(["-n"] if method == "none" else []))


def test_full_page_writes_off_at_the_primary_is_told_with_the_way_out(by_hand):
    primary, standby, c = by_hand
    primary.psql("ALTER SYSTEM SET full_page_writes = off")
    primary.reload()
    wait_until(lambda: primary.psql("SHOW full_page_writes") == "off", 30, "the setting")
    primary.psql("CREATE TABLE torn AS SELECT 1; CHECKPOINT")
    wait_for_replay(primary, standby)

    refused = clone(standby.host, c, "-R", "--from-standby")

    refused.expect_error(PRECONDITION, "full_page_writes", "CHECKPOINT on the primary")
    assert not c.data.exists() and not staging(c)
    wait_for_slots(standby, {})  # the temporary one ends with the connection
    primary.psql("ALTER SYSTEM SET full_page_writes = on")
    primary.reload()
    wait_until(lambda: primary.psql("SHOW full_page_writes") == "on", 30, "the setting")
    primary.psql("CHECKPOINT")
    wait_for_replay(primary, standby)
    standby.psql("CHECKPOINT")
    clone(standby.host, c, "-R", "--from-standby").expect(0)


@pytest.mark.parametrize("method", ["fetch", "stream"])
def test_standby_promoted_during_the_copy_is_a_failure_that_leaves_nothing(by_hand, method):
    primary, standby, c = by_hand
    fill(primary, 20)
    wait_for_replay(primary, standby)
    running = start_clone(standby.host, c, "--from-standby", "-R", "-r", "8M", "-X", method)
    wait_until_copying(running, c)
    with held_still(running):  # more than a connection holds is still to come, so the backup does not end meanwhile
        assert standby.psql("SELECT pg_promote()") == "t"
    told = running.wait()
    told.expect_error(PRECONDITION, "promoted")
    assert not c.data.exists() and not staging(c)
    wait_for_slots(standby, {})


def test_two_standbys_of_one_primary_have_a_row_and_a_slot_each(three):
    a, b, c = three
    steps.set_up_primary(a, b, "--standby", c.address)
    steps.join(b, steps.carry_token(a, b)).expect(0)
    steps.join(c, carry_cascaded_token(a, c)).expect(0)
    expected = {"primary": ("primary", None), steps.SLOT: ("standby", "primary"), CASCADED_SLOT: ("standby", "primary")}
    for host in three:
        members, told = members_of(host)
        assert members == expected
        assert {member["slot"]["name"]: member["slot"]["active"] for member in told["members"] if member["slot"]} == {
            steps.SLOT: True, CASCADED_SLOT: True}
    assert b.standfast("verify", "-D", b.data).expect(0) and c.standfast("verify", "-D", c.data).expect(0)
    a.standfast("verify", "-D", a.data).expect_error(2, "several standbys", "--standby")


def test_standby_that_replays_late_on_purpose_joins_and_says_so(pair):
    a, b = pair
    steps.set_up_primary(a, b)
    Cluster(a, DEBIAN).configure(recovery_min_apply_delay="'1h'", fsync="off").reload()
    joined = steps.join(b, steps.carry_token(a, b)).expect(0)
    assert "late on purpose (recovery_min_apply_delay)" in joined.err
    assert "recovery_min_apply_delay" in b.standfast("verify", "-D", b.data).expect(DELAYED).out
    assert "late on purpose" in b.standfast("status", "-D", b.data).expect(0).out
    assert "replays 1 h" in b.standfast("standby", "start", "-D", b.data).expect(0).out
    b.psql("ALTER SYSTEM SET recovery_min_apply_delay = '4s'")
    Cluster(b, DEBIAN).reload()
    # The delay counts from when the commit began, what is told from when it had ended.
    verified = b.standfast("verify", "-D", b.data, "--timeout", "60", "--output", "json").expect(0).json()
    assert verified["marker_ms"] >= 2000, "a delay that ends in time is waited for"


def test_other_icu_on_the_standby_is_told_before_the_copy_and_by_verify(pair):
    a, b = pair
    steps.set_up_primary(a, b, binaries=npm(15))
    a.psql("CREATE DATABASE sorted TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'")
    versions = a.psql("SELECT pg_collation_actual_version(oid) FROM pg_collation WHERE collname = 'und-x-icu'")
    # What the loader loads, one file a program.
    watched = ["env", "LD_DEBUG=files", "LD_DEBUG_OUTPUT=/tmp/loaded"]
    planned = b.run([*watched, *b.standfast_command("join", "-D", b.data, "--token-file", steps.carry_token(a, b),
                                                    "--dry-run", *steps.pg_bin(DEBIAN))], timeout=180).expect(0)
    loaded = [text for path in (b.folder / "tmp").glob("loaded.*")
              if "initialize program" in (text := path.read_text()) and "/standfast\n" in text]
    assert loaded and not any("libicui18n" in text for text in loaded), "it is asked in a process of its own"
    assert "ICU" in planned.err and versions in planned.err and "sorted" in planned.err and "REINDEX" in planned.err
    as_root = steps.join(b, b.folder / "token", "--dry-run", binaries=DEBIAN, user="root").expect(0)
    assert "ICU" in as_root.err and versions in as_root.err, "so it is where root has become the owner"
    assert not b.data.exists()
    joined = steps.join(b, b.folder / "token", binaries=DEBIAN).expect(0)
    assert "collations" in joined.out and "warning" in joined.out
    here = b.psql("SELECT pg_collation_actual_version(oid) FROM pg_collation WHERE collname = 'und-x-icu'")
    assert here != versions and here in planned.err, "what was told before is what the server says after"


def test_older_minor_release_on_the_standby_is_a_warning(pair):
    a, b = pair
    steps.set_up_primary(a, b)
    here = b.run([older_15().program("postgres"), "--version"]).expect(0).out.split()[-1]
    planned = steps.join(b, steps.carry_token(a, b), "--dry-run", binaries=older_15()).expect(0)
    assert f"PostgreSQL {here}, older than the primary's {DEBIAN_MINOR}" in planned.err


def test_folders_of_tablespaces_with_odd_names(pair):
    a, b = pair
    steps.set_up_primary(a, b)
    name = "/tmp/two words \"quoted\" back\\slash $HOME ä\nsecond line"
    a.run(["mkdir", "-m", "700", name]).expect(0)
    a.psql(f"CREATE TABLESPACE odd LOCATION '{name}'")
    a.psql("CREATE TABLE in_odd TABLESPACE odd AS SELECT generate_series(1, 1000) AS i")
    steps.join(b, steps.carry_token(a, b), "--output", "json").expect(0).json()
    assert b.psql("SELECT sum(i) FROM in_odd") == "500500"
    assert b.psql("SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'odd'") == name


def test_folder_of_a_tablespace_that_is_not_utf8_is_refused_unless_it_is_mapped(pair):
    a, b = pair
    Cluster(a, DEBIAN).init("-E", "SQL_ASCII", "--locale=C").start()
    a.standfast("primary", "setup", "-D", a.data, "--standby", b.address, "--restart").expect(0)
    script = a.write("odd.sh", "mkdir -m 700 \"$(printf '/tmp/b\\344d')\"\n"
                               "printf \"CREATE TABLESPACE odd LOCATION '/tmp/b\\344d'\" | psql -Xqh /tmp postgres\n")
    a.run(["sh", "-e", script]).expect(0)
    token = steps.carry_token(a, b)
    before = tree(b.cluster_folder)
    refused = steps.join(b, token, "--output", "json")
    assert refused.code != 0 and "UTF-8" in refused.json()["error"]["message"] and tree(b.cluster_folder) == before
    script = b.write("join.sh", f"exec {b.network.program} join -D {b.data} --token-file {token} "
                                "-T \"$(printf '/tmp/b\\344d')=/tmp/good\"\n")
    b.run(["sh", "-e", script], timeout=120).expect(0)
    assert b.psql("SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'odd'") == "/tmp/good"
