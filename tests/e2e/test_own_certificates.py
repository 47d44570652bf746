"""A primary with ssl on and a certificate of the administrator's own CA, or one that signed itself: the standby ends
verifying it. What no standby could verify is refused before anything changes."""

import pytest

from harness import steps, tokens
from harness.binaries import DEBIAN, npm
from harness.certificates import Authority, give_certificate
from harness.cluster import Cluster
from harness.state import assert_unchanged, state_of
from harness.waiting import wait_until

CERTIFICATE, USAGE = 17, 2
ADDRESS = "IP:10.20.20.1"


def binaries_of(major):
    return DEBIAN if major == 15 else npm(major)


def set_up(host, *options, **more):
    return host.standfast("primary", "setup", "-D", host.data, "--standby", "10.20.20.2", *options, **more)


def plain(host, major=15):
    return Cluster(host, binaries_of(major)).init().configure(listen_addresses="'*'", ssl="on")


def token_of(host):
    return tokens.decode(next(host.secrets.rglob("pgstandby1.token")).read_text())


def conninfo(host):
    return host.psql("SHOW primary_conninfo")


@pytest.mark.parametrize("major", [12, 15, 18])
def test_seed_whole_with_a_certificate_of_ones_own_ca(pair, major):
    h1, h2 = pair
    server = plain(h1, major)
    root = Authority(h1, key="rsa")
    root.give(h1, ADDRESS, "DNS:h1.example", key="rsa")
    server.start()
    pg_bin = ["--pg-bin", binaries_of(major)]
    before = state_of(h1)
    set_up(h1, *pg_bin).expect_error(CERTIFICATE, "could not verify the certificate", "CN = own root", "--ca-file",
                                     "Nothing was changed")
    assert_unchanged(before, state_of(h1))
    # Read by whoever starts it: it need not be the server's user.
    ca = h1.write("root.crt", root.pem, mode=0o644)
    set_up(h1, "--ca-file", ca, *pg_bin).expect(0)
    before = state_of(h1)
    assert "nothing was changed" in set_up(h1, *pg_bin).expect(0).out  # it is remembered
    assert_unchanged(before, state_of(h1))

    steps.join(h2, steps.carry_token(h1, h2), binaries=binaries_of(major)).expect(0)
    steps.assert_replicates(h1, h2)
    assert h1.psql("SELECT ssl FROM pg_stat_ssl JOIN pg_stat_replication USING (pid)") == "t"
    if major >= 13:
        said = conninfo(h2)
    else:
        said = (h2.data / "postgresql.auto.conf").read_text()
    assert ("sslmode=verify-full" if major >= 15 else "sslmode=verify-ca") in said.replace("'", ""), said
    for host in pair:
        host.standfast("verify", "-D", host.data).expect(0)
        host.standfast("status", "-D", host.data).expect(0)

    # The CA renews it: the standby, which trusts the CA and the name, goes on without a new token.
    root.give(h1, ADDRESS, key="rsa")
    server.reload()
    pid = h1.psql("SELECT pid FROM pg_stat_replication")
    h1.psql(f"SELECT pg_terminate_backend({pid})")
    # Another one: the one that was told to end has the slot for a moment longer.
    wait_until(lambda: h1.psql("SELECT active_pid FROM pg_replication_slots") not in ("", pid), 60, "a sender anew")
    renewed = set_up(h1, "--dry-run", *pg_bin).expect(0)
    assert "token for pgstandby1: renewed" in renewed.out and "the certificate is another now" in renewed.out
    assert "renewed" in set_up(h1, *pg_bin).expect(0).out
    assert "nothing was changed" in set_up(h1, *pg_bin).expect(0).out


@pytest.mark.parametrize("sends", ["intermediate", "all", "nothing"])
def test_chain_with_an_intermediate(pair, sends):
    h1, h2 = pair
    server = plain(h1)
    root = Authority(h1)
    middle = Authority(h1, "own middle", above=root)
    middle.give(h1, ADDRESS, append={"intermediate": [middle], "all": [middle, root], "nothing": []}[sends])
    server.start()
    if sends == "nothing":
        # The root alone does not lead to it.
        set_up(h1, "--ca-file", root.certificate).expect_error(CERTIFICATE, "own middle", "--ca-file has no certificate")
        both = h1.write("both.crt", middle.pem + root.pem)
        set_up(h1, "--ca-file", both).expect(0)
    else:
        set_up(h1, *([] if sends == "all" else ["--ca-file", root.certificate])).expect(0)
    assert ("c" in token_of(h1)) == (sends != "all")
    steps.join(h2, steps.carry_token(h1, h2)).expect(0)
    steps.assert_replicates(h1, h2)
    assert "verify-full" in conninfo(h2)


def test_ca_that_the_server_takes_from_ssl_ca_file_is_sent_by_it(pair):
    h1, h2 = pair
    server = plain(h1)
    root = Authority(h1)
    root.give(h1, ADDRESS)
    server.configure(ssl_ca_file=f"'{root.certificate}'").start()
    set_up(h1).expect(0)
    assert "c" not in token_of(h1)
    assert "nothing was changed" in set_up(h1).expect(0).out
    steps.join(h2, steps.carry_token(h1, h2)).expect(0)
    assert "verify-full" in conninfo(h2)


def test_self_signed_certificate_of_any_name_is_pinned(pair):
    h1, h2 = pair
    server = plain(h1)
    give_certificate(h1, name="some.other.name")
    server.start()
    set_up(h1).expect(0)
    steps.join(h2, steps.carry_token(h1, h2)).expect(0)
    assert "verify-ca" in conninfo(h2)
    steps.assert_replicates(h1, h2)


def other_name(root, host):
    root.give(host, "DNS:db1.example.com")


def expired(root, host):
    root.give(host, ADDRESS, days=0)


def weak(root, host):
    root.give(host, ADDRESS, key="weak")


def for_clients(root, host):
    root.give(host, ADDRESS, usage="clientAuth")


@pytest.mark.parametrize("give,texts", [
    (other_name, ["is for db1.example.com, not for 10.20.20.1", "--advertise db1.example.com"]),
    (expired, ["not valid today", "expired", "Renew it"]),
    (weak, ["would not take the certificate", "key too weak"]),
    (for_clients, ["would not take the certificate", "purpose"]),
], ids=lambda value: getattr(value, "__name__", ""))
def test_certificate_that_no_standby_would_take_is_refused_before_anything_changes(pair, give, texts):
    h1, _ = pair
    server = plain(h1)
    root = Authority(h1)
    root.give(h1, ADDRESS)
    server.start()
    give(root, h1)
    server.reload()
    before = state_of(h1)
    for mode in (["--dry-run"], []):
        set_up(h1, "--ca-file", root.certificate, *mode).expect_error(CERTIFICATE, *texts, "hint: ", "Nothing was changed")
    assert_unchanged(before, state_of(h1))


def test_certificate_that_was_not_loaded_yet_is_loaded_for_the_token(pair):
    h1, h2 = pair
    server = plain(h1)
    give_certificate(h1)
    server.start()
    set_up(h1).expect(0)
    first = token_of(h1)["f"]
    give_certificate(h1)  # and no reload
    set_up(h1).expect(0)
    assert token_of(h1)["f"] != first
    steps.join(h2, steps.carry_token(h1, h2)).expect(0)
    steps.assert_replicates(h1, h2)


def test_file_that_is_no_certificate_is_refused(pair):
    h1, _ = pair
    plain(h1).configure(ssl="off").start()
    for text in ("", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        set_up(h1, "--ca-file", h1.write("ca.crt", text)).expect_error(USAGE, "holds no certificate", "hint: ")
    set_up(h1, "--ca-file", h1.folder / "missing").expect_error(12, "missing")
