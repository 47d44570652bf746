"""How a host becomes a member of its cluster: `primary setup --agent`, the token, `join` and its certificate."""

import stat
import sys

import pytest

from harness import steps, tokens
from harness.clones import fill, wait_until_copying
from harness.secret_scan import SecretScan, secrets_of
from harness.state import assert_unchanged, state_of
from harness.systemd import Systemd
from harness.waiting import wait_until

CONNECT, AUTHENTICATION, PRECONDITION, CERTIFICATE, IN_USE = 6, 7, 10, 17, 20
PORT = 7432
AGENT_KEYS = {"ah", "ap", "af", "as"}


@pytest.fixture
def two(network):
    return network.host("h1", "10.20.20.1"), network.host("h2", "10.20.20.2")


def setup_agent(host, *options, **how):
    return host.standfast("primary", "setup", "-D", host.data, "--agent", *options, timeout=120, **how)


def store_of(host, of=None):
    identifier = (of or host).psql("SELECT system_identifier FROM pg_control_system()")
    return host.secrets / identifier


def token_of(host):
    return tokens.decode(steps.token_of(host).read_text())


def members(host):
    told = host.standfast("member", "list", "-D", host.data, "--output", "json").expect(0).json()
    return {one["name"]: one["standing"] for one in told["members"]}


def own_name(host):
    return next(name for name in members(host) if name.startswith("host-"))


def listens(host, port=PORT):
    return f":{port} " in host.run(["ss", "-ltnH"]).out


def state(host):
    """Of a host whose agent runs: what that writes of itself is its own."""
    return {name: value for name, value in state_of(host).items() if "agent.log" not in name and "lock" not in name}


def assert_private(folder):
    for path in [folder, *folder.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), f"{path}: {mode:o}"


def test_setup_makes_the_first_member_and_changes_nothing_twice(two):
    h1, h2 = two
    scan = SecretScan(h1.network)
    planned = h1.standfast("primary", "setup", "-D", h1.data, "--init", "--standby", h2.address, "--agent", "--dry-run")
    assert "certificate authority: made" in planned.expect(0).out and "agent: started, on 10.20.20.1:7432" in planned.out
    assert not h1.data.exists() and not list(h1.secrets.rglob("*"))

    told = steps.set_up_primary(h1, h2, "--agent")
    assert "standfast agent --background" in told.out
    assert listens(h1) and members(h1)["pgstandby1"] == "invited"
    assert members(h1)[own_name(h1)] == "member"
    token = token_of(h1)
    assert (token["ah"], token["ap"]) == (h1.address, PORT) and AGENT_KEYS <= token.keys()
    assert_private(store_of(h1))

    before = state(h1)
    assert "nothing to change" in setup_agent(h1, "--dry-run").expect(0).out
    again = setup_agent(h1, "--output", "json").expect(0).json()
    assert again["verdict"] == "unchanged" and again["changes"] == []
    assert again["agent"]["runs"] and not again["agent"]["started"]
    assert again["agent"]["listen"] == ["10.20.20.1:7432"] and again["agent"]["ca_fingerprint"] == token["af"]
    without = h1.standfast("primary", "setup", "-D", h1.data, "--output", "json").expect(0).json()
    assert without["verdict"] == "unchanged" and "agent" not in without
    assert_unchanged(before, state(h1))
    # A new password leaves the agent's part of the token as it was.
    h1.standfast("primary", "setup", "-D", h1.data, "--rotate-password").expect(0)
    rotated = token_of(h1)
    assert rotated["w"] != token["w"] and {key: rotated[key] for key in AGENT_KEYS} == {
        key: token[key] for key in AGENT_KEYS}

    moved = setup_agent(h1, "10.20.20.1:8000", "--output", "json").expect(0).json()
    assert moved["agent"]["started"] and listens(h1, 8000) and not listens(h1)
    assert token_of(h1)["ap"] == 8000 and token_of(h1)["as"] == token["as"]
    assert setup_agent(h1, "--output", "json").expect(0).json()["verdict"] == "unchanged"
    scan.assert_absent(secrets_of(h1) | {token["as"]})


def test_join_becomes_a_member_once_and_starts_an_agent_of_its_own(two):
    h1, h2 = two
    steps.set_up_primary(h1, h2, "--agent")
    token = steps.carry_token(h1, h2)
    planned = steps.join(h2, token, "--agent", "--dry-run").expect(0)
    assert "would become a member" in planned.out and members(h1)["pgstandby1"] == "invited"
    joined = steps.join(h2, token, "--output", "json").expect(0).json()
    assert joined["member"] == "pgstandby1" and joined["copy"]["agent"]["member"] == own_name(h1)
    assert members(h1)["pgstandby1"] == "member" and not listens(h2)
    own = store_of(h2) / "member"
    assert_private(own)
    certificate = (own / "certificate.pem").read_text()

    again = steps.join(h2, token, "--output", "json").expect(0).json()
    assert again["was_a_standby_already"] and again["member"] == "pgstandby1"
    assert (own / "certificate.pem").read_text() == certificate
    assert setup_agent(h1, "--output", "json").expect(0).json()["verdict"] == "unchanged"

    started = steps.join(h2, token, "--agent", "--output", "json").expect(0).json()
    assert started["agent"]["runs"] and started["agent"]["started"] and listens(h2)
    assert started["agent"]["listen"] == ["10.20.20.2:7432"]
    once_more = steps.join(h2, token, "--agent", "--output", "json").expect(0).json()
    assert once_more["agent"]["runs"] and not once_more["agent"]["started"]
    steps.assert_replicates(h1, h2)
    # The authority is the primary's: a second one would part the cluster.
    h2.standfast("primary", "setup", "-D", h2.data, "--from-standby", "--standby", "10.20.20.3", "--agent",
                 "--dry-run").expect_error(PRECONDITION, "authority lies on another", "hint: ")


def test_secret_admits_one_host_and_a_new_one_takes_a_removal(network):
    h1, h2, h3 = (network.host(f"h{i}", f"10.20.20.{i}") for i in (1, 2, 3))
    h1.standfast("primary", "setup", "-D", h1.data, "--init", "--standby", "10.20.20.0/24", "--restart", "--agent",
                 timeout=120).expect(0)
    steps.join(h2, steps.carry_token(h1, h2)).expect(0)
    h2.standfast("standby", "stop", "-D", h2.data).expect(0)

    refused = steps.join(h3, steps.carry_token(h1, h3))
    refused.expect_error(AUTHENTICATION, "admits nobody", "member remove pgstandby1")
    assert not h3.data.exists() and not list(h3.secrets.rglob("*.pem"))
    assert token_of(h1)["as"] not in refused.out + refused.err
    assert members(h1)["pgstandby1"] == "member"

    before = token_of(h1)["as"]
    h1.standfast("member", "remove", "pgstandby1", "-D", h1.data).expect(0)
    assert "does not count any more" in setup_agent(h1, "--dry-run").expect(0).out
    setup_agent(h1).expect(0)
    assert token_of(h1)["as"] != before
    # Whoever was removed has a certificate still, which the agent takes no more a few seconds later.
    certificate = store_of(h2, h1) / "member" / "certificate.pem"
    removed = certificate.read_text()
    token = steps.carry_token(h1, h2)

    def joined_anew():
        assert steps.join(h2, token, "--output", "json").expect(0).json()["member"] == "pgstandby1"
        return certificate.read_text() != removed

    wait_until(joined_anew, 120, "another certificate")
    assert members(h1)["pgstandby1"] == "member"


def test_join_that_was_killed_goes_on_with_the_certificate_that_it_has(two):
    h1, h2 = two
    steps.set_up_primary(h1, h2, "--agent")
    fill(h1, 24)
    token = steps.carry_token(h1, h2)
    running = h2.start(h2.standfast_command("join", "-D", h2.data, "--token-file", token, "-r", "4M"))
    wait_until_copying(running, h2)
    running.signal(9)
    running.wait()
    certificate = store_of(h2, h1) / "member" / "certificate.pem"
    first = certificate.read_text()
    assert members(h1)["pgstandby1"] == "member"
    assert steps.join(h2, token, "--output", "json").expect(0).json()["member"] == "pgstandby1"
    assert certificate.read_text() == first
    steps.assert_replicates(h1, h2)


def test_agent_of_another_authority_hears_no_secret_and_nothing_is_made(two):
    h1, h2 = two
    steps.set_up_primary(h1, h2, "--agent")
    token = h2.write("token", tokens.changed(steps.token_of(h1).read_text(), af="0" * 64))
    steps.join(h2, token).expect_error(CERTIFICATE, "10.20.20.1:7432", "Nothing was sent")
    assert members(h1)["pgstandby1"] == "invited"
    assert not h2.data.exists() and not list(h2.secrets.rglob("*.pem"))


def test_agent_that_is_not_there_is_done_without_and_makes_up_for_it_later(two):
    h1, h2 = two
    steps.set_up_primary(h1, h2, "--agent")
    h1.standfast("agent", "--stop", "-D", h1.data).expect(0)
    token = steps.carry_token(h1, h2)
    steps.join(h2, token, "--from", "agent").expect_error(CONNECT, "10.20.20.1:7432")
    assert not h2.data.exists()
    joined = steps.join(h2, token).expect(0)
    assert "cannot be reached" in joined.err and "over the replication protocol" in joined.err
    steps.assert_replicates(h1, h2)
    assert members(h1)["pgstandby1"] == "invited"

    started = setup_agent(h1, "--output", "json").expect(0).json()
    assert started["agent"]["started"] and [change["kind"] for change in started["changes"]] == ["agent"]
    assert steps.join(h2, token, "--output", "json").expect(0).json()["member"] == "pgstandby1"
    assert members(h1)["pgstandby1"] == "member"


def test_tokens_from_before_get_the_agent_and_a_running_standby_its_certificate(two):
    h1, h2 = two
    steps.set_up_primary(h1, h2)
    old = steps.carry_token(h1, h2)
    assert not AGENT_KEYS & token_of(h1).keys() and not (store_of(h1) / "ca").exists()
    steps.join(h2, old, "--agent").expect_error(PRECONDITION, "names no agent", "primary setup --agent")
    steps.join(h2, old).expect(0)
    assert not (store_of(h2) / "member").exists()
    told = setup_agent(h1, "--output", "json").expect(0).json()
    assert {change["kind"] for change in told["changes"]} == {"agent", "token"}
    again = steps.join(h2, steps.carry_token(h1, h2), "--output", "json").expect(0).json()
    assert again["was_a_standby_already"] and again["member"] == "pgstandby1"


_LISTENER = """
import signal, socket, sys
with socket.create_server(("10.20.20.1", int(sys.argv[1]))) as listener:
    print("listening", flush=True)
    signal.pause()
"""


def test_agent_that_cannot_start_leaves_the_rest_done_and_says_what_to_do(two):
    h1, h2 = two
    taken = h1.start([sys.executable, "-c", _LISTENER, PORT])
    wait_until(lambda: "listening" in taken.out, 60, "the listener")
    told = h1.standfast("primary", "setup", "-D", h1.data, "--init", "--standby", h2.address, "--restart", "--agent",
                        timeout=120)
    told.expect(IN_USE)
    assert "the agent does not run" in told.err and "standfast agent --background -D" in told.err
    assert "now on the standby 10.20.20.2" in told.out and AGENT_KEYS <= token_of(h1).keys()
    taken.signal(9)
    taken.wait()
    again = setup_agent(h1, "--output", "json").expect(0).json()
    assert again["agent"]["started"] and listens(h1)


def test_systemd_runs_the_agent_where_its_unit_is(two):
    h1, h2 = two
    systemd = Systemd(h1)
    etc = h1.bind("/etc/standfast")
    steps.set_up_primary(h1, h2, user="root")
    systemd.agent_unit(h1)
    systemd.calls()
    told = setup_agent(h1, "--output", "json", user="root").expect(0).json()
    assert told["agent"]["runs"] and told["agent"]["started"] and listens(h1)
    assert systemd.calls("enable", "restart", "start") == [("enable", "standfast-agent.service", 0),
                                                           ("restart", "standfast-agent.service", 0)]
    assert (etc / "standfast.toml").read_text() == f'[agent]\ndata_directory = "{h1.data}"\n'
    again = setup_agent(h1, "--output", "json", user="root").expect(0).json()
    assert again["verdict"] == "unchanged" and systemd.calls("enable", "restart", "start") == []
    (etc / "standfast.toml").write_text('[agent]\ndata_directory = "/elsewhere"\n')
    setup_agent(h1, "10.20.20.1:8000", user="root").expect_error(PRECONDITION, "standfast.toml", "data_directory")


@pytest.mark.parametrize("address", ["10.20.20.1:0", ":7432", "10.20.20.1:x"])
def test_address_that_means_nothing_is_refused(two, address):
    h1, h2 = two
    h1.standfast("primary", "setup", "-D", h1.data, "--init", "--standby", h2.address, f"--agent={address}"
                 ).expect_error(2, "--agent", "hint: ")
    assert not h1.data.exists()
