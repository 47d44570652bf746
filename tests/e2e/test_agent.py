"""`standfast agent`: its life on a host, and what it shows to whom. Memberships are made by hand."""

import re
import signal
import socket
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.agents import PORT, Authority, agent_command, end_agent, start_agent, system_id_of
from harness.binaries import DEBIAN, npm
from harness.clones import primary_by_hand
from harness.steps import LEFT_IN_THE_ENVIRONMENT
from harness.waiting import wait_until

USAGE, PERMISSION, AUTHENTICATION, PRECONDITION, IO, CERTIFICATE, IN_USE = 2, 5, 7, 10, 12, 17, 20


class World:
    """A primary on h1 with the authority, and the membership of a host h2."""

    def __init__(self, network, binaries=DEBIAN):
        self.h1, self.h2 = (network.host(f"h{i}", f"10.20.20.{i}") for i in (1, 2))
        self.network = network
        self.primary = primary_by_hand(self.h1, binaries)
        self.authority = Authority(network, system_id_of(self.primary))
        self.own = self.authority.sign("primary")
        self.standby = self.authority.sign("standby1")

    def give(self, **places):
        self.authority.give(self.h1)
        self.own.give(self.h1, **places)
        return self

    def ask(self, *words, membership=None, **options):
        return self.authority.ask(self.h2, self.h1, membership or self.standby, *words, **options)


@contextmanager
def service_manager(host):
    """systemd's end of sd_notify: the environment for the agent, and what has been heard so far."""
    path, messages = host.folder / "notify", []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.bind(str(path))
        ours.setblocking(False)
        path.chmod(0o777)

        def heard(start):
            while True:
                try:
                    messages.append(ours.recv(4096).decode())
                except BlockingIOError:
                    return [message for message in messages if message.startswith(start)]

        yield {"NOTIFY_SOCKET": str(path)}, heard


def test_its_life(network):
    world = World(network).give()
    h1 = world.h1
    with service_manager(h1) as (env, heard):
        running = start_agent(h1, env=env)
        wait_until(lambda: heard("READY=1"), 60, "the word that it is ready")
        wait_until(lambda: any('member "primary" with the authority, certificate until 20' in line
                               for line in heard("STATUS=")), 60, "how it stands")
        welcome, = world.ask("hello")
        assert welcome == {"kind": "welcome", "version": 1, "server_version_num": DEBIAN.major * 10000, "block_bytes": 8192,
                           "segment_blocks": 131072, "wal_segment_bytes": 16 << 20, "has_page_checksums": 1, "is_standby": 0}

        h1.run(agent_command(h1, "--listen", "127.0.0.1")).expect_error(IN_USE, f"runs already: process {running.pid}")
        h1.run(agent_command(h1, "--listen", h1.address), user="root").expect_error(PERMISSION, "never runs as root")

        running.signal(signal.SIGHUP)
        wait_until(lambda: heard("RELOADING=1") and len(heard("READY=1")) == 2, 60, "a reload")
        assert "looked at again" in running.out
        assert world.ask("hello")[0]["kind"] == "welcome"
        # Its server may come and go.
        world.primary.stop()
        assert world.ask("hello")[0]["kind"] == "welcome"
        hello, refused = world.ask("hello", "begin")
        assert refused["code"] == PRECONDITION and "no server runs" in refused["message"]
        world.primary.start()
        assert world.ask("hello", "begin", "end")[2]["kind"] == "ended"

        staying = world.authority.client(world.h2, h1, world.standby, "hello", "stay")
        wait_until(lambda: "welcome" in staying.out, 60, "a connection that stays")
        heard("STATUS=")  # where some ten words have not been heard, the agent's next one is lost
        end_agent(running)
        assert heard("STOPPING=1")
        assert '"closed"' in staying.wait(60).out
    assert not (world.authority.store(h1) / "member/agent.lock").exists()


def test_in_the_background(network):
    world = World(network).give(listen=[f"{network.host('h3', '10.20.20.3').address}:{PORT}"])
    h1 = world.h1
    # Where agent.json says is not an address of this host; nobody stays behind.
    h1.run(agent_command(h1, "--background")).expect_error(IO, "could not listen on 10.20.20.3:7432")
    world.own.give(h1, listen=[h1.address])
    started = h1.run(agent_command(h1, "--background", "--output", "json"),
                     env={**LEFT_IN_THE_ENVIRONMENT, "LANG": "C"}).expect(0).json()
    try:
        # For as long as it runs, it shows that to whoever may look at it.
        environment = Path(f"/proc/{started['process']}/environ").read_text().split("\0")
        assert "LANG=C" in environment and not [entry for entry in environment if entry.startswith("PG")]
        assert world.ask("hello")[0]["kind"] == "welcome"
        h1.run(agent_command(h1, "--background")).expect_error(IN_USE, f"process {started['process']}")
        assert "serving" in (world.authority.store(h1) / "member/agent.log").read_text()
        assert started["log"].endswith("member/agent.log")
    finally:
        stopped = h1.run(agent_command(h1, "--stop", "--output", "json"))
    assert stopped.expect(0).json()["was_running"] is True
    assert h1.run(agent_command(h1, "--stop", "--output", "json")).expect(0).json()["was_running"] is False
    assert world.ask("hello")[0]["kind"] == "closed"


def test_what_has_to_be_there_to_start(network):
    world = World(network)
    h1 = world.h1
    listen = ("--listen", h1.address)
    h1.run(agent_command(h1, *listen)).expect_error(PRECONDITION, "no member of the cluster", "join")
    world.own.give(h1)
    h1.run(agent_command(h1)).expect_error(USAGE, "not said where the agent listens")
    key = world.authority.store(h1) / "member/key.pem"
    key.chmod(0o640)
    h1.run(agent_command(h1, *listen)).expect_error(PERMISSION, "key.pem")
    key.chmod(0o600)
    Authority(network, world.authority.system_id, "other").sign("primary").give(h1)
    (world.authority.store(h1) / "member/ca.pem").write_text(world.authority.certificate)
    h1.run(agent_command(h1, *listen)).expect_error(CERTIFICATE, "authority did not sign")
    world.authority.sign("primary", days_ago=31).give(h1)
    h1.run(agent_command(h1, *listen)).expect_error(CERTIFICATE, "has expired", "join")
    config = h1.write("agent.toml", "[agent]\nlisten = 5\n")
    h1.run(agent_command(h1, "-c", config)).expect_error(USAGE, "line 2: listen must be a list")
    h1.run(agent_command(h1, "--stop", *listen)).expect_error(USAGE, "--stop")


@pytest.mark.parametrize("major", [12, 15, 18])
def test_a_backup_of_a_server(network, major):
    binaries = DEBIAN if major == DEBIAN.major else npm(major)
    world = World(network, binaries).give()
    if major < 15:
        (world.primary.data / "own_stats").mkdir(mode=0o700)
        world.h1.run(["chown", "postgres", world.primary.data / "own_stats"], user="root").expect(0)
        world.primary.psql("ALTER SYSTEM SET stats_temp_directory = 'own_stats'")
        world.primary.reload()
    running = start_agent(world.h1)
    hello, begun, listed, ended = world.ask("hello", "begin", "list", "end")
    assert hello["server_version_num"] == major * 10000 and begun["kind"] == "begun" and ended["kind"] == "ended"
    paths = listed["paths"]
    assert "PG_VERSION" in paths and paths[-1] == "global/pg_control" and "pg_wal" in paths
    shown = [path for path in paths if path.startswith(("pg_wal/0", "postmaster.", "own_stats/", "pg_stat_tmp/"))]
    assert not shown
    assert major >= 15 or "own_stats" in paths
    end_agent(running)


def test_strangers_get_nothing_but_the_chance_to_ask_for_a_certificate(network):
    world = World(network)
    invitation = world.authority.invite("invited1")
    world.give()
    other = Authority(network, world.authority.system_id, "other")
    running = start_agent(world.h1)

    def stranger(*words):
        return world.authority.ask(world.h2, world.h1, None, *words)

    # This host signs certificates; of its data directory it says nothing.
    assert stranger("hello") == [{"kind": "welcome", "version": 1, "server_version_num": 0, "block_bytes": 1024, "segment_blocks": 1,
                                  "wal_segment_bytes": 1 << 20, "has_page_checksums": 0, "is_standby": 0}]
    wrong = world.h2.write("wrong", "no such secret\n" + invitation.partition("\n")[2])
    assert stranger("hello", f"sign={wrong}")[1]["code"] == AUTHENTICATION
    asked = world.h2.write("invitation", invitation)
    assert [answer["kind"] for answer in stranger("hello", f"sign={asked}", "hello")] == ["welcome", "signed", "closed"]
    assert stranger("hello", f"sign={asked}")[1]["code"] == AUTHENTICATION  # used up
    members = world.h1.standfast("member", "list", "-D", world.h1.data).expect(0).out
    assert re.search("^invited1 +member ", members, re.M)
    assert invitation.partition("\n")[0] not in running.out + running.err
    for word in ("list", "begin", "revoked", "end"):
        answers = stranger("hello", word)
        assert answers[1]["kind"] in ("refused", "closed") and answers[1].get("code", 13) == 13, answers
    for bad in (world.authority.sign("standby2", days_ago=31), world.authority.sign("standby2", days_ago=-2),
                other.sign("standby1")):
        assert [answer["kind"] for answer in world.ask("hello", membership=bad)] == ["closed"]
    wrong, = world.ask("hello", system_id=world.authority.system_id + 1)
    assert wrong["kind"] == "refused" and wrong["code"] == PRECONDITION
    wait_until(lambda: "certificate" in running.out, 60, "what it says of them")
    end_agent(running)

    # A host without the authority takes no stranger at all.
    for path in (world.authority.store(world.h1) / "ca").iterdir():
        path.unlink()
    running = start_agent(world.h1)
    assert [answer["kind"] for answer in stranger("hello")] == ["closed"]
    assert world.ask("hello")[0]["kind"] == "welcome"
    end_agent(running)


def test_who_is_removed_is_out(network):
    world = World(network).give()
    h1 = world.h1
    other = world.authority.sign("standby2")
    world.authority.give(h1)
    running = start_agent(h1)
    members = h1.standfast("member", "list", "-D", h1.data, "--output", "json").expect(0).json()
    assert [(member["name"], member["standing"]) for member in members["members"]] == [
        ("primary", "member"), ("standby1", "member"), ("standby2", "member")]
    assert members["system_identifier"] == str(world.authority.system_id)
    staying = world.authority.client(world.h2, h1, world.standby, "hello", "stay")
    wait_until(lambda: "welcome" in staying.out, 60, "a connection that stays")

    def remove(*options):
        return h1.standfast("member", "remove", *options, "-D", h1.data, "--output", "json")

    remove("nobody").expect(USAGE)
    assert remove("standby1", "--dry-run").expect(0).json()["changed"] is False
    assert world.ask("hello")[0]["kind"] == "welcome"
    assert remove("standby1").expect(0).json()["changed"] is True
    wait_until(lambda: [answer["kind"] for answer in world.ask("hello")] == ["closed"], 60, "it is not let in")
    assert '"code": 17' in staying.wait(60).out  # what stood is ended, too
    assert world.ask("hello", membership=other)[0]["kind"] == "welcome"
    assert remove("standby1").expect(0).json()["changed"] is False
    text = h1.standfast("member", "list", "-D", h1.data).expect(0).out
    assert re.search(r"^standby1 +removed ", text, re.M) and re.search(r"^standby2 +member ", text, re.M)
    world.h2.run(world.h2.standfast_command("member", "list", "-D", h1.data)).expect_error(PRECONDITION, "authority")
    end_agent(running)


def test_certificates_renew_themselves(network):
    """On the host with the authority by itself, elsewhere through that one's agent; the list of revoked ones comes along."""
    world = World(network)
    h1, h2 = world.h1, world.h2
    world.own = world.authority.sign("primary", days_ago=11)
    world.standby = world.authority.sign("standby1", days_ago=11)
    removed = world.authority.sign("standby2")
    world.give()
    world.primary.stop()
    world.primary.copy_to(h2)
    world.primary.start()
    at_primary = start_agent(h1)
    wait_until(lambda: "is renewed" in at_primary.out, 60, "the primary's certificate is renewed")

    store = world.authority.store(h2) / "member"
    world.standby.give(h2, authority=["10.20.20.99", h1.address])
    network.hosts["h1"].run(["ip", "addr", "add", "10.20.20.99/24", "dev", "eth0"], user="root").expect(0)
    at_standby = start_agent(h2)
    wait_until(lambda: "is renewed" in at_standby.out, 120, "the standby's certificate is renewed")
    assert (store / "certificate.pem").read_text() != world.standby.text("certificate.pem")
    assert (store / "key.pem").read_text() == world.standby.text("key.pem")
    assert world.authority.ask(h1, h2, world.own, "hello")[0]["is_standby"] == 0
    h2.write(h2.data / "standby.signal", "")
    assert world.authority.ask(h1, h2, world.own, "hello")[0]["is_standby"] == 1

    h1.standfast("member", "remove", "standby2", "-D", h1.data).expect(0)
    wait_until(lambda: at_primary.out.count("newer list") >= 1, 60, "the primary's agent has the list")

    def is_out():
        at_standby.signal(signal.SIGHUP)
        return [answer["kind"] for answer in world.authority.ask(h1, h2, removed, "hello")] == ["closed"]

    wait_until(is_out, 90, "the standby's agent has the list")
    members = h1.standfast("member", "list", "-D", h1.data, "--output", "json").expect(0).json()["members"]
    assert {member["name"]: member["standing"] for member in members} == {
        "primary": "member", "standby1": "member", "standby2": "removed"}
    end_agent(at_standby)
    end_agent(at_primary)


def test_a_thousand_connections_cost_little_and_harm_nobody(network):
    world = World(network).give()
    h3 = network.host("h3", "10.20.20.3")
    running = start_agent(world.h1)

    def resident_megabytes():
        with open(f"/proc/{running.pid}/status", encoding="utf-8") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) // 1024

    before = resident_megabytes()
    crowd = world.authority.client(h3, world.h1, None, "hold", 1000)
    try:
        wait_until(lambda: "all are there" in crowd.out or not crowd.alive, 120, "a thousand connections")
        assert crowd.alive, crowd.err
        for _ in range(3):
            assert world.ask("hello", "begin", "end")[2]["kind"] == "ended"
        threads = len(list(Path(f"/proc/{running.pid}/task").iterdir()))
        grown = resident_megabytes() - before
        assert grown < 24 and threads < 100
        # The handshakes that are held open end.
        wait_until(lambda: len(list(Path(f"/proc/{running.pid}/task").iterdir())) < 8, 120,
                   "the deadline of the handshakes")
    finally:
        crowd.signal(signal.SIGKILL)
        crowd.wait()
    assert world.ask("hello")[0]["kind"] == "welcome"
    end_agent(running)
