"""A standby of a standby: the seed's way over three hosts, and what can go wrong on it."""

import pytest

from harness import steps
from harness.binaries import DEBIAN, npm
from harness.clones import PASSWORD, assert_streams, clone, clone_environment, fill, primary_by_hand, slots, \
    staging, start_clone, tree, verify_backup, wait_until_copying
from harness.cluster import Cluster, wait_for_replay
from harness.load import Pgbench, pgbench_init, table_sums
from harness.secret_scan import SecretScan, secrets_of
from harness.waiting import wait_until

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
    load = Pgbench(a)

    joined = steps.join(c, token, "--from-standby", binaries=binaries).expect(0)

    assert f"which follows {a.address} port 5432" in joined.out
    assert_follows(b, c, CASCADED_SLOT)
    assert_follows(a, b, steps.SLOT)
    assert load.stop() > 20
    wait_for_replay(a, c)
    assert table_sums(c) == table_sums(a)
    expected = {"primary": ("primary", None), steps.SLOT: ("standby", "primary"),
                CASCADED_SLOT: ("standby", f"standby {steps.SLOT}")}
    assert members_of(b)[0] == expected
    # From here the primary does not admit us: how far it was proven is said, and at which hop it ended.
    verified = c.standfast("verify", "-D", c.data).expect(0)
    assert "cannot be asked from here" in verified.out and a.address in verified.out and "position" in verified.out
    let_in_for_verify(a, c)
    verified = c.standfast("verify", "-D", c.data, "--output", "json").expect(0).json()
    assert verified["proof"] == "seen_on_standby" and verified["marker_ms"] is not None
    assert members_of(c)[0] == expected
    for host in (b, c):
        steps.assert_nothing_lies_around(host)
    scan.assert_absent(secrets_of(a, b, c), allowed=[token, b.folder / "token"])
