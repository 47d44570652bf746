"""No password and no verifier in a log, a view, a process list, an output or a file, whatever the server logs."""

import pytest

from harness.binaries import DEBIAN, npm
from harness.cluster import Cluster
from harness.secret_scan import SecretScan, secrets_of

STANDBY = "10.20.20.2"
LOUD = {"log_statement": "all", "log_min_duration_statement": "0", "log_duration": "on", "log_min_messages": "debug2",
        "log_min_error_statement": "debug1", "log_connections": "on", "log_error_verbosity": "verbose",
        "debug_print_parse": "on", "debug_print_plan": "on", "log_parser_stats": "on", "track_activity_query_size": "'16kB'"}


def verifiers(host):
    """Of the two roles, and the parts of each that a log could hold by itself; read so that no record keeps them."""
    port, folder = host.server_socket()
    texts = host.run([DEBIAN.program("psql"), "-XAt", "-h", folder, "-p", port, "-d", "postgres", "-c",
                      "SELECT rolpassword FROM pg_authid WHERE rolname IN ('replicator', 'standfast_monitor')"],
                     record=False).expect(0).out.split()
    assert len(texts) == 2 and all(text.startswith("SCRAM-SHA-256$") for text in texts)
    return {part for text in texts for part in text.replace("$", ":").split(":") if len(part) > 20}


def loud_server(host, binaries=DEBIAN, preload="pg_stat_statements", **settings):
    more = {"pg_stat_statements.track": "all", "pg_stat_statements.track_utility": "on"} if preload else {}
    cluster = Cluster(host, binaries).init().configure(listen_addresses="'*'", **LOUD, **settings)
    if preload:
        cluster.configure(shared_preload_libraries=f"'{preload}'", **more)
    cluster.start()
    if preload:
        cluster.psql("CREATE EXTENSION pg_stat_statements")
    return cluster


def seen_by_the_server(host):
    """What pg_stat_statements keeps; if that holds a secret, the record of the test must not."""
    port, folder = host.server_socket()
    return host.run([DEBIAN.program("psql"), "-XAt", "-h", folder, "-p", port, "-d", "postgres", "-c",
                     "SELECT string_agg(query, E'\\n') FROM pg_stat_statements"], record=False).expect(0).out


def assert_no_secret(network, scan, host, allowed=()):
    """Of pg_stat_statements first, then of everything on the disk; the roles themselves lie in the data directory."""
    needles = verifiers(host)
    statements = seen_by_the_server(host)
    host.psql("CHECKPOINT")
    assert not [needle for needle in needles if needle in statements]
    assert not [secret for secret in secrets_of(host) if secret in statements]
    # A verifier lies in pg_authid and in the WAL, and nowhere else.
    allowed = [*allowed, host.data / "global", host.data / "pg_wal"]
    scan.assert_absent(secrets_of(host) | needles, allowed=allowed)


@pytest.mark.parametrize("binaries", [npm(12), npm(13), DEBIAN, npm(18)], ids=lambda binaries: str(binaries.major))
def test_statements_with_secrets_are_logged_nowhere(network, binaries):
    host = network.host("h1", "10.20.20.1")
    loud_server(host, binaries)
    scan = SecretScan(network)
    for options in ([], ["--rotate-password"], ["--dry-run"], ["--output", "json"], ["-v", "--rotate-password"]):
        host.standfast("primary", "setup", "-D", host.data, "--standby", STANDBY, "--pg-bin", binaries, *options).expect(0)
    log = (host.cluster_folder / "data.log").read_text()
    assert "statement: " in log and "pg_hba_file_rules" in log, "the server logged nothing, so nothing was proved"
    assert "pg_hba_file_rules" in seen_by_the_server(host)
    assert_no_secret(network, scan, host)


def test_statements_with_secrets_that_fail_are_logged_nowhere(network):
    """A server logs a statement that fails, by log_min_error_statement, however quiet the rest is."""
    host = network.host("h1", "10.20.20.1")
    server = loud_server(host)
    # A hook that takes no verifier whose password it cannot judge: here, one that forbids all writing.
    server.configure(default_transaction_read_only="on").reload()
    server.psql("SELECT pg_sleep(0.2)")
    scan = SecretScan(network)
    given = host.write("given", "of-my-own-choice-24680\n")
    host.standfast("primary", "setup", "-D", host.data, "--standby", STANDBY, "--password-file", given)
    needles = {"of-my-own-choice-24680", "SCRAM-SHA-256$4096:"}
    assert not [needle for needle in needles if needle in (host.cluster_folder / "data.log").read_text()]
    scan.assert_absent(needles, allowed=[given, host.data / "global", host.data / "pg_wal"])


def test_search_finds_a_password_that_is_planted(network):
    """The search above can fail: here is a statement as a careless program would send it."""
    host = network.host("h1", "10.20.20.1")
    loud_server(host)
    host.standfast("primary", "setup", "-D", host.data, "--standby", STANDBY).expect(0)
    secret = min(secrets_of(host), key=len)
    scan = SecretScan(network)
    port, folder = host.server_socket()
    host.run([DEBIAN.program("psql"), "-Xq", "-h", folder, "-p", port, "-d", "postgres"], record=False,
             stdin=f"ALTER ROLE replicator PASSWORD '{secret}';").expect(0)
    assert secret in seen_by_the_server(host)
    with pytest.raises(AssertionError, match="a secret is in:\n(.*\n)*.*data.log"):
        scan.assert_absent(secrets_of(host))
