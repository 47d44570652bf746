"""SIGHUP: users, certificate and key of a server of WAL are read again; what streams goes on."""

import signal

from harness.binaries import DEBIAN
from harness.certificates import give_certificate
from harness.clones import PASSWORD, primary_by_hand
from harness.waiting import wait_until
from harness.wal import make_wal_folder, users_file
from harness.witness import NAME, Witness

NEW_PASSWORD = "another: one"


def login(witness, host, password, certificate):
    return host.run([DEBIAN.program("psql"), "-XAt", "-c", "IDENTIFY_SYSTEM",
                     f"host={witness.host.address} port={witness.port} user=replicator replication=true sslmode=verify-ca "
                     f"sslrootcert={certificate}"], env={"PGPASSWORD": password})


def set_password(primary, password):
    port, socket_folder = primary.host.server_socket(primary.data)
    primary.host.run([DEBIAN.program("psql"), "-Xq", "-h", socket_folder, "-p", port, "-d", "postgres", "-v", "ON_ERROR_STOP=1"],
                     stdin=f"SET password_encryption = 'scram-sha-256';\nALTER ROLE replicator PASSWORD '{password}';\n",
                     record=False).expect(0)


def test_users_and_certificate_are_replaced_while_a_client_streams(network):
    h1, h2, h3 = (network.host(f"h{i}", f"10.20.20.{i}") for i in (1, 2, 3))
    primary = primary_by_hand(h1, DEBIAN, "--wal-segsize=1")
    primary.psql(f"SELECT pg_create_physical_replication_slot('{NAME}', true)")
    tls = h3.folder / "tls"
    h3.run(["mkdir", "-m", "755", tls], user="root").expect(0)
    h3.run(["chown", "postgres", tls], user="root").expect(0)
    give_certificate(h3, tls, "h3")
    old_certificate = h3.write("old.crt", (tls / "server.crt").read_text(), mode=0o644)
    witness = Witness(h3, primary, "--tls-cert", tls / "server.crt", "--tls-key", tls / "server.key").start()
    witness.streams_from(primary)

    def reload(wanted):
        before = (witness.running.out + witness.running.err).count(wanted)
        witness.running.signal(signal.SIGHUP)
        wait_until(lambda: (witness.running.out + witness.running.err).count(wanted) > before, 60, wanted)

    login(witness, h2, PASSWORD, old_certificate).expect(0)
    folder = make_wal_folder(h2)
    streaming = h2.start([DEBIAN.program("pg_receivewal"), "-d", f"host={h3.address} port={witness.port} user=replicator "
                          f"sslmode=verify-ca sslrootcert={old_certificate}", "-w", "-D", folder, "-n"],
                         env={"PGPASSWORD": PASSWORD})
    wait_until(lambda: list(folder.iterdir()), 60, "a stream")

    set_password(primary, NEW_PASSWORD)
    users_file(h3, primary)
    give_certificate(h3, tls, "h3")
    login(witness, h2, PASSWORD, old_certificate).expect(0)  # not before it is told
    reload("read again")
    login(witness, h2, NEW_PASSWORD, tls / "server.crt").expect(0)
    login(witness, h2, PASSWORD, tls / "server.crt").expect_error(2, "password authentication failed")
    login(witness, h2, NEW_PASSWORD, old_certificate).expect_error(2, "certificate verify failed")

    # What cannot be used changes nothing, and is said.
    for path, content, said in ((witness.users, "replicator:md5abc\n", "is not a role, a colon and a SCRAM verifier"),
                                (tls / "server.key", "no key\n", "server.key")):
        good = path.read_text()
        path.write_text(content)
        reload(said)
        login(witness, h2, NEW_PASSWORD, tls / "server.crt").expect(0)
        path.write_text(good)

    # The old stream, with the old certificate and password, has gone on all the while.
    primary.psql("CREATE TABLE t AS SELECT i, repeat(md5(i::text), 30) AS x FROM generate_series(1, 5000) i")
    last = primary.psql("SELECT pg_walfile_name(pg_switch_wal())")
    wait_until(lambda: (folder / last).exists(), 60, f"{last} on the client")
    assert streaming.alive
    streaming.signal(signal.SIGINT)
    streaming.wait(60)
    # The witness logs in at the primary with its own password, and is told of none.
    witness.running.signal(signal.SIGTERM)
    result = witness.running.wait(60)
    assert PASSWORD not in result.out + result.err and NEW_PASSWORD not in result.out + result.err
