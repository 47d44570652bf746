"""A witness as the primary and the standbys know it: prepared by `primary setup --witness`, shown by `status`, waited
for by verify's commit, asked by `standby promote`."""

import re

import pytest

from harness import steps, tokens
from harness.binaries import DEBIAN, npm
from harness.cluster import wait_for_replay
from harness.secret_scan import SecretScan, secrets_of
from harness.state import assert_unchanged, state_of
from harness.waiting import wait_until

NOT_STREAMING, NOT_REPLICATING = 30, 37
PASSFILE = "witness.pgpass"
ROWS = "SELECT name, address, port FROM standfast.witness ORDER BY name"


@pytest.fixture
def three(network):
    return tuple(network.host(f"h{i}", f"10.20.20.{i}") for i in (1, 2, 3))


def primary_setup(host, *options, **how):
    return host.standfast("primary", "setup", "-D", host.data, *options, timeout=120, **how)


def token_file(host, slot):
    identifier = host.psql("SELECT system_identifier FROM pg_control_system()")
    return host.secrets / identifier / f"{slot}.token"


def token_of(host, slot):
    return tokens.decode(token_file(host, slot).read_text())


def receive(primary, witness, name="witness1"):
    """A receiver in the witness's place, with what its token says."""
    token = token_of(primary, name)
    (witness.home / name).exists() or witness.run(["mkdir", witness.home / name]).expect(0)
    passfile = witness.write(PASSFILE, f"*:*:*:{token['u']}:{token['w']}\n")
    running = witness.start([DEBIAN.program("pg_receivewal"), "-D", witness.home / name, "-S", token["s"], "--synchronous",
                             "-d", f"host={token['h']} port={token['p']} user={token['u']} sslmode=require "
                                   f"application_name={token['s']} passfile={passfile}"])

    def streams():
        primary.psql("SELECT pg_switch_wal()")
        return primary.psql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND flush_lsn IS NOT "
                            f"NULL AND application_name = '{name}'") == "1"

    wait_until(streams, 60, "the witness's stream")
    return running


def test_setup_prepares_the_primary_and_changes_nothing_twice(three):
    h1, h2, h3 = three
    told = primary_setup(h1, "--init", "--standby", h2.address, "--restart").expect(0)
    assert "witness" not in told.out
    before = state_of(h1)
    planned = primary_setup(h1, "--witness", h3.address, "--dry-run").expect(0)
    assert "standfast.witness: witness1 at 10.20.20.3 port 5433" in planned.out
    assert_unchanged(before, state_of(h1))

    told = primary_setup(h1, "--witness", h3.address).expect(0)
    assert re.search(r"witness -D DIR --listen 10\.20\.20\.3:5433 --token-file FILE", told.out), told
    assert f"sync enable witness1 -D {h1.data}" in told.out and "pgstandby1" not in told.out
    assert h1.psql(ROWS, database="standfast") == "witness1|10.20.20.3|5433"
    assert h1.psql("SELECT slot_type, restart_lsn IS NULL FROM pg_replication_slots WHERE slot_name = 'witness1'"
                   ) == "physical|t"
    assert h1.psql("SELECT string_agg(database::text, ' ') FROM pg_hba_file_rules WHERE address = '10.20.20.3'"
                   ) == "{replication}"
    assert h1.psql("SHOW synchronous_standby_names") == ""
    token = token_of(h1, "witness1")
    assert token["k"] == "witness" and token["s"] == "witness1" and not {"mu", "mw", "md"} & token.keys()

    before = state_of(h1)
    again = primary_setup(h1, "--witness", h3.address, "--output", "json").expect(0).json()
    assert again["verdict"] == "unchanged" and [
        (one["slot"], one["kind"], one["serves_at_port"]) for one in again["members"]] == [("witness1", "witness", 5433)]
    assert {one["slot"] for one in primary_setup(h1, "--output", "json").expect(0).json()["members"]} == {
        "pgstandby1", "witness1"}
    assert_unchanged(before, state_of(h1))
    moved = primary_setup(h1, "--witness", f"{h3.address}:6000=witness1").expect(0)
    assert "--listen 10.20.20.3:6000" in moved.out
    assert h1.psql(ROWS, database="standfast") == "witness1|10.20.20.3|6000"


def test_setup_of_a_witness_alone_and_its_token_is_no_standbys(three):
    h1, _, h3 = three
    primary_setup(h1, "--init", "--witness", h3.address, "--restart").expect(0)
    text = token_file(h1, "witness1").read_text()
    refused = h3.standfast("join", "-D", h3.data, "--token-file", h3.write("token", text))
    assert refused.code != 0 and 'the token of the witness "witness1"' in refused.err and not h3.data.exists()
    manual = primary_setup(h1, "--witness", h3.address, "--no-token").expect(0)
    assert "pg_receivewal" in manual.out and "-S witness1 --synchronous" in manual.out
    assert "--tls-cert /PATH/witness.crt" in manual.out and "--listen 10.20.20.3:5433" in manual.out


@pytest.mark.parametrize("witness", ["10.20.20.0/24", "10.20.20.3:0", "nowhere", "10.20.20.3=No"])
def test_witness_that_means_nothing_is_refused(three, witness):
    primary_setup(three[0], "--init", "--witness", witness).expect_error(2, "--witness", "hint: ")
    assert not three[0].data.exists()


def test_setup_warns_of_remote_apply(three):
    h1, h2, h3 = three
    steps.set_up_primary(h1, h2)
    h1.psql("ALTER DATABASE postgres SET synchronous_commit = remote_apply")
    told = primary_setup(h1, "--witness", h3.address).expect(0)
    assert 'remote_apply is set for database "postgres"' in told.err


def member(host, name, *options):
    told = host.standfast("status", "-D", host.data, "--output", "json", *options).json()
    return next(one for one in told["members"] if one["name"] == name), told


def test_status_shows_a_witness_and_verify_waits_for_it_in_time(three):
    h1, h2, h3 = three
    scan = SecretScan(h1.network)
    primary_setup(h1, "--init", "--standby", h2.address, "--witness", h3.address, "--restart").expect(0)
    steps.join(h2, steps.carry_token(h1, h2)).expect(0)
    assert member(h1, "witness1")[0]["state"] == "never used"
    running = receive(h1, h3)
    shown, told = member(h1, "witness1")
    assert shown["role"] == "witness" and shown["replay_lsn"] is None and told["verdict"] == "ok"
    assert "witness" in h1.standfast("status", "-D", h1.data).expect(0).out
    assert member(h2, "witness1")[0]["role"] == "witness", "asked by the standby"
    h1.standfast("sync", "enable", "witness1", "-D", h1.data).expect(0)
    for host in (h1, h2):
        proof = host.standfast("verify", "-D", host.data, "--output", "json", timeout=90).expect(0).json()
        assert proof["commit_ms"] > 0 and any(check["name"] == "commit" for check in proof["checks"])

    running.signal(9)
    running.wait()
    wait_until(lambda: h1.psql("SELECT count(*) FROM pg_stat_replication") == "1", 60, "the end of the stream")
    told = h1.standfast("status", "-D", h1.data, "--output", "json").expect(NOT_STREAMING).json()
    assert any("commits may wait for it" in finding["message"] for finding in told["findings"])
    judged = h1.standfast("verify", "-D", h1.data, timeout=90).expect(NOT_REPLICATING)
    assert 'it waited for ANY 1 ("witness1"), of whom nobody streams' in judged.out + judged.err
    assert "was replayed after" in judged.out + judged.err or "was seen on the standby" in judged.out + judged.err
    assert h1.psql("SELECT count(*) FROM standfast.marker", database="standfast") == "0"
    h1.standfast("sync", "disable", "-D", h1.data).expect(0)
    scan.assert_absent(secrets_of(h1, h2), allowed=[h2.folder / "token", h3.folder / PASSFILE])


def test_receiver_that_nobody_named_a_witness_is_a_receiver(three):
    h1, h2, h3 = three
    primary_setup(h1, "--init", "--standby", h2.address, "--witness", h3.address, "--restart").expect(0)
    receive(h1, h3)
    h1.psql("DELETE FROM standfast.witness", database="standfast")
    assert member(h1, "witness1")[0]["role"] == "receiver"


# ---------------------------------------------------------------- promote


def promote(host, *options, **how):
    return host.standfast("standby", "promote", "-D", host.data, *options, timeout=120, **how)


@pytest.fixture(params=[pytest.param(15, marks=pytest.mark.quick), 12, 18])
def cut_off(network, request):
    """h2 is a standby that lacks the last commits of h1, which is dead; h3 has them. A second standby stands in for the
    witness there: it speaks the same protocol."""
    h1, h2, h3 = (network.host(f"h{i}", f"10.20.20.{i}") for i in (1, 2, 3))
    binaries = npm(request.param)
    primary_setup(h1, "--init", "--standby", h2.address, "--standby", h3.address,
                  "--witness", f"{h3.address}:5432=keeper", "--restart", "--pg-bin", binaries).expect(0)
    for host, slot in ((h2, "pgstandby1"), (h3, "pgstandby2")):
        steps.join(host, host.write("token", token_file(h1, slot).read_text()), "--listen", "*",
                   binaries=binaries).expect(0)
    h1.psql("CREATE TABLE t AS SELECT generate_series(1, 10) AS i")
    for host in (h2, h3):
        wait_for_replay(h1, host)
    network.link_down(h2)
    h1.psql("INSERT INTO t SELECT generate_series(11, 1000)")
    h1.psql("CREATE TABLE filler AS SELECT repeat(md5(i::text), 30) AS t FROM generate_series(1, 12000) AS i")
    wait_for_replay(h1, h3)
    h1.run(["kill", "-KILL", (h1.data / "postmaster.pid").read_text().splitlines()[0]]).expect(0)
    network.link_down(h1)  # whose kernel would still deliver what the dead server had sent
    network.link_up(h2)
    assert h2.psql("SELECT count(*) FROM t") == "10"
    return h2, h3, ["--pg-bin", binaries]


def slow_catch_up(h2, pg_bin):
    """A promotion that has pointed the standby at the witness, and gets what it lacks a little at a time."""
    h2.network.limit_rate(h2, 2)
    running = h2.start(h2.standfast_command("standby", "promote", "-D", h2.data, *pg_bin))
    wait_until(lambda: "port=5432" in settings(h2) and "host=10.20.20.3" in settings(h2), 60, "the witness in the settings")
    return running


def settings(host):
    return (host.data / "postgresql.auto.conf").read_text()


def of_primary(text):
    return sorted(line for line in text.splitlines() if line.startswith("primary_"))


def test_promote_gets_from_the_witness_what_the_standby_has_not(cut_off):
    h2, h3, pg_bin = cut_off
    before = settings(h2)
    planned = promote(h2, *pg_bin, "--dry-run").expect(0)
    assert 'would first stream' in planned.out and 'witness "keeper" at 10.20.20.3 port 5432' in planned.out
    assert settings(h2) == before and h2.psql("SELECT pg_is_in_recovery()") == "t"
    told = promote(h2, *pg_bin, "--output", "json").expect(0).json()
    assert told["streamed_from"] == "keeper" and told["not_safe_because"] is None
    assert [(one["name"], one["state"]) for one in told["witnesses"]] == [("keeper", "ahead")]
    assert h2.psql("SELECT pg_is_in_recovery()") == "f" and h2.psql("SELECT count(*) FROM t") == "1000"
    assert of_primary(settings(h2)) == of_primary(before)
    assert not list(h2.secrets.rglob("promote-*"))


def test_promote_is_refused_where_the_witness_cannot_be_asked(cut_off):
    h2, h3, pg_bin = cut_off
    h3.standfast("standby", "stop", "-D", h3.data, *pg_bin).expect(0)
    before = settings(h2)
    refused = promote(h2, *pg_bin).expect_error(10, 'witness "keeper" at 10.20.20.3 port 5432 cannot be asked',
                                                "--accept-data-loss")
    assert re.search(r"the standby has WAL up to [0-9A-F]+/[0-9A-F]+", refused.err)
    assert "would refuse" in promote(h2, *pg_bin, "--dry-run").expect(0).out
    assert h2.psql("SELECT pg_is_in_recovery()") == "t" and settings(h2) == before
    told = promote(h2, *pg_bin, "--accept-data-loss").expect(0)
    assert "may be lost" in told.err and h2.psql("SELECT pg_is_in_recovery()") == "f"
    assert h2.psql("SELECT count(*) FROM t") == "10"


def test_promote_that_was_killed_leaves_settings_that_the_next_puts_back(cut_off):
    h2, _, pg_bin = cut_off
    before = settings(h2)
    running = slow_catch_up(h2, pg_bin)
    running.signal(9)
    running.wait()
    h2.network.limit_rate(h2, 1000)
    h2.standfast("standby", "start", "-D", h2.data, *pg_bin, timeout=90).expect(0)  # 12 was restarting
    told = promote(h2, *pg_bin).expect(0)
    assert "put back" in told.out and h2.psql("SELECT count(*) FROM t") == "1000"
    assert of_primary(settings(h2)) == of_primary(before) and not list(h2.secrets.rglob("promote-*"))


def test_promote_that_is_interrupted_puts_the_settings_back_itself(cut_off):
    h2, _, pg_bin = cut_off
    before = settings(h2)
    running = slow_catch_up(h2, pg_bin)
    running.signal(2)
    assert running.wait(60).code == 4
    assert of_primary(settings(h2)) == of_primary(before) and not list(h2.secrets.rglob("promote-*"))
    assert h2.psql("SELECT pg_is_in_recovery()") == "t"


def test_promote_of_a_standby_that_has_all_asks_and_goes_on(three):
    h1, h2, h3 = three
    primary_setup(h1, "--init", "--standby", h2.address, "--standby", h3.address,
                  "--witness", f"{h3.address}:5432=keeper", "--restart").expect(0)
    for host, slot in ((h2, "pgstandby1"), (h3, "pgstandby2")):
        steps.join(host, host.write("token", token_file(h1, slot).read_text()), "--listen", "*").expect(0)
    for host in (h2, h3):
        wait_for_replay(h1, host)  # else one of them may be ahead of the other
    h1.run(["kill", "-KILL", (h1.data / "postmaster.pid").read_text().splitlines()[0]]).expect(0)
    by_hand = promote(h2, "--witness", "host=10.20.20.3 password=x").expect_error(2, "password", "hint: ")
    assert "password=x" not in by_hand.err
    told = promote(h2, "--witness", "host=10.20.20.3 port=5432", "--output", "json").expect(0).json()
    assert [one["state"] for one in told["witnesses"]] == ["has_no_more", "has_no_more"]
    assert told["streamed_from"] is None and h2.psql("SELECT pg_is_in_recovery()") == "f"


def test_promote_gets_acknowledged_commits_from_a_store_that_is_served(three):
    """Commits that only the witness has, and a client was told of; then the primary and its network are gone."""
    h1, h2, h3 = three
    primary_setup(h1, "--init", "--standby", h2.address, "--witness", h3.address, "--restart").expect(0)
    steps.join(h2, steps.carry_token(h1, h2)).expect(0)
    h1.psql("CREATE TABLE t (i int)")
    token, store = token_of(h1, "witness1"), h3.home / "wal"
    passfile = h3.write(PASSFILE, f"*:*:*:{token['u']}:{token['w']}\n")
    h3.run(["mkdir", store]).expect(0)
    receiver = h3.start(h3.standfast_command(
        "wal", "receive", "-D", store, "-S", "witness1", "--synchronous", "-d",
        f"host={h1.address} user={token['u']} sslmode=require application_name=witness1 passfile={passfile}"))
    wait_until(lambda: h1.psql("SELECT pg_switch_wal()") and h1.psql(
        "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'witness1' AND flush_lsn IS NOT NULL") == "1",
        60, "the witness's stream")
    h1.standfast("sync", "enable", "witness1", "pgstandby1", "-D", h1.data).expect(0)
    wait_for_replay(h1, h2)
    h1.network.link_down(h2)
    h1.psql("INSERT INTO t SELECT generate_series(1, 1000)")  # acknowledged, and the standby cannot have done it
    h1.run(["kill", "-KILL", (h1.data / "postmaster.pid").read_text().splitlines()[0]]).expect(0)
    h1.network.link_down(h1)
    h1.network.link_up(h2)
    assert h2.psql("SELECT count(*) FROM t") == "0"
    promote(h2).expect_error(10, "cannot be asked", "--accept-data-loss")

    receiver.signal(15)
    receiver.wait()
    verifier = h2.psql("SELECT rolname || ':' || rolpassword FROM pg_authid WHERE rolname = 'replicator'")
    users = h3.write("users", verifier + "\n")
    h3.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=h3", "-keyout",
            h3.home / "h3.key", "-out", h3.home / "h3.crt"]).expect(0)
    h3.run(["chmod", "600", h3.home / "h3.key"]).expect(0)
    server = h3.start(h3.standfast_command("wal", "serve", "-D", store, "--listen", f"{h3.address}:5433", "--users", users,
                                           "--tls-cert", h3.home / "h3.crt", "--tls-key", h3.home / "h3.key"))

    def is_asked():
        assert server.alive, server.wait()
        return "would first stream" in promote(h2, "--dry-run").expect(0).out

    wait_until(is_asked, 60, "an answer of the witness")
    told = promote(h2, "--output", "json").expect(0).json()
    assert told["streamed_from"] == "witness1" and h2.psql("SELECT count(*) FROM t") == "1000"
    server.signal(15)
    server.wait()


def test_a_witness_is_taken_out_again(three):
    h1, h2, h3 = three
    primary_setup(h1, "--init", "--standby", h2.address, "--witness", h3.address, "--restart").expect(0)
    running = receive(h1, h3)
    remove = ["--remove-witness", "witness1"]
    h1.standfast("sync", "enable", "witness1", "-D", h1.data).expect(0)
    primary_setup(h1, *remove).expect_error(10, "listed in synchronous_standby_names", "sync disable witness1")
    h1.standfast("sync", "disable", "witness1", "-D", h1.data).expect(0)
    before = state_of(h1)
    primary_setup(h1, *remove).expect_error(15, "still streams, from 10.20.20.3")
    running.signal(9)
    running.wait()
    wait_until(lambda: h1.psql("SELECT active FROM pg_replication_slots WHERE slot_name = 'witness1'") == "f", 60,
               "the end of the stream")
    primary_setup(h1, *remove, "--witness", h3.address).expect_error(2, "--remove-witness")
    assert_unchanged(before, state_of(h1))
    planned = primary_setup(h1, *remove, "--dry-run").expect(0)
    for text in ("pg_hba.conf", "slot witness1: dropped", "table standfast.witness", "token for witness1"):
        assert text in planned.out, planned
    assert_unchanged(before, state_of(h1))
    told = primary_setup(h1, *remove, "--output", "json").expect(0).json()
    assert told["verdict"] == "changed" and [change["kind"] for change in told["changes"]] == [
        "hba", "slot", "database", "token"]
    assert h1.psql(ROWS, database="standfast") == ""
    assert h1.psql("SELECT string_agg(slot_name, ' ') FROM pg_replication_slots") == "pgstandby1"
    assert h1.psql("SELECT count(*) FROM pg_hba_file_rules WHERE address = '10.20.20.3'") == "0"
    assert h1.psql("SELECT count(*) FROM pg_hba_file_rules WHERE address = '10.20.20.2'") == "2"
    assert not token_file(h1, "witness1").exists() and token_file(h1, "pgstandby1").exists()

    before = state_of(h1)
    again = primary_setup(h1, *remove).expect(0)
    assert 'no witness "witness1" is known here' in again.out + again.err
    assert_unchanged(before, state_of(h1))
    assert {one["slot"] for one in primary_setup(h1, "--output", "json").expect(0).json()["members"]} == {"pgstandby1"}
