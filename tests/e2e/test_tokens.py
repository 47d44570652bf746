"""Tokens: what is no token, what must not stand on a command line, and whom a token makes a standby believe."""

import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import old_server, steps, tokens
from harness.certificates import give_certificate
from harness.state import assert_unchanged, state_of
from harness.waiting import wait_until

TOKEN = tokens.encode({"v": 1, "h": "10.20.20.1", "p": 5432, "u": "replicator", "w": "hush-hush-of-replicator",
                       "s": "pgstandby1", "i": "7000000000000000001", "mu": "standfast_monitor",
                       "mw": "hush-hush-of-monitor", "md": "standfast"})
SECRETS = [TOKEN[11:40], "hush-hush"]


def join(host, *options, **more):
    return host.standfast("join", "-D", host.data, *options, **more)


def assert_nothing_made(host):
    left = [*host.cluster_folder.iterdir(), *host.secrets.rglob("*")]
    assert not left, left


def assert_not_echoed(result, secrets=()):
    for secret in [*SECRETS, *secrets]:
        assert secret not in result.out + result.err


@pytest.fixture(scope="module")
def h2(shared_network):
    """A host without a primary: a token is judged before anything is asked of the network."""
    shared_network.host("h1", "10.20.20.1")
    return shared_network.host("h2", "10.20.20.2")


@dataclass(frozen=True)
class Bad:
    name: str
    text: str
    message: str
    hint: str = "Copy"


FIELDS = {"h": "host", "p": "port", "u": "replication user", "w": "replication password", "s": "slot",
          "i": "system identifier", "mu": "monitor user", "mw": "monitor password", "md": "monitor database"}
BAD = [
    Bad("no_token", "this is not a token at all", "not a token"),
    Bad("blank", " \n", "not a token"),
    Bad("binary", "standfast1.\0\1\2", "cut off or mistyped"),
    Bad("too_long", "standfast1." + "A" * 9000, "not a token"),
    Bad("cut_off_early", TOKEN[:30], "cut off or mistyped"),
    Bad("cut_off_late", TOKEN[:-1], "cut off or mistyped"),
    Bad("without_checksum", TOKEN.rpartition(".")[0], "cut off or mistyped"),
    Bad("mistyped_in_the_middle", TOKEN[:60] + ("A" if TOKEN[60] != "A" else "B") + TOKEN[61:], "cut off or mistyped"),
    Bad("mistyped_in_the_checksum", TOKEN[:-1] + ("0" if TOKEN[-1] != "0" else "1"), "cut off or mistyped"),
    Bad("newer", tokens.encode(tokens.decode(TOKEN), word="standfast2"), "newer version", "same version"),
    Bad("other_word", TOKEN.replace("standfast1", "slowfast1"), "not a token"),
    *[Bad(f"without_{name.replace(' ', '_')}", tokens.changed(TOKEN, **{key: None}), f"no valid {name}", "primary setup")
      for key, name in FIELDS.items()],
    Bad("port_0", tokens.changed(TOKEN, p=0), "no valid port", "primary setup"),
    Bad("port_too_high", tokens.changed(TOKEN, p=65536), "no valid port", "primary setup"),
    Bad("fingerprint", tokens.changed(TOKEN, f="abc"), "no valid certificate fingerprint", "primary setup"),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_bad_token_is_refused_and_not_echoed(h2, bad):
    path = h2.folder / "token"
    path.write_bytes(bad.text.encode())
    path.chmod(0o644)
    from_file = join(h2, "--token-file", path)
    from_file.expect_error(18, bad.message, "hint: ", bad.hint)
    from_input = join(h2, "--token-file", "-", stdin=bad.text)
    from_input.expect_error(18, bad.message)
    failed = join(h2, "--token-file", path, "--output", "json").expect(18).json()
    assert failed["error"]["code"] == "token"
    assert_not_echoed(from_file)
    assert_not_echoed(from_input)
    assert_nothing_made(h2)


def test_no_token_at_all(h2):
    join(h2, stdin="").expect_error(2, "no token was given", "hint: ", "--token-file")
    join(h2, "--token-file", h2.folder / "missing").expect_error(12, "missing")
    assert_nothing_made(h2)


SECRET_ARGUMENTS = [
    ("token_as_word", ["join", "-D", "pg/data", TOKEN], "a token is a password"),
    ("token_as_file", ["join", "-D", "pg/data", "--token-file", TOKEN], "a token is a password"),
    ("token_as_option", ["join", "-D", "pg/data", f"--token={TOKEN}"], "a token is a password"),
    ("token_cut_off", ["join", "-D", "pg/data", TOKEN[:50]], "a token is a password"),
    ("token_instead_of_a_command", [TOKEN], "a token is a password"),
    ("token_with_help", ["join", "--help", TOKEN], "a token is a password"),
    ("password_in_conninfo", ["status", "-d", "host=10.20.20.1 password=hush-hush"], "a password does not belong"),
    ("password_in_conninfo_quoted", ["verify", "-dhost=h password = 'hush-hush'"], "a password does not belong"),
    ("password_in_uri", ["standby", "clone", "-D", "pg/data", "-d", "postgresql://me:hush-hush@10.20.20.1/"],
     "a password does not belong"),
    ("password_in_uri_query", ["status", "-d", "postgres://10.20.20.1/?user=me&password=hush-hush"],
     "a password does not belong"),
    ("sslpassword", ["status", "--dbname=host=h sslpassword=hush-hush"], "a password does not belong"),
]


@pytest.mark.parametrize("arguments,message", [case[1:] for case in SECRET_ARGUMENTS],
                         ids=[case[0] for case in SECRET_ARGUMENTS])
def test_secret_on_the_command_line_is_refused_and_not_echoed(h2, arguments, message):
    refused = h2.run([h2.network.program, *arguments], record=False)
    refused.expect_error(2, message, "hint: ", "Every user of this host could read it")
    assert_not_echoed(refused)
    as_json = h2.run([h2.network.program, *arguments, "--output", "json"], record=False)
    assert as_json.expect(2).json()["error"]["code"] == "usage"
    assert_not_echoed(as_json)
    assert_nothing_made(h2)


def test_token_file_that_others_can_read_is_warned_about(h2):
    token = h2.write("token", TOKEN, mode=0o644)
    warned = join(h2, "--token-file", token)
    warned.expect_error(6, "can be read by other users", "chmod 600", "Connection refused")
    token.chmod(0o600)
    quiet = join(h2, "--token-file", token)
    quiet.expect_error(6, "Connection refused", "hint: ")
    assert "other users" not in quiet.err
    assert_not_echoed(warned)
    assert_nothing_made(h2)


@pytest.mark.parametrize("end", ["\n", "\r\n", "", " \n\n"])
def test_blanks_and_line_ends_around_a_token_do_no_harm(h2, end):
    wrapped = TOKEN[:100] + "\n" + TOKEN[100:] + end
    join(h2, "--token-file", "-", stdin=wrapped).expect_error(6, "Connection refused")
    join(h2, stdin=wrapped).expect_error(6, "Connection refused")


def test_old_server_behind_a_token_is_refused(h2):
    h1 = h2.network.hosts["h1"]
    program = h1.write("old_server.py", Path(old_server.__file__).read_text(), mode=0o644)
    server = h1.start([sys.executable, program, 5411])
    wait_until(lambda: "listening" in server.out, 60, "the old server")
    token = h2.write("token", tokens.changed(TOKEN, p=5411))
    join(h2, "--token-file", token).expect_error(8, "11.22", "hint: ", "12 to 18")
    assert_nothing_made(h2)
    for command in ("status", "verify"):
        h2.standfast(command, "-d", "host=10.20.20.1 port=5411 dbname=postgres").expect_error(8, "11.22", "12 to 18")
    h2.standfast("standby", "clone", "-D", h2.data, "-h", "10.20.20.1", "-p", 5411, "-U", "x").expect_error(
        8, "11.22", "12 to 18")
    assert_nothing_made(h2)


_LISTENER = """
import socket, sys
with socket.create_server(("", int(sys.argv[1]))) as listener:
    print("listening", flush=True)
    while True:
        connection, _ = listener.accept()
        connection.settimeout(60)
        try:
            first = connection.recv(8)
            connection.sendall(b"N")
            print((first + connection.recv(65536)).hex(), flush=True)
        except OSError as error:
            print(error, flush=True)
        connection.close()
"""

# Whoever goes before the answer has come resets the connection, and with it what was said.
_LAST_WORDS = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    connection.sendall(b"last one")
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(100):
        pass
"""


def test_server_without_tls_behind_a_token_with_a_certificate_hears_nothing(h2):
    h1 = h2.network.hosts["h1"]
    server = h1.start([sys.executable, "-c", _LISTENER, 5412])
    wait_until(lambda: "listening" in server.out, 60, "the listener")
    token = h2.write("token", tokens.changed(TOKEN, p=5412, f="0" * 64))
    join(h2, "--token-file", token).expect_error(17, "hint: ")
    # It takes one after the other: when it has heard this one, it has said what it heard before.
    h2.run([sys.executable, "-c", _LAST_WORDS, h1.address, 5412]).expect(0)
    wait_until(lambda: server.out.endswith(b"last one".hex() + "\n"), 60, "the last words")
    heard = server.out.splitlines()[1:-1]
    ssl_request = struct.pack("!II", 8, 80877103).hex()
    assert heard and set(heard) == {ssl_request}, heard
    assert_nothing_made(h2)


# ---------------------------------------------------------------- with a primary


def put_back(h1, certificate_and_key):
    for name, text in zip(("server.crt", "server.key"), certificate_and_key):
        (h1.data / name).write_text(text)
    h1.psql("SELECT pg_reload_conf(), pg_sleep(0.3)")


def test_foreign_certificate_is_refused_before_any_password(pair):
    h1, h2 = pair
    steps.set_up_primary(h1, h2)
    token = steps.carry_token(h1, h2)
    kept = (h1.data / "server.crt").read_text(), (h1.data / "server.key").read_text()
    h1.psql("ALTER SYSTEM SET log_connections = on")
    give_certificate(h1, name="mallory")
    h1.psql("SELECT pg_reload_conf(), pg_sleep(0.3)")
    before = state_of(h1)

    refused = steps.join(h2, token)
    refused.expect_error(17, "another certificate than the one the token names", "hint: ", "Nothing was sent")
    assert_nothing_made(h2)
    assert_unchanged(before, state_of(h1))

    def read_log():
        return "".join(path.read_text() for path in h1.folder.rglob("*.log"))

    wait_until(lambda: f"connection received: host={h2.address}" in read_log(), 60, "a connection in the log")
    log = read_log()
    assert "user=replicator" not in log and "user=standfast_monitor" not in log

    # With the right one back the same token does.
    put_back(h1, kept)
    steps.join(h2, token).expect(0)

    # And the standby's own connection insists on it too, whoever is at the other end later.
    conninfo = h2.psql("SHOW primary_conninfo")
    assert "sslmode='verify-ca'" in conninfo.replace("=verify-ca", "='verify-ca'") and "channel_binding" in conninfo
    give_certificate(h1, name="mallory")
    h1.psql("SELECT pg_reload_conf(), pg_sleep(0.3)")
    h1.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
    log = h2.data.parent / "data" / "log"
    wait_until(lambda: "certificate verify failed" in "".join(path.read_text() for path in log.rglob("*")), 60,
               "the refusal in the standby's log")
    wait_until(lambda: h1.psql("SELECT count(*) FROM pg_stat_replication") == "0", 60, "the end of the last stream")
    h2.standfast("verify", "-D", h2.data, "--timeout", "2").expect_error(17, "hint: ")
    put_back(h1, kept)
    wait_until(lambda: h1.psql("SELECT state FROM pg_stat_replication") == "streaming", 60, "the stream again")


def test_token_pasted_at_the_prompt_is_not_echoed_and_joins(pair):
    h1, h2 = pair
    steps.set_up_primary(h1, h2)
    token = steps.token_of(h1).read_text().strip()
    terminal = h2.terminal(h2.standfast_command("join", "-D", h2.data))
    terminal.expect("token: ")
    terminal.send_line(token)
    shown = terminal.finish(180)
    shown.expect(0)
    assert token not in shown.out and token[12:60] not in shown.out.replace("\n", "")
    steps.assert_replicates(h1, h2)


def test_interrupted_prompt_leaves_nothing_and_echo_is_back(h2):
    terminal = h2.terminal(["sh", "-c", '"$0" join -D "$1"; echo "code $?"; stty -a', h2.network.program, h2.data])
    terminal.expect("token: ")
    terminal.interrupt()
    terminal.expect(r"code 4")
    assert " echo " in terminal.finish().out
    assert_nothing_made(h2)


@pytest.fixture(scope="module")
def prepared(h2):
    h1 = h2.network.hosts["h1"]
    steps.set_up_primary(h1, h2)
    return h1, h2


@pytest.mark.parametrize("change,code,message", [
    ({"w": "wrong-password-of-replicator"}, 7, "password"),
    ({"mw": "wrong-password-of-monitor"}, 7, "password"),
    ({"i": "7000000000000000001"}, 10, "system identifier"),
    ({"s": "no_such_slot"}, 15, "no replication slot"),
    ({"p": 5433}, 6, "refused"),
    ({"h": "10.20.20.77"}, 6, "10.20.20.77"),
    ({"h": "no-such-host.invalid"}, 6, "no-such-host.invalid"),
], ids=["replicator_password", "monitor_password", "system_identifier", "slot", "port", "address", "host_name"])
def test_token_that_does_not_fit_the_primary_leaves_nothing(prepared, change, code, message):
    h1, h2 = prepared
    token = h2.write("token", tokens.changed(steps.token_of(h1).read_text(), **change))
    before = state_of(h1)
    steps.join(h2, token).expect_error(code, message, "hint: ")
    assert_nothing_made(h2)
    assert_unchanged(before, state_of(h1))
