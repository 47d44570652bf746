"""The administrator's steps as the tests do them, and what they look at in the database itself, not in what
Standfast says of it."""

import contextlib

from harness.waiting import wait_until

SLOT = "pgstandby1"
# What an administrator's shell may have left over from psql.
LEFT_IN_THE_ENVIRONMENT = {
    "PGHOST": "nowhere.invalid", "PGHOSTADDR": "192.0.2.1", "PGPORT": "1", "PGUSER": "nobody", "PGDATABASE": "nothing",
    "PGPASSWORD": "left over", "PGPASSFILE": "/nowhere", "PGSSLMODE": "verify-full", "PGSERVICE": "nothing",
    "PGOPTIONS": "-c default_transaction_read_only=on", "PGTARGETSESSIONATTRS": "standby", "PGAPPNAME": "psql"}


def pg_bin(binaries):
    return ["--pg-bin", binaries] if binaries else []


def set_up_primary(host, standby, *options, binaries=None, user="postgres", env=None):
    """`primary setup --init` on a host, for one standby; the server runs afterwards."""
    return host.standfast("primary", "setup", "-D", host.data, "--init", "--standby", standby.address, "--restart",
                          *pg_bin(binaries), *options, user=user, env=env, timeout=120).expect(0)


def token_of(primary):
    """The token's file where the primary's setup put it."""
    system_identifier = primary.psql("SELECT system_identifier FROM pg_control_system()")
    return primary.secrets / system_identifier / f"{SLOT}.token"


def carry_token(primary, standby):
    """Takes the token to the standby as an administrator does, in a file that only its user can read."""
    return standby.write("token", token_of(primary).read_text())


def join(standby, token_file, *options, binaries=None, user="postgres", env=None):
    return standby.standfast("join", "-D", standby.data, "--token-file", token_file, *pg_bin(binaries), *options,
                             user=user, env=env, timeout=180)


def wait_for_active_slot(primary, slot=SLOT):
    wait_until(lambda: primary.psql(f"SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'") == "t", 60,
               f"the slot {slot} in use")


def _assert_soon(look, expected):
    """For what a server tells of its connections: it notices a little later that one has come, is level, or has gone."""
    with contextlib.suppress(AssertionError):
        wait_until(lambda: look() == expected, 30, f"{expected}")
    assert look() == expected


def assert_replicates(primary, standby):
    """The seed's 2.2, 3.1 and 3.2, read by SQL on both sides."""
    assert primary.psql("SELECT pg_is_in_recovery()") == "f"
    assert standby.psql("SELECT pg_is_in_recovery()") == "t"
    identifiers = {host.psql("SELECT system_identifier FROM pg_control_system()") for host in (primary, standby)}
    assert len(identifiers) == 1
    assert standby.rows("SELECT status, slot_name, sender_host, sender_port FROM pg_stat_wal_receiver") == [
        {"status": "streaming", "slot_name": SLOT, "sender_host": primary.address, "sender_port": "5432"}]
    _assert_soon(lambda: primary.rows("SELECT usename, state, client_addr, sync_state FROM pg_stat_replication"), [
        {"usename": "replicator", "state": "streaming", "client_addr": standby.address, "sync_state": "async"}])
    _assert_soon(lambda: primary.rows("SELECT slot_name, slot_type, active FROM pg_replication_slots"), [
        {"slot_name": SLOT, "slot_type": "physical", "active": "t"}])


def assert_nothing_lies_around(host):
    """Nothing but the data directory where the cluster is, and no leftovers of a clone."""
    names = sorted(path.name for path in host.cluster_folder.iterdir() if not path.name.endswith(".log"))
    assert names == [host.data.name], names


def request_to_root_waits(host):
    """Something was sent to root's half and is not read yet."""
    lines = host.run(["ss", "-xH"], record=False).out.splitlines()
    return any(line.split()[0] == "u_seq" and line.split()[2] != "0" for line in lines)
