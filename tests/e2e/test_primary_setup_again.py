"""A second `primary setup`, a dry one, one for another standby, and one after something was lost or changed by hand."""

import pytest

from harness import steps, tokens
from harness.binaries import DEBIAN, npm
from harness.certificates import give_certificate
from harness.cluster import Cluster
from harness.state import assert_unchanged, files_of, state_of

STANDBY, OTHER = "10.20.20.2", "10.20.20.3"


def set_up(host, *options, standbys=(STANDBY,), **more):
    named = [part for address in standbys for part in ("--standby", address)]
    return host.standfast("primary", "setup", "-D", host.data, *named, *options, **more)


def plain(host, binaries=DEBIAN, **settings):
    cluster = Cluster(host, binaries).init().configure(listen_addresses="'*'")
    return cluster.configure(**settings).start()


@pytest.fixture
def server(network):
    return plain(network.host("h1", "10.20.20.1"))


def token(host, slot="pgstandby1"):
    return next(host.secrets.rglob(f"{slot}.token")).read_text()


def passwords(host):
    lines = next(host.secrets.rglob("primary.pgpass")).read_text().splitlines()
    return {line.split(":")[3]: line.split(":")[4] for line in lines if line and not line.startswith("#")}


def logs_in(host, user, password, database):
    """Over TCP from this host itself, past pg_hba.conf's own lines for the standby."""
    (host.data / "pg_hba.conf").write_text(f"host {database} {user} all scram-sha-256\n"
                                           + (host.data / "pg_hba.conf").read_text())
    host.psql("SELECT pg_reload_conf(), pg_sleep(0.2)")
    return host.run([DEBIAN.program("psql"), "-h", host.address, "-U", user, "-d", database, "-c", "SELECT 1"],
                    env={"PGPASSWORD": password}, record=False).code == 0


def test_second_run_changes_nothing_and_says_so(server):
    host = server.host
    first = set_up(host).expect(0)
    before = state_of(host)
    second = set_up(host).expect(0)
    assert_unchanged(before, state_of(host))
    assert "nothing was changed" in second.out and "nothing was changed" not in first.out
    assert "standfast join" in second.out
    described = set_up(host, "--output", "json").expect(0).json()
    assert described["changes"] == []
    assert_unchanged(before, state_of(host))
    # Nor when the standby is not named again, or named in another spelling.
    set_up(host, standbys=()).expect(0)
    set_up(host, standbys=("10.20.20.2/32",)).expect(0)
    assert_unchanged(before, state_of(host))


def test_dry_run_changes_nothing_and_names_every_change(network):
    host = network.host("h1", "10.20.20.1")
    server = Cluster(host, DEBIAN).init().configure(wal_level="minimal", max_wal_senders=0).start()
    before = state_of(host)
    planned = set_up(host, "--restart", "--dry-run", standbys=(STANDBY, OTHER)).expect(0)
    assert_unchanged(before, state_of(host))
    assert not host.secrets.exists()
    for part in ("listen_addresses", "wal_level", "max_wal_senders", "max_slot_wal_keep_size", "replicator",
                 "standfast_monitor", "pg_hba.conf", "10.20.20.2/32", "10.20.20.3/32", "pgstandby1", "pgstandby2",
                 "restart"):
        assert part in planned.out, part
    described = set_up(host, "--dry-run", "--output", "json").expect(0).json()
    assert {change["step"] for change in described["changes"]} >= {"1.1", "1.2", "1.3", "1.4"}
    assert all(change["reason"] for change in described["changes"])
    assert_unchanged(before, state_of(host))
    assert server.running

    # What a dry run promises is what a run does.
    done = set_up(host, "--restart", "--output", "json", standbys=(STANDBY, OTHER)).expect(0).json()
    dry = set_up(host, "--dry-run", "--output", "json", standbys=(STANDBY, OTHER)).expect(0).json()
    assert [change["what"] for change in done["changes"]] and dry["changes"] == []


def test_each_standby_has_a_slot_a_line_and_a_token_of_its_own(server):
    host = server.host
    set_up(host).expect(0)
    first_token, first_slot = token(host), host.psql("SELECT * FROM pg_replication_slots")
    first = {name: what for name, what in state_of(host).items() if name in ("roles", "databases", "settings", "start")}

    set_up(host, standbys=(OTHER,)).expect(0)
    assert host.psql("SELECT slot_name FROM pg_replication_slots ORDER BY 1") == "pgstandby1\npgstandby2"
    assert host.psql("SELECT * FROM pg_replication_slots WHERE slot_name = 'pgstandby1'") == first_slot
    assert token(host) == first_token
    assert tokens.decode(token(host, "pgstandby2"))["s"] == "pgstandby2"
    assert_unchanged(first, {name: what for name, what in state_of(host).items() if name in first})
    rules = host.psql("SELECT DISTINCT address FROM pg_hba_file_rules WHERE user_name = '{replicator}' ORDER BY 1")
    assert rules == "10.20.20.2\n10.20.20.3"

    both = set_up(host, standbys=(OTHER, STANDBY)).expect(0)
    assert "nothing was changed" in both.out and both.out.count("standfast join") == 2
    assert token(host) == first_token


def test_slot_of_ones_own_name(server):
    set_up(server.host, "--slot", "berlin").expect(0)
    assert server.psql("SELECT slot_name FROM pg_replication_slots") == "berlin"
    before = state_of(server.host)
    set_up(server.host).expect(0)
    set_up(server.host, "--slot", "berlin").expect(0)
    assert_unchanged(before, state_of(server.host))


def test_ipv6_standby_gets_an_ipv6_primary(pair):
    h1, h2 = pair
    plain(h1)
    set_up(h1, standbys=(h2.address6, "10.20.20.2")).expect(0)
    rules = h1.rows("SELECT address, netmask FROM pg_hba_file_rules WHERE user_name = '{replicator}' ORDER BY 1")
    assert {rule["address"] for rule in rules} == {"10.20.20.2", "fd00:20::2"}
    assert "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" in {rule["netmask"] for rule in rules}
    fields = tokens.decode(token(h1, "pgstandby1"))
    assert fields["h"] == h1.address6 and tokens.decode(token(h1, "pgstandby2"))["h"] == h1.address
    h2.run([DEBIAN.program("psql"), "-h", h1.address6, "-U", fields["mu"], "-d", fields["md"], "-c", "SELECT 1"],
           env={"PGPASSFILE": h2.write("pgpass", next(h1.secrets.rglob("primary.pgpass")).read_text())}).expect(0)


def test_standby_joins_over_ipv6(pair):
    h1, h2 = pair
    h1.standfast("primary", "setup", "-D", h1.data, "--init", "--standby", h2.address6, timeout=120).expect(0)
    steps.join(h2, steps.carry_token(h1, h2)).expect(0)
    assert h1.psql("SELECT client_addr, state FROM pg_stat_replication") == f"{h2.address6}|streaming"
    assert h1.psql("SELECT ssl FROM pg_stat_ssl JOIN pg_stat_replication USING (pid)") == "t"
    for host in pair:
        host.standfast("status", "-D", host.data).expect(0)
        host.standfast("verify", "-D", host.data).expect(0)


def test_standby_joins_without_tls_and_is_warned(pair):
    h1, h2 = pair
    plain(h1)
    set_up(h1).expect(0)
    joined = steps.join(h2, steps.carry_token(h1, h2)).expect(0)
    assert "travel in clear" in joined.err and "hint: " in joined.err
    assert h1.psql("SELECT client_addr, state FROM pg_stat_replication") == f"{h2.address}|streaming"
    h2.standfast("verify", "-D", h2.data).expect(0)


# ---------------------------------------------------------------- secrets


def test_lost_secrets_are_said_and_renewed_only_on_request(server):
    host = server.host
    set_up(host).expect(0)
    old = passwords(host)
    for path in host.secrets.rglob("*.pgpass"):
        path.unlink()
    before = state_of(host)
    set_up(host).expect_error(10, "is not known here", "hint: ", "--rotate-password")
    assert_unchanged(before, state_of(host))

    rotated = set_up(host, "--rotate-password").expect(0)
    new = passwords(host)
    assert new.keys() == old.keys() and not set(new.values()) & set(old.values())
    fields = tokens.decode(token(host))
    assert (fields["w"], fields["mw"]) == (new[fields["u"]], new[fields["mu"]])
    assert "new token" in rotated.out + rotated.err
    assert logs_in(host, "standfast_monitor", new["standfast_monitor"], "standfast")
    assert not logs_in(host, "standfast_monitor", old["standfast_monitor"], "standfast")
    for secret in [*new.values(), *old.values()]:
        assert secret not in rotated.out + rotated.err


def test_lost_token_is_written_again_from_the_kept_passwords(server):
    host = server.host
    set_up(host).expect(0)
    first, known = token(host), passwords(host)
    next(host.secrets.rglob("*.token")).unlink()
    set_up(host).expect(0)
    assert token(host) == first and passwords(host) == known


@pytest.mark.parametrize("name", ["replicator", "standfast_monitor"])
def test_password_changed_by_hand_is_noticed(server, name):
    host = server.host
    set_up(host).expect(0)
    host.psql(f"ALTER ROLE {name} PASSWORD 'changed-by-hand'")
    before = state_of(host)
    set_up(host).expect_error(10, f'the password of role "{name}" was changed', "hint: ", "--rotate-password")
    assert_unchanged(before, state_of(host))
    if name == "replicator":
        given = host.write("given", "changed-by-hand\n")
        set_up(host, "--password-file", given).expect(0)
        assert tokens.decode(token(host))["w"] == "changed-by-hand"
    else:
        set_up(host, "--rotate-password").expect(0)
        assert "changed-by-hand" not in passwords(host).values()
    after = state_of(host)
    set_up(host).expect(0)
    assert_unchanged(after, state_of(host))


def test_secrets_that_others_could_read_are_refused(server):
    host = server.host
    set_up(host).expect(0)
    passfile = next(host.secrets.rglob("primary.pgpass"))
    passfile.chmod(0o644)
    before = state_of(host)
    set_up(host).expect_error(5, str(passfile), "hint: ")
    assert_unchanged(before, state_of(host))


@pytest.mark.parametrize("secrets", ["data/secret", "data"])
def test_secrets_inside_a_data_directory_are_refused(server, secrets):
    host = server.host
    before = state_of(host)
    set_up(host, env={"STANDFAST_HOME": host.cluster_folder / secrets}).expect_error(10, "data directory", "hint: ")
    assert_unchanged(before, state_of(host))


@pytest.mark.parametrize("way", ["file", "terminal"])
def test_password_of_ones_own(server, way):
    host = server.host
    if way == "file":
        given = host.write("given", "of-my-own-choice\n")
        set_up(host, "--password-file", given).expect(0)
    else:
        terminal = host.terminal(host.standfast_command("primary", "setup", "-D", host.data, "--standby", STANDBY, "-W"),
                                 record=False)
        terminal.expect("password of the replication role: ")
        terminal.send_line("of-my-own-choice")
        terminal.expect("once more: ")
        terminal.send_line("of-my-own-choice")
        assert "of-my-own-choice" not in terminal.finish().expect(0).out
    assert passwords(host)["replicator"] == "of-my-own-choice"
    assert passwords(host)["standfast_monitor"] != "of-my-own-choice"
    assert host.psql("SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'replicator'") == "t"


def test_roles_are_no_superusers_and_their_database_is_theirs(server):
    host = server.host
    set_up(host).expect(0)
    roles = host.rows("SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolcanlogin FROM pg_roles "
                      "WHERE rolname IN ('replicator', 'standfast_monitor') ORDER BY 1")
    assert [tuple(role.values()) for role in roles] == [("replicator", "f", "f", "f", "t", "t"),
                                                         ("standfast_monitor", "f", "f", "f", "f", "t")]
    assert host.psql("SELECT pg_has_role('standfast_monitor', 'pg_monitor', 'member')") == "t"
    assert host.psql("SELECT datdba::regrole FROM pg_database WHERE datname = 'standfast'") == "standfast_monitor"
    assert host.psql("SELECT tableowner FROM pg_tables WHERE tablename = 'marker'",
                     database="standfast") == "postgres"


@pytest.mark.parametrize("major", [12, 13, 18])
def test_verifier_is_scram_whatever_the_server_would_choose(network, major):
    server = plain(network.host("h1", "10.20.20.1"), npm(major), password_encryption="md5")
    set_up(server.host, "--pg-bin", npm(major)).expect(0)
    assert server.psql("SELECT bool_and(rolpassword LIKE 'SCRAM-SHA-256$%') FROM pg_authid WHERE rolpassword IS NOT NULL "
                       "AND rolname IN ('replicator', 'standfast_monitor')") == "t"


# ---------------------------------------------------------------- WAL that a dead standby may cost


def test_slot_bound_is_set_only_where_there_is_none(server):
    host = server.host
    assert host.psql("SHOW max_slot_wal_keep_size") == "-1"
    said = set_up(host).expect(0)
    bound = int(host.psql("SELECT setting FROM pg_settings WHERE name = 'max_slot_wal_keep_size'"))
    assert bound >= 1024 and f"{bound}MB" in said.out
    host.psql("ALTER SYSTEM SET max_slot_wal_keep_size = '3GB'")
    host.psql("SELECT pg_reload_conf(), pg_sleep(0.2)")
    set_up(host).expect(0)
    assert host.psql("SHOW max_slot_wal_keep_size") == "3GB"


def test_slot_bound_is_left_where_a_slot_lags_further(network):
    host = network.host("h1", "10.20.20.1")
    host.tmpfs(host.cluster_folder, 2500)
    server = plain(host, wal_keep_size="0", min_wal_size="'32MB'", max_wal_size="'32MB'", wal_level="replica")
    server.psql("SELECT pg_create_physical_replication_slot('lagging', true)")
    # Past the least figure, 1 GiB, in a few switches of segments: pg_switch_wal fills each with nothing.
    server.psql("CREATE TABLE t (i int)")
    server.psql("DO $$ BEGIN FOR i IN 1..66 LOOP INSERT INTO t VALUES (i); PERFORM pg_switch_wal(); COMMIT; END LOOP; "
                "END $$", timeout=200)
    said = set_up(host).expect(0)
    assert server.psql("SHOW max_slot_wal_keep_size") == "-1"
    text = said.out + said.err
    assert "max_slot_wal_keep_size stays unlimited" in text and '"lagging"' in text


def test_nothing_bounds_a_slot_on_12_and_that_is_said(network):
    server = plain(network.host("h1", "10.20.20.1"), npm(12))
    said = set_up(server.host, "--pg-bin", npm(12)).expect(0)
    assert "nothing bounds the WAL" in said.out + said.err


# ---------------------------------------------------------------- TLS


def test_ssl_off_is_warned_about_and_ssl_on_is_required_later(server):
    host = server.host
    warned = set_up(host).expect(0)
    assert "clear" in warned.err and "hint: " in warned.err
    assert host.psql("SELECT DISTINCT type FROM pg_hba_file_rules WHERE user_name = '{replicator}'") == "host"
    assert "f" not in tokens.decode(token(host))

    give_certificate(host)
    server.configure(ssl="on").reload()
    quiet = set_up(host).expect(0)
    assert "clear" not in quiet.err
    assert host.psql("SELECT DISTINCT type FROM pg_hba_file_rules WHERE user_name = '{replicator}'") == "hostssl"
    assert len(tokens.decode(token(host))["f"]) == 64
    before = files_of(host)
    set_up(host).expect(0)
    assert_unchanged(before, files_of(host))

    # A renewed certificate is in the next token.
    old = tokens.decode(token(host))["f"]
    give_certificate(host, name="renewed")
    server.reload()
    set_up(host).expect(0)
    assert tokens.decode(token(host))["f"] != old


def test_no_token_gives_the_manual_way(server):
    host = server.host
    manual = set_up(host, "--no-token").expect(0)
    assert "primary_conninfo" in manual.out and "pgstandby1" in manual.out and "standfast join -D" not in manual.out
    for secret in [*passwords(host).values(), token(host).strip()]:
        assert secret not in manual.out + manual.err
    shown = host.terminal(host.standfast_command("primary", "setup", "-D", host.data, "--no-token"), record=False).finish()
    assert shown.code == 0 and "primary_conninfo" in shown.out and "standfast1." not in shown.out
