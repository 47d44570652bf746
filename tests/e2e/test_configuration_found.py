"""`primary setup` on configuration as it is found: settings that ALTER SYSTEM cannot change, lines in error, include
files, pg_hba.conf that is a link, a mount or read-only, and sockets in odd places. Each refusal leaves all as it was."""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness import steps, sweep
from harness.binaries import DEBIAN, npm
from harness.cluster import Cluster
from harness.state import assert_unchanged, state_of
from harness.waiting import wait_until

STANDBY = "10.20.20.2"
CANCELLED, PERMISSION, IN_USE, PRECONDITION, DISK_FULL = 4, 5, 20, 10, 11
MAJORS = pytest.mark.parametrize("major", [12, 15, 18])


def set_up(host, *options, standby=STANDBY, **more):
    return host.standfast("primary", "setup", "-D", host.data, "--standby", standby, *options, **more)


def binaries_of(major):
    return DEBIAN if major == 15 else npm(major)


def pg_bin(major):
    return ["--pg-bin", binaries_of(major)]


@pytest.fixture
def host(network):
    return network.host("h1", "10.20.20.1")


def listening(host, major=15, **settings):
    return Cluster(host, binaries_of(major)).init().configure(listen_addresses="'*'", **settings).start()


def assert_refused(host, code, *texts, options=()):
    """By a dry run and a real one, in text and json, and nothing is changed by any."""
    before = state_of(host)
    for mode in (["--dry-run"], []):
        refused = set_up(host, "--restart", *options, *mode)
        refused.expect_error(code, "hint: ", *texts)
        assert "standfast join" not in refused.out
    assert set_up(host, *options, "--output", "json").expect(code).json()["error"]["hint"]
    assert_unchanged(before, state_of(host))


# ---------------------------------------------------------------- settings that ALTER SYSTEM cannot change


def test_forbidden_alter_system_gets_the_lines_and_their_files_and_goes_on_with_them(host):
    server = Cluster(host, npm(18)).init()
    included = host.write("pg/10-network.conf", "# of the network team\nlisten_addresses = 'localhost'\n")
    server.configure(include=f"'{included}'", allow_alter_system="off").start()
    assert_refused(host, PRECONDITION, "does not allow ALTER SYSTEM", f'"{included}", in place of line 2:  listen_addresses = \'*\'',
                   f'"{server.data}/postgresql.conf", at the end:  max_slot_wal_keep_size = ', "Nothing was changed",
                   options=pg_bin(18))
    included.write_text("# of the network team\nlisten_addresses = '*'\n")
    server.configure(max_slot_wal_keep_size="'2GB'")
    done = set_up(host, "--restart", *pg_bin(18)).expect(0)
    assert "standfast join" in done.out
    assert host.psql("SHOW listen_addresses") == "*" and host.psql("SHOW max_slot_wal_keep_size") == "2GB"
    assert "listen_addresses" not in (server.data / "postgresql.auto.conf").read_text()
    before = state_of(host)
    assert "nothing was changed" in set_up(host, *pg_bin(18)).expect(0).out
    assert_unchanged(before, state_of(host))


def as_link(server):
    path = server.data / "postgresql.auto.conf"
    kept = server.host.write("etc/auto.conf", path.read_text())
    path.unlink()
    path.symlink_to(kept)


def as_roots(server):
    shutil.chown(server.data / "postgresql.auto.conf", "root")
    (server.data / "postgresql.auto.conf").chmod(0o644)


def as_read_only(server):
    (server.data / "postgresql.auto.conf").chmod(0o400)


@pytest.mark.parametrize("arrange,text", [(as_link, "is a symbolic link"), (as_roots, "belongs to another user"),
                                          (as_read_only, "is not writable")])
def test_auto_conf_that_alter_system_would_replace_is_left_alone(host, arrange, text):
    server = Cluster(host, DEBIAN).init()
    arrange(server)
    server.start()
    assert_refused(host, PRECONDITION, "postgresql.auto.conf", text, "at the end:  listen_addresses = '*'")
    server.configure(listen_addresses="'*'", max_slot_wal_keep_size="'2GB'")
    assert "standfast join" in set_up(host, "--restart").expect(0).out


def test_missing_auto_conf_is_no_obstacle(host):
    server = Cluster(host, DEBIAN).init().start()
    (server.data / "postgresql.auto.conf").unlink()
    set_up(host, "--restart").expect(0)
    assert host.psql("SHOW listen_addresses") == "*"


@MAJORS
def test_settings_of_the_command_line_are_all_named(host, major):
    server = Cluster(host, binaries_of(major)).init()
    host.run([server.binaries.program("pg_ctl"), "-D", host.data, "-w", "-l", host.home / "log", "-o",
              "-c listen_addresses=localhost -c max_wal_senders=1", "start"]).expect(0)
    assert_refused(host, PRECONDITION, "listen_addresses is localhost by the command line", "(and max_wal_senders is 1)",
                   "-c listen_addresses=* -c max_wal_senders=10", "Nothing was changed", options=pg_bin(major))


@MAJORS
@pytest.mark.parametrize("line,message", [("work_mem = lots", "work_mem"), ("no_such_setting = 1", "no_such_setting"),
                                          ("include 'not-there.conf'", "not-there.conf"), ("= nonsense", "syntax error")])
def test_line_in_error_is_named_before_anything_changes(host, major, line, message):
    server = Cluster(host, binaries_of(major)).init().start()
    path = server.data / "postgresql.conf"
    path.write_text(path.read_text() + line + "\n")
    number = len(path.read_text().splitlines())
    assert_refused(host, PRECONDITION, f'line {number} of "{path}"', message, "Correct that line", options=pg_bin(major))
    path.write_text(path.read_text().replace(line + "\n", ""))
    set_up(host, "--restart", *pg_bin(major)).expect(0)


# ---------------------------------------------------------------- include files


def everything_in_include_files(host, major):
    """postgresql.conf and pg_hba.conf say nothing themselves but which files to read."""
    server = Cluster(host, binaries_of(major)).init()
    folder = host.folder / "etc" / "conf.d"
    folder.mkdir()
    shutil.chown(folder, "postgres")
    main = server.data / "postgresql.conf"
    host.write("etc/conf.d/00-base.conf", main.read_text())
    host.write("etc/conf.d/50-network.conf", "listen_addresses = 'localhost'\nwal_level = minimal\nmax_wal_senders = 0\n")
    host.write("etc/empty.conf", "")
    main.write_text(f"include_dir '{folder}'\ninclude_if_exists 'not-there.conf'\ninclude '{host.folder}/etc/empty.conf'\n")
    if major >= 16:
        hba = server.data / "pg_hba.conf"
        host.write("etc/hba.conf", hba.read_text() + "host all all all reject\nhost replication all all reject\n")
        hba.write_text(f"# all of it elsewhere\ninclude_if_exists not-there.conf\ninclude {host.folder}/etc/hba.conf\n"
                       "# the end\n")
    return server.start()


@MAJORS
def test_seed_whole_with_everything_in_include_files(pair, major):
    h1, h2 = pair
    server = everything_in_include_files(h1, major)
    kept = {path: path.read_text() for path in [*(h1.folder / "etc").rglob("*.conf"), server.data / "postgresql.conf"]}
    hba = (server.data / "pg_hba.conf").read_text()
    done = set_up(h1, "--restart", *pg_bin(major), timeout=120).expect(0)
    assert "standfast join" in done.out
    assert {path: path.read_text() for path in kept} == kept
    after = (server.data / "pg_hba.conf").read_text()
    if major >= 16:
        assert after.index("BEGIN standfast") < after.index("include"), after
    begin, end = after.index("# BEGIN standfast"), after.index("# END standfast")
    assert after[:begin] + after[after.index("\n", end) + 1:] == hba
    steps.join(h2, steps.carry_token(h1, h2), binaries=binaries_of(major)).expect(0)
    steps.assert_replicates(h1, h2)
    for each in pair:
        each.standfast("verify", "-D", each.data).expect(0)
    before = state_of(h1)
    assert "nothing was changed" in set_up(h1, *pg_bin(major)).expect(0).out
    assert_unchanged(before, state_of(h1))


def test_broken_line_of_an_included_hba_file_is_named(host):
    server = listening(host, 18)
    included = host.write("etc/hba.conf", "host all all 10.0.0.0/8 md6\n")
    path = server.data / "pg_hba.conf"
    path.write_text(path.read_text() + f"include {included}\n")
    assert_refused(host, PRECONDITION, "broken already", f'line 1 of "{included}"', "md6", options=pg_bin(18))


# ---------------------------------------------------------------- pg_hba.conf


def assert_only_the_block_was_added(before, after):
    begin, end = after.index("# BEGIN standfast"), after.index("# END standfast")
    rest = after[after.index("\n", end) + 1:] if "\n" in after[end:] else ""
    kept = after[:begin] + rest
    assert kept in (before, before + "\n"), after


@contextlib.contextmanager
def bind_mount(source, target, *options):
    subprocess.run(["mount", "--bind", source, target], check=True)
    try:
        if options:
            subprocess.run(["mount", "-o", ",".join(["remount", "bind", *options]), target], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", target], check=True)


def test_hba_that_is_a_bind_mount_is_written_in_place(host):
    server = Cluster(host, DEBIAN).init().configure(listen_addresses="'*'")
    path = server.data / "pg_hba.conf"
    outside = host.write("etc/pg_hba.conf", path.read_text())
    with bind_mount(outside, path):
        server.start()
        text, inode = path.read_text(), path.stat().st_ino
        set_up(host).expect(0)
        assert path.stat().st_ino == inode == outside.stat().st_ino
        assert_only_the_block_was_added(text, outside.read_text())
        copies = [copy for copy in server.data.glob("pg_hba.conf.standfast-*")]
        assert [copy.read_text() for copy in copies] == [text]
        before = state_of(host)
        assert "nothing was changed" in set_up(host).expect(0).out
        assert_unchanged(before, state_of(host))


def test_failing_login_puts_a_bind_mounted_hba_back_in_place(host):
    server = Cluster(host, DEBIAN).init().configure(listen_addresses="'*'")
    path = server.data / "pg_hba.conf"
    outside = host.write("etc/pg_hba.conf", path.read_text())
    with bind_mount(outside, path):
        server.start()
        host.psql("CREATE ROLE standfast_monitor LOGIN CONNECTION LIMIT 0")
        text, inode = path.read_text(), path.stat().st_ino
        set_up(host, "--rotate-password").expect_error(7, "too many connections", "as it was before")
        assert path.read_text() == text and path.stat().st_ino == inode
        assert not list(server.data.glob("pg_hba.conf.standfast-*"))


def test_hba_on_a_full_disk_that_can_only_be_written_in_place_is_left_alone(host):
    server = Cluster(host, DEBIAN).init().configure(listen_addresses="'*'")
    path = server.data / "pg_hba.conf"
    disk = host.tmpfs(host.folder / "etc" / "disk", 1)
    outside = host.write("etc/disk/pg_hba.conf", path.read_text())
    with bind_mount(outside, path):
        server.start()
        text, inode = path.read_text(), path.stat().st_ino
        with contextlib.suppress(OSError), open(disk / "filler", "wb", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass
        set_up(host).expect_error(DISK_FULL, "in place", "no room", "pg_hba.conf", "hint: Free some room")
        assert path.read_text() == text and path.stat().st_ino == inode
        assert not list(server.data.glob("pg_hba.conf.standfast-*"))
        (disk / "filler").unlink()
        set_up(host).expect(0)
        assert_only_the_block_was_added(text, outside.read_text())


def test_hba_in_a_folder_that_is_not_writable_is_written_in_place_with_its_copy_elsewhere(host):
    server = Cluster(host, DEBIAN).init()
    folder = host.folder / "etc" / "roots"
    folder.mkdir(mode=0o755)
    path = host.write("etc/roots/pg_hba.conf", (server.data / "pg_hba.conf").read_text())
    server.configure(listen_addresses="'*'", hba_file=f"'{path}'").start()
    text = path.read_text()
    set_up(host).expect(0)
    assert_only_the_block_was_added(text, path.read_text())
    assert [one.name for one in folder.iterdir()] == ["pg_hba.conf"]
    assert [copy.read_text() for copy in server.data.glob("pg_hba.conf.standfast-*")] == [text]


@pytest.mark.parametrize("way", ["mount", "mode"])
def test_read_only_hba_gets_the_lines_and_goes_on_with_them(host, way):
    server = Cluster(host, DEBIAN).init().configure(listen_addresses="'*'")
    path = server.data / "pg_hba.conf"
    outside = host.write("etc/pg_hba.conf", "# rules\nlocal all all trust\nhost all all all reject\n")
    with contextlib.ExitStack() as stack:
        if way == "mount":
            stack.enter_context(bind_mount(outside, path, "ro"))
        else:
            path.write_text(outside.read_text())
            path.chmod(0o400)
        server.start()
        assert_refused(host, PERMISSION, "pg_hba.conf cannot be changed", "read-only", "before what is line 3 now",
                       "# BEGIN standfast", f'host replication "replicator" {STANDBY}/32 scram-sha-256')
        said = set_up(host).err
        # As a person copies it from his terminal, with the margin that is shown there.
        block = said[said.index("# BEGIN standfast"):said.index("# END standfast")] + "# END standfast\n"
        (outside if way == "mount" else path).write_text(
            f"# rules\nlocal all all trust\n{block}host all all all reject\n")
        done = set_up(host).expect(0)
        assert "are not tried" in done.out + done.err and "standfast join" in done.out
        rules = host.psql("SELECT count(*) FROM pg_hba_file_rules WHERE user_name = '{replicator}'")
        assert rules == "1"
    assert os.stat(path).st_size > 0


ODD_HBA = {
    "crlf": "local all all trust\r\nhost all all 0.0.0.0/0 reject\r\n",
    "no_final_newline": "local all all trust\nhost all all 127.0.0.1/32 trust",
    "user_list": "local all all trust\nhost all @users 0.0.0.0/0 reject\nhost replication @users 0.0.0.0/0 reject\n",
    "samenet": "local all all trust\nhost all all samenet reject\nhost replication all samenet reject\n",
    "quoted_replication": 'local all all trust\nhost "replication" all 0.0.0.0/0 reject\nhost all all all reject\n'
                          "host replication all all reject\n",
}


@pytest.mark.parametrize("text", ODD_HBA.values(), ids=ODD_HBA)
def test_rules_of_any_kind_do_not_take_the_logins(host, text):
    server = listening(host)
    host.write("pg/data/users", "replicator, standfast_monitor\n")
    path = server.data / "pg_hba.conf"
    path.write_bytes(text.encode())
    server.reload()
    done = set_up(host).expect(0)
    assert "logged in as replicator and standfast_monitor" in done.out + done.err
    assert_only_the_block_was_added(text, path.read_bytes().decode())
    assert host.psql("SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL") == "0"


# ---------------------------------------------------------------- who runs


def test_run_with_another_maintenance_database_is_kept_out_too(host):
    Cluster(host, DEBIAN).init().start()
    terminal = host.terminal(host.standfast_command("primary", "setup", "-D", host.data, "--standby", STANDBY),
                             record=False)
    terminal.expect(r"(?i)restart.*\? ")
    set_up(host, "--restart", "--maintenance-db", "template1").expect_error(IN_USE, "another", "Wait until it is done")
    terminal.send_line("y")
    terminal.finish().expect(0)


def test_secrets_that_could_not_be_kept_are_noticed_before_anything_changes(host):
    listening(host)
    folder = host.folder / "roots"
    folder.mkdir(mode=0o755)
    before = state_of(host)
    for mode in (["--dry-run"], []):
        set_up(host, *mode, env={"STANDFAST_HOME": folder / "secrets"}).expect_error(PERMISSION, str(folder), "STANDFAST_HOME")
    assert_unchanged(before, state_of(host))


def test_logins_are_tried_by_each_address_that_a_standby_is_told(host):
    listening(host)
    done = set_up(host, "--standby", "fd00:20::2").expect(0)
    for address in (host.address, host.address6):
        assert f"logged in as replicator and standfast_monitor by {address} port 5432" in done.out + done.err
    assert "probe" not in (host.data / "pg_hba.conf").read_text()


# ---------------------------------------------------------------- where the server listens


@MAJORS
def test_server_that_listens_on_sockets_only_is_opened_by_a_restart(host, major):
    Cluster(host, binaries_of(major)).init().configure(listen_addresses="''").start()
    pending = set_up(host, *pg_bin(major)).expect(3)
    assert "listen_addresses: '' -> *" in pending.out + pending.err and "standfast join" not in pending.out
    assert "standfast join" in set_up(host, "--restart", *pg_bin(major)).expect(0).out
    assert host.psql("SHOW listen_addresses") == "*"


def test_server_without_sockets_is_reached_by_tcp(host):
    server = Cluster(host, DEBIAN).init().configure(listen_addresses="'*'", unix_socket_directories="''").start()
    assert "standfast join" in set_up(host).expect(0).out
    assert "BEGIN standfast" in (server.data / "pg_hba.conf").read_text()
    assert "nothing was changed" in set_up(host).expect(0).out


def test_sockets_in_several_and_unusual_places_are_found(host):
    folder = host.folder / "tmp" / "a place of its own"
    folder.mkdir()
    shutil.chown(folder, "postgres")
    listening(host, unix_socket_directories="'\"/tmp/a place of its own\", /tmp'")
    assert "standfast join" in set_up(host).expect(0).out


# ---------------------------------------------------------------- the administrator's own login


def test_login_that_a_map_turns_away_is_explained_by_its_line(host):
    server = Cluster(host, DEBIAN).init()
    path = server.data / "pg_hba.conf"
    path.write_text("# peer by a map\nlocal all all peer map=dbas\n")
    (server.data / "pg_ident.conf").write_text("dbas alice postgres\n")
    server.start()
    refused = set_up(host, "--restart")
    refused.expect_error(7, "could not log in", f'Line 2 of "{path}" takes this login: local all all peer map=dbas',
                         "alice postgres", "Name with -U")
    assert not host.secrets.exists()
    (server.data / "pg_ident.conf").write_text("dbas postgres postgres\n")
    server.reload()
    assert "standfast join" in set_up(host, "--restart").expect(0).out
    assert "map=" not in path.read_text().split("# BEGIN standfast")[1]


# ---------------------------------------------------------------- the firewall

_FIREWALL_CMD = """#!/bin/sh
[ "$(id -u)" = 0 ] || exit 77
printf '%s\\n' "$*" >> {folder}/calls
kind=now
if [ "$1" = --permanent ]; then kind=kept; shift; fi
case $1 in
--state) exit 0 ;;
--query-rich-rule=*) grep -qxF -- "$kind ${{1#--query-rich-rule=}}" {folder}/rules ;;
--add-rich-rule=*) printf '%s\\n' "$kind ${{1#--add-rich-rule=}}" >> {folder}/rules ;;
--remove-rich-rule=*) : > {folder}/rules ;;
esac
"""
_RULE = f'rule family="ipv4" source address="{STANDBY}/32" port port="5432" protocol="tcp" accept'


@pytest.fixture
def firewall(host):
    """A firewall's program that notes what it is called with, where root finds its own."""
    folder = host.folder / "sbin"
    folder.mkdir()
    host.write("sbin/firewall-cmd", _FIREWALL_CMD.format(folder=folder), mode=0o755, user="root")
    host.write("sbin/rules", "", user="root")
    host._binds += [str(folder), "/usr/local/sbin"]  # pylint: disable=protected-access
    return folder


def test_open_firewall_lets_the_standby_in_and_nobody_else(host, firewall):
    listening(host)
    planned = set_up(host, "--open-firewall", "--dry-run", user="root").expect(0)
    assert f"firewall: {STANDBY} let in to port 5432" in planned.out
    assert (firewall / "rules").read_text() == ""
    done = set_up(host, "--open-firewall", "--output", "json", user="root").expect(0).json()
    assert [change["kind"] for change in done["changes"]].count("firewall") == 1
    rules = f"kept {_RULE}\nnow {_RULE}\n"
    assert (firewall / "rules").read_text() == rules
    again = set_up(host, "--open-firewall", user="root").expect(0)
    assert "nothing was changed" in again.out and (firewall / "rules").read_text() == rules


def test_firewall_is_told_of_and_opened_to_the_agent_as_well(host, firewall):
    listening(host)
    told = set_up(host, "--agent").expect(0)
    assert 'port port="7432"' in told.out and not (firewall / "calls").exists()
    done = set_up(host, "--agent", "--open-firewall", "--output", "json", user="root").expect(0).json()
    assert [change["what"] for change in done["changes"]] == [
        f"firewall: {STANDBY} let in to port 5432", f"firewall: {STANDBY} let in to port 7432"]
    rules = [rule.replace("5432", port) for port in ("5432", "7432") for rule in (f"kept {_RULE}", f"now {_RULE}")]
    assert (firewall / "rules").read_text().splitlines() == rules
    again = set_up(host, "--agent", "--open-firewall", user="root").expect(0)
    assert "nothing was changed" in again.out and (firewall / "rules").read_text().splitlines() == rules


def test_open_firewall_is_roots_and_for_named_standbys(host, firewall):
    listening(host)
    before = state_of(host)
    set_up(host, "--open-firewall").expect_error(PERMISSION, "only root may change the firewall", "hint: ")
    host.standfast("primary", "setup", "-D", host.data, "--open-firewall", user="root").expect_error(
        2, "--open-firewall", "--standby")
    assert_unchanged(before, state_of(host))
    assert not (firewall / "calls").exists()
    told = set_up(host).expect(0)
    assert "firewall-cmd --permanent --add-rich-rule" in told.out + told.err and not (firewall / "calls").exists()


def test_rule_that_somebody_made_for_the_moment_is_left_to_him(host, firewall):
    listening(host)
    (firewall / "rules").write_text(f"now {_RULE}\n")
    said = set_up(host, "--open-firewall", user="root").expect(0)
    assert "only until its next reload" in said.err and "--runtime-to-permanent" in said.err
    assert (firewall / "rules").read_text() == f"now {_RULE}\n"


def test_run_that_fails_closes_the_firewall_again(host, firewall):
    listening(host, max_replication_slots=1)
    host.psql("SELECT pg_create_physical_replication_slot('other')")
    host.psql("ALTER SYSTEM SET max_replication_slots = 10")
    (firewall / "firewall-cmd").write_text((firewall / "firewall-cmd").read_text().replace(
        "--add-rich-rule=*)", "--add-rich-rule=*) [ $kind = kept ] || exit 3;; --other)"))
    failed = set_up(host, "--open-firewall", "--restart", user="root")
    failed.expect_error(19, "firewall-cmd --add-rich-rule", "hint: ")
    calls = (firewall / "calls").read_text().splitlines()
    assert calls[-1] == f"--remove-rich-rule={_RULE}" and not list(host.secrets.rglob("*.token"))


_SLOW_OPENING = "--add-rich-rule=*) touch {folder}/opening; until [ -e {folder}/go ]; do sleep 0.05; done;"


def interrupted_while_it_opens(host, firewall):
    """A run that is in the midst of opening the firewall; it goes on when there is a file `go`."""
    listening(host)
    text = (firewall / "firewall-cmd").read_text()
    (firewall / "firewall-cmd").write_text(text.replace("--add-rich-rule=*)", _SLOW_OPENING.format(folder=firewall)))
    running = host.start(host.standfast_command("primary", "setup", "-D", host.data, "--standby", STANDBY, "--open-firewall"),
                         user="root")
    wait_until((firewall / "opening").exists, 60, "the firewall is being opened")
    running.signal(signal.SIGINT)
    return running


def test_interrupt_while_root_opens_the_firewall_closes_it_again(host, firewall):
    running = interrupted_while_it_opens(host, firewall)
    wait_until(lambda: steps.request_to_root_waits(host), 60, "the closing waits for the opening")
    (firewall / "go").touch()
    interrupted = running.wait()
    assert interrupted.code == CANCELLED and "firewall may still" not in interrupted.err, interrupted
    assert (firewall / "rules").read_text() == ""
    assert (firewall / "calls").read_text().splitlines()[-2:] == [f"--permanent --remove-rich-rule={_RULE}",
                                                                  f"--remove-rich-rule={_RULE}"]


def test_second_interrupt_leaves_the_closing_to_root(host, firewall):
    running = interrupted_while_it_opens(host, firewall)
    wait_until(lambda: steps.request_to_root_waits(host), 60, "the closing waits for the opening")
    running.signal(signal.SIGINT)
    wait_until(lambda: not processes_of("postgres", host), 60, "the half that is not root's is gone")
    (firewall / "go").touch()
    assert running.wait().code == 130
    assert (firewall / "rules").read_text() == ""


def processes_of(user, host):
    found = []
    for pid in sweep.pids_in([host.namespace]):
        with contextlib.suppress(OSError):
            process = Path(f"/proc/{pid}")
            if process.owner() == user and (process / "exe").readlink() == host.network.program:
                found.append(pid)
    return found


def test_run_that_is_killed_while_root_opens_the_firewall_leaves_nothing_open(host, firewall):
    running = interrupted_while_it_opens(host, firewall)
    (pid,) = processes_of("postgres", host)
    os.kill(pid, signal.SIGKILL)
    (firewall / "go").touch()
    assert running.wait().code == 137
    assert (firewall / "rules").read_text() == ""


def test_firewall_that_cannot_be_closed_is_said_with_the_command(host, firewall):
    text = (firewall / "firewall-cmd").read_text()
    (firewall / "firewall-cmd").write_text(text.replace("--remove-rich-rule=*)", "--remove-rich-rule=*) exit 9;"))
    running = interrupted_while_it_opens(host, firewall)
    wait_until(lambda: steps.request_to_root_waits(host), 60, "the closing waits for the opening")
    (firewall / "go").touch()
    interrupted = running.wait()
    interrupted.expect_error(CANCELLED, f"the firewall may still let {STANDBY}/32 in to port 5432",
                             f"As root: firewall-cmd --permanent --remove-rich-rule='{_RULE}'; "
                             f"firewall-cmd --remove-rich-rule='{_RULE}'")
    assert (firewall / "rules").read_text() == f"kept {_RULE}\nnow {_RULE}\n"
