"""What `primary setup` refuses, and that a refusal changes nothing; what it cannot finish, and what it takes back."""

import contextlib
import shutil
from dataclasses import dataclass
from typing import Callable

import pytest

from harness.binaries import DEBIAN
from harness.cluster import Cluster
from harness.state import assert_unchanged, files_of, state_of
from harness.waiting import wait_until

STANDBY = "10.20.20.2"


def set_up(host, *options, standby=STANDBY, user="postgres", **more):
    standbys = ["--standby", standby] if standby else []
    return host.standfast("primary", "setup", "-D", host.data, *standbys, *options, user=user, **more)


@pytest.fixture(scope="module")
def shared(shared_network):
    """A plain server that refusals are tried on."""
    return Cluster(shared_network.host("h1", "10.20.20.1"), DEBIAN).init().configure(listen_addresses="'*'").start()


@pytest.fixture
def server(network):
    """A plain server of a test's own, as an administrator has it: nothing is prepared for standbys."""
    return Cluster(network.host("h1", "10.20.20.1"), DEBIAN).init().start()


# ---------------------------------------------------------------- refused before the first change


@contextlib.contextmanager
def sql(server, done, undone):
    for statement in done:
        server.psql(statement)
    try:
        yield
    finally:
        for statement in undone:
            server.psql(statement)


def role(attributes):
    return lambda server: sql(server, [f"CREATE ROLE replicator {attributes}"], ["DROP ROLE replicator"])


def some_role(name, attributes):
    return lambda server: sql(server, [f"CREATE ROLE {name} {attributes}"], [f"DROP ROLE {name}"])


def database(name):
    return lambda server: sql(server, [f"CREATE DATABASE {name}"], [f"DROP DATABASE {name}"])


@contextlib.contextmanager
def broken_hba(server):
    path = server.data / "pg_hba.conf"
    text = path.read_text()
    path.write_text(text + "host all all 10.0.0.0/8 md6\n")
    try:
        yield
    finally:
        path.write_text(text)


@contextlib.contextmanager
def slot_in_use(server):
    host = server.host
    server.psql("SELECT pg_create_physical_replication_slot('taken')")
    port, folder = host.server_socket()
    receiver = host.start([DEBIAN.program("pg_receivewal"), "-h", folder, "-p", port, "-D", host.home, "-S", "taken"])
    wait_until(lambda: server.psql("SELECT active FROM pg_replication_slots") == "t", 60, "the slot in use")
    try:
        yield
    finally:
        receiver.signal(15)
        receiver.wait()
        server.psql("SELECT pg_drop_replication_slot('taken')")


@contextlib.contextmanager
def given_password(server):
    server.host.write("given", "not-the-one-it-has\n")
    with sql(server, ["CREATE ROLE replicator LOGIN REPLICATION PASSWORD 'the-one-it-has'"], ["DROP ROLE replicator"]):
        yield


@dataclass(frozen=True)
class Refusal:
    name: str
    code: int
    message: str
    hint: str
    options: tuple = ()
    standby: str = STANDBY
    arrange: Callable = lambda server: contextlib.nullcontext()


USAGE, PERMISSION, AUTHENTICATION, VERSION, PRECONDITION, SLOT = 2, 5, 7, 8, 10, 15

REFUSALS = [
    Refusal("host_name", USAGE, "DNS", "Give the IPv4 or IPv6 address", standby="standby1.example.com"),
    Refusal("short_host_name", USAGE, "DNS", "Give the IPv4 or IPv6 address", standby="h2"),
    Refusal("address_out_of_range", USAGE, "no IPv4 or IPv6 address", "Give the IPv4", standby="10.20.20.300"),
    Refusal("address_with_port", USAGE, "no IPv4 or IPv6 address", "Give the IPv4", standby="10.20.20.2:5432"),
    Refusal("prefix_too_long", USAGE, "prefix", "Leave the prefix away", standby="10.20.20.2/33"),
    Refusal("zone", USAGE, "zone", "without %", standby="fe80::1%eth0"),
    Refusal("ipv4_in_ipv6", USAGE, "never matches", "IPv4 address itself", standby="::ffff:10.20.20.2"),
    Refusal("unspecified_address", USAGE, "unspecified", "Give the IPv4", standby="0.0.0.0"),
    Refusal("no_standby", USAGE, "no standby is named", "--standby ADDRESS", standby=None),
    Refusal("no_route", PRECONDITION, "no route", "--advertise", standby="10.99.0.2"),
    Refusal("advertised_list", USAGE, "--advertise takes one", "without a port",
            options=("--advertise", "10.20.20.1,10.20.20.7")),
    Refusal("listens_elsewhere", USAGE, "leaves out an address", "--listen", options=("--listen", "localhost")),
    Refusal("one_slot_for_two", USAGE, "--slot names the slot of one standby", "exactly one --standby",
            options=("--slot", "one", "--standby", "10.20.20.3")),
    Refusal("slot_name", USAGE, "slot", "lower", options=("--slot", "Not-A-Slot")),
    Refusal("role_name", USAGE, "the replication role cannot be called \"pg_mine\"", "pg_", options=("--replication-role", "pg_mine")),
    Refusal("role_name_of_the_monitor", USAGE, "name of the other role", "--replication-role",
            options=("--replication-role", "standfast_monitor")),
    Refusal("unknown_option", USAGE, 'unrecognized option "--standbys"', "--help", options=("--standbys", "x")),
    Refusal("not_a_superuser", PRECONDITION, 'role "plain" is not a superuser', "Name a superuser with -U",
            options=("-U", "plain"), arrange=some_role("plain", "LOGIN CREATEROLE CREATEDB REPLICATION")),
    Refusal("no_such_superuser", AUTHENTICATION, "does not exist", "Name with -U a superuser",
            options=("-U", "nobody_here")),
    Refusal("broken_hba", PRECONDITION, "broken already", "Correct that line", arrange=broken_hba),
    Refusal("role_is_superuser", PRECONDITION, 'role "replicator" exists and is a superuser', "NOSUPERUSER",
            arrange=role("LOGIN SUPERUSER REPLICATION")),
    Refusal("role_may_not_log_in", PRECONDITION, "may not log in", "ALTER ROLE", arrange=role("REPLICATION")),
    Refusal("role_may_not_replicate", PRECONDITION, "may not replicate", "ALTER ROLE", arrange=role("LOGIN")),
    Refusal("role_is_expired", PRECONDITION, "no longer valid", "VALID UNTIL",
            arrange=role("LOGIN REPLICATION VALID UNTIL '2020-01-01'")),
    Refusal("role_without_known_password", PRECONDITION, "its password is not known here", "--rotate-password",
            arrange=role("LOGIN REPLICATION PASSWORD 'somebody-elses'")),
    Refusal("other_password_given", PRECONDITION, "not the one role", "--rotate-password",
            options=("--password-file", "given"), arrange=given_password),
    Refusal("monitor_is_superuser", PRECONDITION, 'role "standfast_monitor" exists and is a superuser', "NOSUPERUSER",
            arrange=some_role("standfast_monitor", "LOGIN SUPERUSER")),
    Refusal("database_of_someone_else", PRECONDITION, 'a database "standfast" exists', "Rename it",
            arrange=database("standfast")),
    Refusal("database_without_connections", PRECONDITION, "not currently accepting connections", "ALLOW_CONNECTIONS",
            arrange=lambda server: sql(server, [
                "CREATE ROLE standfast_monitor LOGIN", "CREATE DATABASE standfast OWNER standfast_monitor "
                "ALLOW_CONNECTIONS false"], ["DROP DATABASE standfast", "DROP ROLE standfast_monitor"])),
    Refusal("no_such_database", PRECONDITION, 'database "elsewhere" does not exist', "--maintenance-db",
            options=("--maintenance-db", "elsewhere")),
    Refusal("slot_in_use", SLOT, 'slot "taken" is in use', "another slot", options=("--slot", "taken"),
            arrange=slot_in_use),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_refusal_changes_nothing(shared, case):
    with case.arrange(shared):
        before = state_of(shared.host)
        for dry_run in ([], ["--dry-run"]):
            refused = set_up(shared.host, "--restart", *case.options, *dry_run, standby=case.standby)
            refused.expect_error(case.code, "standfast: ", case.message, "hint: ", case.hint)
            assert refused.err.count("standfast: ") == 1 and "standfast join" not in refused.out
        assert_unchanged(before, state_of(shared.host))
        failed = set_up(shared.host, *case.options, "--output", "json", standby=case.standby).expect(case.code).json()
        assert failed["error"]["exit_code"] == case.code and case.hint in failed["error"]["hint"]
        assert case.message in failed["error"]["message"]
        assert_unchanged(before, state_of(shared.host))


@pytest.mark.parametrize("major", ["11", "9.6", "19", "nonsense"])
def test_unsupported_version_is_refused(server, major):
    server.stop()
    (server.data / "PG_VERSION").write_text(major + "\n")
    before = files_of(server.host)
    code = PRECONDITION if major == "nonsense" else VERSION
    refused = set_up(server.host, "--restart")
    refused.expect_error(code, major if code == VERSION else "names no version", "hint: ")
    if code == VERSION:
        assert "PostgreSQL 12 to 18" in refused.err
    assert_unchanged(before, files_of(server.host))


@pytest.mark.parametrize("what", ["missing", "empty", "file"])
def test_no_data_directory_is_refused(network, what):
    host = network.host("h1", "10.20.20.1")
    if what == "empty":
        host.run(["mkdir", host.data]).expect(0)
    elif what == "file":
        host.write("pg/data", "text")
    before = list(host.cluster_folder.rglob("*"))
    set_up(host).expect_error(PRECONDITION, str(host.data), "hint: ")
    assert list(host.cluster_folder.rglob("*")) == before and not host.secrets.exists()


def test_standby_is_refused_as_a_primary(server):
    server.stop()
    server.host.write("pg/data/standby.signal", "")
    server.start()
    before = state_of(server.host)
    refused = set_up(server.host, "--restart")
    refused.expect_error(PRECONDITION, "this server is itself a standby", "hint: ", "on its primary")
    assert_unchanged(before, state_of(server.host))


def test_setting_of_the_command_line_is_refused_with_its_name(server):
    server.stop()
    host = server.host
    host.run([DEBIAN.program("pg_ctl"), "-D", host.data, "-w", "-l", host.home / "log", "-o",
              "-c listen_addresses='*' -c wal_level=minimal -c max_wal_senders=0", "start"]).expect(0)
    before = state_of(host)
    set_up(host, "--restart").expect_error(PRECONDITION, "wal_level is minimal by the command line", "hint: ",
                                          "command line")
    assert_unchanged(before, state_of(host))


# ---------------------------------------------------------------- a restart that is not allowed


def test_without_leave_to_restart_all_else_is_done_and_no_token_is_given(server):
    host = server.stop().configure(wal_level="minimal", max_wal_senders=0).start().host
    started = host.psql("SELECT pg_postmaster_start_time()")

    pending = set_up(host).expect(3)
    said = pending.out + pending.err
    assert "wal_level" in said and "restart" in said and "listen_addresses" in said
    assert "written to the secret store" not in said and "slot pgstandby1: created" not in said
    assert "standfast join" not in pending.out and "standfast1." not in said
    assert not list(host.secrets.rglob("*.token"))
    assert host.psql("SELECT pg_postmaster_start_time()") == started
    assert host.psql("SELECT count(*) FROM pg_roles WHERE rolname IN ('replicator', 'standfast_monitor')") == "2"
    assert "BEGIN standfast" in (host.data / "pg_hba.conf").read_text()
    assert host.psql("SHOW wal_level") == "minimal"
    assert "wal_level" in host.psql("SELECT string_agg(name, ' ') FROM pg_settings WHERE pending_restart")

    # Once more without leave: nothing new, and the same code.
    before = state_of(host)
    again = set_up(host, "--output", "json").expect(3).json()
    assert "wal_level" in again["pending_restart"]
    assert_unchanged(before, state_of(host))

    finished = set_up(host, "--restart").expect(0)
    assert "standfast join" in finished.out
    assert host.psql("SHOW wal_level") == "replica" and host.psql("SHOW listen_addresses") == "*"
    assert int(host.psql("SHOW max_wal_senders")) >= 2
    assert host.psql("SELECT count(*) FROM pg_settings WHERE pending_restart") == "0"
    assert len(list(host.secrets.rglob("*.token"))) == 1
    assert host.psql("SELECT slot_name, restart_lsn IS NULL FROM pg_replication_slots") == "pgstandby1|t"


@pytest.mark.parametrize("answer,code", [("n", 3), ("", 3), ("y", 0)])
def test_restart_is_asked_for_on_a_terminal(server, answer, code):
    host = server.host
    started = host.psql("SELECT pg_postmaster_start_time()")
    terminal = host.terminal(host.standfast_command("primary", "setup", "-D", host.data, "--standby", STANDBY),
                             record=False)
    terminal.expect(r"(?i)restart.*\? ")
    terminal.send_line(answer)
    shown = terminal.finish().out
    assert (host.psql("SELECT pg_postmaster_start_time()") != started) == (code == 0)
    # The token is shown on a terminal, and only there.
    assert ("standfast1." in shown) == (code == 0)


# ---------------------------------------------------------------- taken back when the login fails


def hba_of(host):
    path = host.data / "pg_hba.conf"
    info = path.stat()
    return path.read_text(), oct(info.st_mode), info.st_uid, info.st_gid, sorted(path.parent.glob("pg_hba*"))


LOGIN_FAILURES = {
    "role_at_its_limit": ("ALTER ROLE standfast_monitor CONNECTION LIMIT 0", "too many connections for role",
                          "CONNECTION LIMIT"),
    "database_at_its_limit": ("ALTER DATABASE standfast CONNECTION LIMIT 0", "too many connections for database",
                              "CONNECTION LIMIT"),
    "library_of_the_role": ("ALTER ROLE standfast_monitor SET session_preload_libraries = 'no_such_library'",
                            "no_such_library", "log"),
}


@pytest.mark.parametrize("statement,message,hint", LOGIN_FAILURES.values(), ids=LOGIN_FAILURES)
def test_hba_is_taken_back_whole_when_a_login_fails(server, statement, message, hint):
    """A first standby is set up, then something happens to the login, then a second standby is to be set up."""
    host = server.host
    set_up(host, "--restart").expect(0)
    host.psql(statement)
    (host.data / "pg_hba.conf").chmod(0o640)
    before, hba = state_of(host), hba_of(host)
    failed = set_up(host, "--restart", standby="10.20.20.3")
    assert failed.code not in (0, 3), failed
    for text in ("standfast: ", "the login of standfast_monitor", message, "hint: ", hint, "as it was before"):
        assert text in failed.err, f"lacks {text!r}:\n{failed}"
    assert hba_of(host) == hba
    assert_unchanged(before, state_of(host), but=["file pg_hba.conf"])  # which was written twice


def test_hba_is_taken_back_whole_when_the_first_login_fails(server):
    host = server.stop().configure(listen_addresses="'*'").start().host
    host.psql("CREATE ROLE standfast_monitor LOGIN CONNECTION LIMIT 0")
    hba, rules = hba_of(host), host.psql("SELECT * FROM pg_hba_file_rules")
    failed = set_up(host, "--restart", "--rotate-password")
    failed.expect_error(AUTHENTICATION, "too many connections for role", "hint: ", "as it was before")
    assert hba_of(host) == hba and host.psql("SELECT * FROM pg_hba_file_rules") == rules
    assert not list(host.secrets.rglob("*.token")) and "standfast join" not in failed.out
    # Loaded again too: a standby's login is turned away by pg_hba.conf, whatever its password.
    refused = host.run([DEBIAN.program("psql"), "-h", host.address, "-U", "replicator", "-d", "standfast", "-c", ""],
                       env={"PGPASSWORD": "any"})
    assert "no pg_hba.conf entry" in refused.err, refused
    host.psql("ALTER ROLE standfast_monitor CONNECTION LIMIT -1")
    set_up(host).expect(0)


def test_reject_rule_before_does_not_win(pair):
    h1, h2 = pair
    server = Cluster(h1, DEBIAN).init().configure(listen_addresses="'*'").start()
    path = server.data / "pg_hba.conf"
    text = path.read_text() + "# no strangers\nhost replication all 0.0.0.0/0 reject\nhost all all 10.20.20.2/32 reject\n"
    path.write_text(text)
    server.reload()
    set_up(h1).expect(0)
    passfile = next(h1.secrets.rglob("primary.pgpass"))
    carried = h2.write("pgpass", passfile.read_text())
    for login in (["-U", "replicator", "-d", "replication=1 dbname=postgres", "-c", "IDENTIFY_SYSTEM"],
                  ["-U", "standfast_monitor", "-d", "standfast", "-c", "SELECT 1"]):
        h2.run([DEBIAN.program("psql"), "-h", h1.address, *login], env={"PGPASSFILE": carried}).expect(0)
    after = path.read_text()
    assert after.index("BEGIN standfast") < after.index("# no strangers")
    begin, end = after.index("# BEGIN standfast"), after.index("# END standfast")
    assert after[:begin] + after[after.index("\n", end) + 1:] == text
    # Nobody else got in by that.
    h2.run([DEBIAN.program("psql"), "-h", h1.address, "-U", "postgres", "-d", "postgres", "-c", "SELECT 1"]).expect_error(
        2, "pg_hba.conf rejects")


def test_hba_keeps_owner_and_mode_and_a_dated_copy_is_there(server):
    host = server.host
    path = host.data / "pg_hba.conf"
    path.chmod(0o640)
    text, mode, uid, gid, _ = hba_of(host)
    set_up(host, "--restart").expect(0)
    after = hba_of(host)
    assert after[1:4] == (mode, uid, gid) and after[0] != text
    copies = [name for name in after[4] if name != path]
    assert len(copies) == 1 and copies[0].read_text() == text
    info = copies[0].stat()
    assert (oct(info.st_mode), info.st_uid) == (mode, uid)
    assert copies[0].name.startswith("pg_hba.conf.standfast-20")


def test_hba_elsewhere_is_found_and_a_link_stays_one(server):
    host = server.host
    elsewhere = host.write("etc/pg_hba.conf", (host.data / "pg_hba.conf").read_text())
    shutil.chown(elsewhere, "postgres", "postgres")
    link = host.folder / "etc" / "link.conf"
    link.symlink_to(elsewhere)
    server.configure(hba_file=f"'{link}'").restart()
    inside = (host.data / "pg_hba.conf").read_text()
    set_up(host, "--restart").expect(0)
    assert link.is_symlink() and "BEGIN standfast" in elsewhere.read_text()
    assert (host.data / "pg_hba.conf").read_text() == inside


@pytest.mark.parametrize("owner,group,mode", [("root", "postgres", 0o640), ("postgres", "root", 0o640)])
def test_hba_whose_owner_cannot_be_kept_is_refused_before_anything_changes(server, owner, group, mode):
    host = server.host
    path = host.data / "pg_hba.conf"
    shutil.chown(path, owner, group)
    path.chmod(mode)
    before = state_of(host)
    set_up(host, "--restart").expect_error(PERMISSION, "pg_hba.conf", "hint: ", "chown")
    assert_unchanged(before, state_of(host))
