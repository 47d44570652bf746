"""A witness from its token to a service: the first start writes all that each later one needs; systemd is told; SIGHUP
takes up what may change; `standby promote` asks it over TLS."""

import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from harness import steps, tokens
from harness.binaries import DEBIAN
from harness.cluster import wait_for_replay
from harness.secret_scan import SecretScan, secrets_of
from harness.state import assert_unchanged, files_of
from harness.waiting import wait_until

NAME = "witness1"
PERMISSION, AUTHENTICATION, PRECONDITION, CERTIFICATE, TOKEN = 5, 7, 10, 17, 18


@pytest.fixture
def three(network):
    return tuple(network.host(f"h{i}", f"10.20.20.{i}") for i in (1, 2, 3))


def primary_setup(host, *options):
    return host.standfast("primary", "setup", "-D", host.data, *options, timeout=120).expect(0)


def prepared(h1, *others):
    primary_setup(h1, "--init", "--restart", *others)
    h1.psql("CREATE TABLE t (i int)")


def store_of(primary, host):
    return host.secrets / primary.psql("SELECT system_identifier FROM pg_control_system()")


def token_text(primary, name=NAME):
    return (store_of(primary, primary) / f"{name}.token").read_text()


def by_token(primary, host, *options, text=None):
    token = host.write("token", text or token_text(primary))
    return host.standfast_command("witness", "--token-file", token, "-D", host.home / "wal", "--listen", host.address, *options)


def streams(primary):
    return primary.psql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND flush_lsn IS NOT NULL AND "
                        f"application_name = '{NAME}'") == "1"


def wait_for_stream(primary, running):
    def is_there():
        assert running.alive, running.wait()
        return primary.psql("SELECT pg_switch_wal()") and streams(primary)

    wait_until(is_there, 60, "the witness's stream")


def end(running):
    running.signal(signal.SIGTERM)
    return running.wait(60).expect(0)


def state_of_witness(host):
    """Its secrets and its configuration, and that there is a folder."""
    return {**files_of(host), "folder": (host.home / "wal").exists()}


class Manager:
    """systemd's end of sd_notify."""

    def __init__(self, host):
        path = host.folder / "notify"
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        path.chmod(0o777)
        self.variable = {"NOTIFY_SOCKET": str(path)}
        self.messages = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def heard(self, start):
        while True:
            try:
                self.messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                break
        return [message for message in self.messages if message.startswith(start)]


def test_from_a_token_to_a_service(three):
    h1, _, h3 = three
    scan = SecretScan(h1.network)
    prepared(h1, "--witness", h3.address)
    before = state_of_witness(h3)
    planned = h3.run(by_token(h1, h3, "--dry-run", "--keep-size", "2GB")).expect(0)
    assert planned.out.partition("what would be written:\n")[2].count("\n  ") == 4 and "nothing was changed" in planned.out
    assert_unchanged(before, state_of_witness(h3))

    with Manager(h3) as manager:
        running = h3.start(by_token(h1, h3, "--keep-size", "2GB"), env=manager.variable)
        wait_for_stream(h1, running)
        wait_until(lambda: manager.heard("READY=1"), 60, "the word that it is ready")
        wait_until(lambda: any(re.search(r"streaming; acknowledged [0-9A-F]+/[0-9A-F]+ on timeline 1", message)
                               for message in manager.heard("STATUS=")), 60, "how it stands")
        h1.standfast("sync", "enable", NAME, "-D", h1.data).expect(0)
        h1.psql("INSERT INTO t VALUES (1)")
        folder, store = h3.home / "wal", store_of(h1, h3)
        assert folder.stat().st_mode & 0o777 == 0o700
        config = store / f"{NAME}.witness.toml"
        assert f"witness -c {config}" in running.out and 'keep_size = "2GB"' in config.read_text()
        assert {path.name for path in store.iterdir()} == {
            f"{NAME}{suffix}" for suffix in (".pgpass", ".crt", ".users", ".server.crt", ".server.key", ".witness.toml")}
        assert not manager.heard("STOPPING=1")
        end(running)
        assert manager.heard("STOPPING=1")

    # The same again finds all there, changes nothing and asks nobody: the primary does not run.
    before = state_of_witness(h3)
    h1.run([DEBIAN.program("pg_ctl"), "-D", h1.data, "stop", "-m", "immediate"]).expect(0)
    with Manager(h3) as manager:
        running = h3.start(by_token(h1, h3, text=(h3.folder / "token").read_text()), env=manager.variable)
        wait_until(lambda: manager.heard("READY=1"), 60, "the word that it serves")
        assert "nothing was changed" in running.out and "serving WAL" in running.out
        wait_until(lambda: manager.heard("STATUS=not streaming: "), 60, "why it does not stream")
        end(running)
    assert_unchanged(before, state_of_witness(h3))

    # And no token is needed.
    h1.run([DEBIAN.program("pg_ctl"), "-D", h1.data, "start", "-l", h1.cluster_folder / "again.log", "-w"]).expect(0)
    (h3.folder / "token").unlink()
    running = h3.start(h3.standfast_command("witness"))
    wait_for_stream(h1, running)
    h1.psql("INSERT INTO t VALUES (2)")
    end(running)
    h1.standfast("sync", "disable", "-D", h1.data).expect(0)
    scan.assert_absent(secrets_of(h1, h3))


def test_tokens_that_are_not_for_it(three):
    h1, h2, h3 = three
    prepared(h1, "--witness", h3.address, "--standby", h2.address)
    before = state_of_witness(h3)
    text = token_text(h1)

    def refused(code, *texts, **fields):
        changed = tokens.changed(text, **fields) + "\n"
        told = h3.run(by_token(h1, h3, text=changed)).expect_error(code, "hint: ", *texts)
        assert not any(path.is_file() for path in h3.secrets.rglob("*")) and not (h3.home / "wal").exists(), told
        assert fields.get("w", "?secret?") not in told.err + told.out

    refused(AUTHENTICATION, w="AnotherPasswordAltogether")
    refused(CERTIFICATE, "another certificate", f="0" * 64)
    refused(PRECONDITION, "the token is of system 42", i="42")
    of_standby = h3.run(by_token(h1, h3, text=token_text(h1, "pgstandby1"))).expect_error(TOKEN, 'the standby "pgstandby1"', "hint: ")
    assert "join" in of_standby.err
    h3.run(by_token(h1, h3, "--name", "other")).expect_error(2, "the token is that of the witness", "hint: ")
    h3.run(by_token(h1, h3, "-d", "host=10.20.20.1")).expect_error(2, "-d", "hint: ")
    h3.run(["mkdir", h3.home / "taken"]).expect(0)
    h3.write(h3.home / "taken/PG_VERSION", "15\n")
    h3.run(by_token(h1, h3, "-D", h3.home / "taken")).expect_error(PRECONDITION, "data directory of PostgreSQL", "hint: ")
    h3.run(by_token(h1, h3, "-D", "/srv/nobody/may")).expect_error(PERMISSION, "hint: As root: install -d")
    assert_unchanged(before, state_of_witness(h3))


def test_configuration_that_says_something_else_is_not_overwritten(three):
    h1, _, h3 = three
    prepared(h1, "--witness", h3.address)
    h3.run(["mkdir", h3.home / "etc"]).expect(0)
    config = h3.write(h3.home / "etc/witness.toml", "[store]\nfolder = \"/elsewhere\"\n")
    before = config.read_text()
    told = h3.run(by_token(h1, h3, "-c", config)).expect_error(PRECONDITION, "store.folder", "hint: ")
    assert "primary.conninfo" in told.err and config.read_text() == before and not (h3.home / "wal").exists()
    config.unlink()
    h3.run(by_token(h1, h3, "-c", "/usr/witness.toml")).expect_error(PERMISSION, "may not write", "hint: ")
    running = h3.start(by_token(h1, h3, "-c", config))
    wait_for_stream(h1, running)
    end(running)
    assert "password" not in config.read_text() and not list(h3.secrets.rglob("*.toml"))
    running = h3.start(h3.standfast_command("witness", "-c", config))
    wait_for_stream(h1, running)
    end(running)


def test_new_password_of_the_role_comes_with_a_new_token(three):
    h1, _, h3 = three
    prepared(h1, "--witness", h3.address)
    running = h3.start(by_token(h1, h3))
    wait_for_stream(h1, running)
    end(running)
    users = store_of(h1, h3) / f"{NAME}.users"
    before = users.read_text()
    primary_setup(h1, "--rotate-password", "--witness", h3.address)
    running = h3.start(by_token(h1, h3))
    wait_for_stream(h1, running)
    end(running)
    assert users.read_text() != before and users.read_text().count("\n") == 1


def test_root_becomes_the_owner_and_passes_signals_on(three):
    h1, _, h3 = three
    prepared(h1, "--witness", h3.address)
    token = h3.write("roots-token", token_text(h1), user="root")
    running = h3.start(h3.standfast_command("witness", "--token-file", token, "-D", h3.home / "wal", "--listen", h3.address),
                       user="root")
    wait_for_stream(h1, running)
    assert (h3.home / "wal").owner() == "postgres" and (store_of(h1, h3) / f"{NAME}.server.key").owner() == "postgres"
    running.signal(signal.SIGHUP)
    wait_until(lambda: "are read again" in running.out, 60, "the reload")
    assert running.alive
    end(running)


def test_what_a_reload_takes_up(three):
    h1, h2, h3 = three
    prepared(h1, "--witness", h3.address)
    with Manager(h3) as manager:
        running = h3.start(by_token(h1, h3), env=manager.variable)
        wait_for_stream(h1, running)
        wait_until(lambda: manager.heard("READY=1"), 60, "the word that it is ready")
        config = store_of(h1, h3) / f"{NAME}.witness.toml"
        first = config.read_text()

        def reload(text, answer):
            out, err = len(running.out), len(running.err)
            config.write_text(text)
            running.signal(signal.SIGHUP)
            wait_until(lambda: answer in running.out[out:] + running.err[err:], 60, answer)
            manager.heard("")  # the kernel holds a dozen messages for who does not read, and the witness waits for nobody

        reload(first + "nonsense\n", "all stays as it was: ")
        reload(first.replace("[store]\n", "[store]\nkeep_sise = \"1GB\"\n"), 'unknown key "keep_sise"')
        reload(first.replace("witness1.users", "nowhere.users"), "nowhere.users")
        wait_until(lambda: len(manager.heard("READY=1")) == len(manager.heard("RELOADING=1")) + 1 == 4, 60,
                   "the ends of three reloads")
        assert streams(h1)
        assert all("\nMONOTONIC_USEC=" in message for message in manager.messages if message.startswith("RELOADING=1"))
        reload(first.replace("10.20.20.3", "127.0.0.1"), "serve.listen")
        assert "Restart the witness for it" in running.err

        # A standby that has all lets go of what is past the new bound.
        passfile = h2.write("passfile", f"*:*:*:*:{tokens.decode(token_text(h1))['w']}\n")
        login = ["-d", f"host={h3.address} port=5433 user=replicator sslmode=require channel_binding=require passfile={passfile}",
                 "-S", "s1"]
        h2.run(["mkdir", h2.home / "copy"]).expect(0)
        h2.run([DEBIAN.program("pg_receivewal"), *login, "--create-slot"]).expect(0)
        copying = h2.start([DEBIAN.program("pg_receivewal"), *login, "-D", h2.home / "copy", "--synchronous"])

        def segments():
            return sorted(path.name for path in (h3.home / "wal").iterdir() if re.fullmatch("[0-9A-F]{24}", path.name))

        def one_more():
            h1.psql("INSERT INTO t VALUES (1)")
            h1.psql("SELECT pg_switch_wal()")
            return segments()

        wait_until(lambda: len(one_more()) > 8, 120, "segments")
        oldest = segments()[0]
        # The same server by another way is streamed from anew.
        pid = h1.psql("SELECT pid FROM pg_stat_replication")
        reload(first.replace("[store]\n", "[store]\nkeep_size = \"16MB\"\n").replace("host=", "keepalives_idle=77 host=", 1),
               "taken up: primary.conninfo, store.keep_size")
        wait_until(lambda: segments()[0] > oldest, 90, "the end of the oldest segment")
        wait_until(lambda: streams(h1) and h1.psql("SELECT pid FROM pg_stat_replication") != pid, 60, "a new stream")
        copying.signal(signal.SIGINT)
        copying.wait()
        end(running)


def test_promote_gets_from_it_over_tls_what_was_acknowledged(three):
    h1, h2, h3 = three
    prepared(h1, "--standby", h2.address, "--witness", h3.address)
    steps.join(h2, steps.carry_token(h1, h2)).expect(0)
    running = h3.start(by_token(h1, h3))
    wait_for_stream(h1, running)
    h1.standfast("sync", "enable", NAME, "pgstandby1", "-D", h1.data).expect(0)
    wait_for_replay(h1, h2)
    h1.network.link_down(h2)
    h1.psql("INSERT INTO t SELECT generate_series(1, 1000)")  # acknowledged, and the standby cannot have done it
    h1.run(["kill", "-KILL", (h1.data / "postmaster.pid").read_text().splitlines()[0]]).expect(0)
    h1.network.link_down(h1)
    h1.network.link_up(h2)
    assert h2.psql("SELECT count(*) FROM t") == "0"
    planned = h2.standfast("standby", "promote", "-D", h2.data, "--dry-run", timeout=60).expect(0)
    assert "would first stream" in planned.out, planned
    told = h2.standfast("standby", "promote", "-D", h2.data, "--output", "json", timeout=120).expect(0).json()
    assert told["streamed_from"] == NAME and h2.psql("SELECT count(*) FROM t") == "1000"
    end(running)


def test_the_unit_is_one_that_systemd_takes(three, tmp_path):
    h1, _, _ = three
    source = Path(__file__).parents[2] / "share/systemd/standfast-witness.service"
    unit = tmp_path / source.name
    unit.write_text(source.read_text().replace("ExecStart=standfast ", f"ExecStart={h1.network.program} "))
    told = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
    assert told.returncode == 0 and source.name not in told.stderr, told.stderr
