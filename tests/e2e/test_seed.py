"""The seed, whole: two hosts, Debian's PostgreSQL 15, a load running while the standby is made, everything as root
with the program's own defaults."""

from harness import steps
from harness.cluster import wait_for_replay
from harness.load import Pgbench, pgbench_init, table_sums
from harness.secret_scan import SecretScan, secrets_of
from harness.waiting import wait_until

_AS_ROOT = {"user": "root", "env": {"STANDFAST_HOME": None}}


def test_seed_whole_with_a_load_running(network, pair):
    h1, h2 = pair
    scan = SecretScan(network)

    # Part one, on 10.20.20.1.
    setup = steps.set_up_primary(h1, h2, **_AS_ROOT)
    assert "standfast join -D" in setup.out
    assert h1.psql("SHOW server_version").startswith("15.")
    assert h1.psql("SHOW listen_addresses") == "*"
    assert h1.psql("SELECT rolname FROM pg_roles WHERE rolsuper") == "postgres"
    rules = h1.rows("SELECT type, user_name, address, netmask, auth_method FROM pg_hba_file_rules "
                    "WHERE 'replication' = ANY (database) AND user_name = '{replicator}'")
    assert rules == [{"type": "hostssl", "user_name": "{replicator}", "address": "10.20.20.2",
                      "netmask": "255.255.255.255", "auth_method": "scram-sha-256"}]
    token = steps.carry_token(h1, h2)
    pgbench_init(h1, scale=20)

    # Part two, on 10.20.20.2, while transactions go on.
    load = Pgbench(h1, seconds=900)
    before = load.transactions
    steps.join(h2, token, **_AS_ROOT).expect(0)
    assert load.transactions > before, "nothing was committed during the clone"

    # Part three, still under the load.
    steps.assert_replicates(h1, h2)
    assert h1.psql("SELECT ssl FROM pg_stat_ssl JOIN pg_stat_replication USING (pid)") == "t"
    for host in pair:
        host.standfast("status", "-D", host.data, **_AS_ROOT).expect(0)
        members = host.standfast("status", "-D", host.data, "--output", "json", **_AS_ROOT).expect(0).json()["members"]
        assert sorted(member["role"] for member in members) == ["primary", "standby"]
        host.standfast("status", "-D", host.data, "--detail", **_AS_ROOT).expect(0)
        host.standfast("verify", "-D", host.data, **_AS_ROOT).expect(0)
        host.standfast("verify", "-D", host.data, "--output", "json", **_AS_ROOT).expect(0).json()
    created = h1.standfast("verify", "-D", h1.data, "--create-database", **_AS_ROOT).expect(0)
    assert "replica_demo" in created.out

    wait_until(lambda: load.transactions > 100, 120, "some transactions")
    load.stop()
    wait_for_replay(h1, h2)
    sums = table_sums(h1)
    assert sums["pgbench_accounts"][0] == 2_000_000 and sums["pgbench_history"][0] > 0
    assert table_sums(h2) == sums
    for host in pair:
        assert "replica_demo" not in host.psql("SELECT datname FROM pg_database").splitlines()
        steps.assert_nothing_lies_around(host)
    scan.assert_absent(secrets_of(h1, h2), allowed=[token])
