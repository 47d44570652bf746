"""`standfast doctor`: what is well, what is risky and what is wrong on a host, said by name, and nothing changed."""

import json
import os
import pwd
import re

import pytest

from harness import steps
from harness.binaries import DEBIAN, npm
from harness.cluster import Cluster
from harness.secret_scan import secrets_of
from harness.state import assert_unchanged, files_of, state_of
from harness.waiting import wait_until

WRONG = 10


def without_numbers(text):
    """The room on a disk is another one a moment later."""
    return re.sub(r"\d+(\.\d+)?", "0", text)


def doctor(host, *options, data=None, **kwargs):
    """The report of a run, as json; the text of another run says the same."""
    where = ["-D", data or host.data]
    done = host.standfast("doctor", *where, "--output", "json", *options, **kwargs)
    assert done.code in (0, WRONG), done
    report = json.loads(done.out)
    assert report["exit_code"] == done.code == (WRONG if report["verdict"] == "wrong" else 0)
    text = host.standfast("doctor", *where, *options, **kwargs)
    assert text.code == done.code
    for finding in report["findings"]:
        assert f"{finding['state']:<7}  {without_numbers(finding['what'])}\n" in without_numbers(text.out), finding
        if finding["state"] in ("risk", "wrong"):
            assert finding["why"] and finding["what_to_do"], finding
    return report


def found(report, *states):
    """The findings of these states: a text of all by check."""
    checks = {}
    for finding in report["findings"]:
        if finding["state"] in states:
            checks[finding["check"]] = checks.get(finding["check"], "") + finding["what"] + "\n"
    return checks


def at_risk(report):
    return found(report, "risk", "wrong")


@pytest.fixture(params=[None, 12, 18], ids=["debian15", "npm12", "npm18"])
def servers(request):
    return npm(request.param) if request.param else None


def test_healthy_pair(pair, servers):
    primary, standby = pair
    steps.set_up_primary(primary, standby, binaries=servers)
    steps.join(standby, steps.carry_token(primary, standby), binaries=servers).expect(0)
    steps.wait_for_active_slot(primary)
    before = [state_of(host) for host in pair]
    reports = [doctor(host, *steps.pg_bin(servers)) for host in pair]
    for host, state in zip(pair, before):
        assert_unchanged(state, state_of(host))
    for report in reports:
        assert not found(report, "wrong", "unknown"), report
    # Nobody starts a cluster of this kind with the host, and its releases may be old.
    assert at_risk(reports[0]).keys() <= {"start_at_boot", "release", "max_slot_wal_keep_size", "room"}, reports[0]
    assert at_risk(reports[1]).keys() <= {"start_at_boot", "release", "room", "listen_addresses",
                                          "replay_of_older_releases"}, reports[1]
    well = found(reports[1], "well")
    assert "streams from 10.20.20.1 port 5432 on timeline 1" in well["streaming"]
    assert reports[0]["server"].startswith("primary,") and reports[1]["server"].startswith("standby,")
    said = json.dumps(reports)
    assert not [secret for secret in secrets_of(*pair) if secret in said]

    # As root, by way of the owner: the same.
    as_root = doctor(standby, *steps.pg_bin(servers), user="root", env={"STANDFAST_HOME": None})
    assert [f["check"] for f in as_root["findings"]] == [f["check"] for f in reports[1]["findings"]]

    # A standby that lost its primary, and one whose replay is paused.
    standby.psql("SELECT pg_wal_replay_pause()")
    wait_until(lambda: standby.psql("SELECT pg_is_wal_replay_paused()") == "t", 60, "the pause")
    assert "paused" in found(doctor(standby, *steps.pg_bin(servers)), "wrong")["replay"]
    standby.psql("SELECT pg_wal_replay_resume()")
    Cluster(primary, servers or DEBIAN).stop()
    wait_until(lambda: standby.psql("SELECT count(*) FROM pg_stat_wal_receiver") == "0", 60, "the end of the receiver")
    assert "does not stream" in found(doctor(standby, *steps.pg_bin(servers)), "wrong")["streaming"]


@pytest.fixture(params=[15, 12, 18])
def sick(request, network):
    """A server that has about everything that a server can have."""
    binaries = DEBIAN if request.param == 15 else npm(request.param)
    host = network.host("h1", "10.20.20.1")
    server = Cluster(host, binaries).init()
    server.configure(listen_addresses="'localhost'", max_wal_senders="2", full_page_writes="off",
                     wal_sender_timeout="0", archive_mode="on", password_encryption="md5",
                     synchronous_standby_names="'ghost'", synchronous_commit="local", max_prepared_transactions="2")
    with open(host.data / "pg_hba.conf", "a", encoding="utf-8") as rules:
        rules.write("host replication all 0.0.0.0/0 trust\nhost replication all 10.0.0.0/8 md5\n")
    server.start()
    server.psql("CREATE ROLE old LOGIN REPLICATION PASSWORD 'hush-hush-of-old' VALID UNTIL '2001-01-01'")
    server.psql("SELECT pg_create_physical_replication_slot('away', true)")
    server.psql("SELECT pg_create_physical_replication_slot('never')")
    server.psql("CREATE TABLE t AS SELECT generate_series(1, 100000) AS n")
    return host, server, binaries


def test_each_sickness_is_named_and_nothing_is_changed(sick):
    host, server, binaries = sick
    (host.cluster_folder / "data.standfast-old-20260101T000000").mkdir()
    (host.data / "pg_hba.conf.standfast-20260101T000000").touch()
    os.chown(host.cluster_folder / "data.standfast-old-20260101T000000", pwd.getpwnam("postgres").pw_uid, -1)
    server.psql("ALTER SYSTEM SET max_connections = 50")
    server.reload()
    wait_until(lambda: server.psql("SELECT count(*) FROM pg_settings WHERE pending_restart") != "0", 60, "the reload")
    before = state_of(host)
    report = doctor(host, "--pg-bin", binaries)
    assert_unchanged(before, state_of(host))
    wrong, risks = found(report, "wrong"), found(report, "risk")
    assert "fsync is off" in wrong["fsync"] and "by trust" in wrong["hba_method"]
    assert "configuration_files" not in wrong  # what waits for a restart is no broken line
    assert "role \"old\"" in wrong["replication_roles"]
    for check, words in {"listen_addresses": "localhost", "max_wal_senders": "is 2", "full_page_writes": "off",
                         "wal_sender_timeout": "never", "archive_mode": "no archive_command",
                         "password_encryption": "md5", "md5_passwords": "\"old\"", "ssl": "off",
                         "synchronous_standby_names": "0 of 1", "hba_method": "by md5",
                         "hba_replication": "every address", "slot_inactive": "slot \"away\"",
                         "slot_unused": "slot \"never\"", "data_checksums": "no page checksums",
                         "pending_restart": "max_connections", "start_at_boot": "no service",
                         "old_directory": "data.standfast-old-20260101T000000"}.items():
        if check == "data_checksums" and binaries.major == 18:
            continue  # on by default from there on
        assert words in risks[check], (check, risks)
    assert ("release" in risks) == (binaries.major in (12, 13, 14))
    assert ("max_slot_wal_keep_size" in risks) == (binaries.major >= 13)
    assert "pg_hba.conf.standfast-20260101T000000" in found(report, "well")["dated_copy"]
    assert "hush" not in json.dumps(report)


def test_broken_files_are_named_by_their_lines(sick):
    host, server, binaries = sick
    with open(host.data / "pg_hba.conf", "a", encoding="utf-8") as rules:
        rules.write("host replication all 10.20.20.2/99 scram-sha-256\n")
    server.configure(no_such_setting="1")
    before = files_of(host)
    report = doctor(host, "--pg-bin", binaries)
    assert files_of(host) == before
    lines = len((host.data / "pg_hba.conf").read_text().splitlines())
    assert f"pg_hba.conf line {lines}:" in found(report, "wrong")["hba_file"]
    assert "no_such_setting" in found(report, "wrong")["configuration_files"]


def test_stopped_server_is_looked_at_and_stays_stopped(sick):
    host, server, binaries = sick
    server.stop()
    before = files_of(host)
    report = doctor(host, "--pg-bin", binaries)
    assert files_of(host) == before and not server.running
    assert "does not run" in found(report, "risk")["state"]
    assert "fsync is off" in found(report, "wrong")["fsync"]
    assert {"slots", "access", "settings"} <= found(report, "unknown").keys()
    assert report["server"].endswith("stopped")
    server.configure(no_such_setting="1")
    assert "no_such_setting" in found(doctor(host, "--pg-bin", binaries), "wrong")["configuration_files"]


def test_wrong_login_is_told_and_the_rest_is_seen(sick):
    host, server, binaries = sick
    (host.data / "pg_hba.conf").write_text("local all postgres trust\nlocal all all reject\n")
    server.reload()
    server.psql("CREATE ROLE simple LOGIN")
    report = doctor(host, "-U", "simple", "--pg-bin", binaries)
    unknown = found(report, "unknown")
    assert {"slots", "access"} <= unknown.keys(), unknown
    assert "fsync is off" in found(report, "wrong")["fsync"]
    # One who may log in and sees little.
    (host.data / "pg_hba.conf").write_text("local all all trust\n")
    server.reload()
    wait_until(lambda: host.run([DEBIAN.program("psql"), "-h", "/tmp", "-U", "simple", "-d", "postgres", "-c", "SELECT 1"])
               .code == 0, 60, "the new rules")
    report = doctor(host, "-U", "simple", "--pg-bin", binaries)
    assert {"hba_file", "roles", "configuration_files"} <= found(report, "unknown").keys()
    assert "slot \"away\"" in found(report, "risk")["slot_inactive"]


def test_standby_with_a_bad_passfile_and_a_password_in_clear(pair):
    primary, standby = pair
    steps.set_up_primary(primary, standby)
    steps.join(standby, steps.carry_token(primary, standby)).expect(0)
    passfile = next(path for path in standby.secrets.rglob("*.pgpass"))
    passfile.chmod(0o644)
    assert "mode 644" in found(doctor(standby), "wrong")["passfile"]
    passfile.unlink()
    assert "is not there" in found(doctor(standby), "wrong")["passfile"]
    standby.psql("ALTER SYSTEM SET primary_conninfo = 'host=10.20.20.1 user=replicator password=hush-hush-hush'")
    standby.psql("ALTER SYSTEM SET recovery_min_apply_delay = '1h'")
    standby.psql("SELECT pg_reload_conf()")
    wait_until(lambda: "hush" in standby.psql("SHOW primary_conninfo"), 60, "the reload")
    report = doctor(standby)
    risks = found(report, "risk")
    assert "the password stands in primary_conninfo" in risks["primary_conninfo"]
    assert "sslmode=prefer" in risks["primary_tls"] and "late on purpose" in risks["recovery_min_apply_delay"]
    assert "hush" not in json.dumps(report)


def test_disks(network):
    host = network.host("h1", "10.20.20.1")
    data = host.tmpfs(host.cluster_folder / "mounted", 200) / "data"
    server = Cluster(host, DEBIAN, data=data).init().start()
    spaces = host.cluster_folder / "space"
    host.run(["mkdir", "-m", "700", spaces]).expect(0)
    server.psql(f"CREATE TABLESPACE s LOCATION '{spaces}'")
    oid = server.psql("SELECT oid FROM pg_tablespace WHERE spcname = 's'")
    assert "lies in memory (tmpfs)" in found(doctor(host, data=data), "risk")["file_system"]
    server.stop()
    for left in (data / ".standfast" / "old-20260101T000000", spaces / ".standfast" / "new"):
        host.run(["mkdir", "-p", left]).expect(0)
    risks = found(doctor(host, data=data), "risk")
    assert "data/.standfast/old-20260101T000000" in risks["old_directory"]
    assert "space/.standfast/new" in risks["unfinished_copy"]
    spaces.rename(host.cluster_folder / "moved")
    filler = host.cluster_folder / "mounted" / "filler"
    with open(filler, "wb") as file:
        left = os.statvfs(filler)
        file.truncate(0)
        os.posix_fallocate(file.fileno(), 0, (left.f_bavail - 100) * left.f_frsize)
    wrong = found(doctor(host, data=data), "wrong")
    assert f"tablespace {oid}" in wrong["folder"] and "data directory" in wrong["room"]


def test_certificate_that_has_ended(network):
    host = network.host("h1", "10.20.20.1")
    server = Cluster(host, DEBIAN).init()
    host.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
              "/CN=old", "-days", "1", "-keyout", host.data / "server.key", "-out", host.data / "server.crt"]).expect(0)
    server.configure(ssl="on").start()
    assert "ends on" in found(doctor(host), "risk")["certificate"]
    (host.data / "server.crt").write_text("no certificate")
    assert "the server's certificate" in found(doctor(host), "unknown")["certificate"]


@pytest.mark.parametrize("user", ["postgres", "root"])
def test_debian_cluster_is_found_without_being_named(network, user):
    host = network.host("h1", "10.20.20.1")
    host.run(["pg_createcluster", "15", "main"]).expect(0)
    stopped = host.standfast("doctor", "--output", "json", user=user).expect(0).json()
    assert stopped["data_directory"] == "/var/lib/postgresql/15/main" and stopped["server"].endswith("stopped")
    host.run(["pg_ctlcluster", "15", "main", "start"]).expect(0)
    data = host.home / "15" / "main"
    before = state_of(host, data)
    report = host.standfast("doctor", "--output", "json", user=user).expect(0).json()
    assert_unchanged(before, state_of(host, data))
    assert "Debian's cluster 15/main starts with the host" in found(report, "well")["start_at_boot"]
    assert not found(report, "unknown", "wrong"), report
    assert "command_line" not in at_risk(report)
    conf = host.folder / "etc/15/main/start.conf"
    conf.write_text("manual\n")
    assert "15/main" in at_risk(host.standfast("doctor", "-p", "5432", "--output", "json", user=user).json())[
        "start_at_boot"]
    host.run(["pg_createcluster", "-p", "5433", "15", "other"]).expect(0)
    several = host.standfast("doctor", user=user)
    assert several.code == 2 and "15/main" in several.err and "15/other" in several.err


def test_host_without_a_cluster(network):
    host = network.host("h1", "10.20.20.1")
    for user in ("postgres", "root"):
        done = host.standfast("doctor", "--output", "json", user=user, env={"PGDATA": None}).expect(0)
        report = json.loads(done.out)
        assert report["data_directory"] is None and "cluster" in found(report, "unknown")
        assert "PostgreSQL 15" in found(report, "well")["programs"]
        named = host.standfast("doctor", "-D", host.data, user=user)
        assert named.code == WRONG and "does not exist" in named.out
    assert not host.data.exists() and not host.secrets.exists()


def test_another_user_is_refused(network):
    host = network.host("h1", "10.20.20.1")
    Cluster(host, DEBIAN).init()
    host.standfast("doctor", "-D", host.data, user="nobody", env={"STANDFAST_HOME": None}).expect_error(5, "postgres")
