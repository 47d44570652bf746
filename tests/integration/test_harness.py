"""The harness itself: hosts come and go, servers run on them, and nothing is left."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness import old_server, sweep
from harness.binaries import DEBIAN, npm
from harness.cluster import Cluster, wait_for_replay
from harness.load import Pgbench, pgbench_init, table_sums
from harness.network import Network
from harness.secret_scan import SecretScan
from harness.state import assert_unchanged, state_of
from harness.waiting import wait_until


@pytest.mark.parametrize("major", [12, 18])
def test_servers_on_two_hosts_use_the_same_port_and_see_each_other(pair, major):
    h1, h2 = pair
    for host in pair:
        cluster = Cluster(host, npm(major)).init().configure(listen_addresses="'*'")
        (cluster.data / "pg_hba.conf").write_text("local all all trust\nhost all all samenet trust\n")
        cluster.start().psql(f"CREATE DATABASE only_on_{host.name}")
    for address in (h2.address, h2.address6):
        h1.run([DEBIAN.program("psql"), "-h", address, "-c", "SELECT 1", "only_on_h2"]).expect(0)
    assert h1.rows("SELECT 7 AS seven, 'a,b' AS text") == [{"seven": "7", "text": "a,b"}]
    h1.run([DEBIAN.program("psql"), "-h", h2.address, "-c", "SELECT 1", "only_on_h1"]).expect(2)


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"  # Z: only to be reaped yet
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_teardown_leaves_nothing(tmp_path):
    network = Network(tmp_path / "log")
    host = network.host("h1", "10.20.20.1")
    host.tmpfs(host.folder / "small", 8)
    Cluster(host, npm(18)).init().start()
    sleep = host.start(["sleep", "1000"], user="root")
    wait_until(lambda: Path(f"/proc/{sleep.pid}/comm").read_text() == "sleep\n", 30, "the program in its namespaces")
    pids = sweep.pids_in(network.namespaces)
    assert len(pids) > 5 and sleep.pid in pids
    network.close()
    assert not [pid for pid in pids if running(pid)]
    assert network.name not in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert not sweep.mounts_under(network.folder) and not network.folder.exists()


def test_what_a_killed_run_left_is_swept_up(tmp_path):
    program = (f"import os, sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r}); from pathlib import Path; "
               "from harness.network import Network; n = Network(Path(sys.argv[1])); h = n.host('h1', '10.20.20.1'); "
               "h.start(['sleep', '1000']); print(n.name, flush=True); os.kill(os.getpid(), 9)")
    name = subprocess.run([sys.executable, "-c", program, tmp_path / "log"], capture_output=True, text=True,
                          check=False).stdout.strip()
    assert (sweep.FOLDER / name).exists()
    wait_until(lambda: sweep.pids_in([f"{name}-h1"]), 30, "what it started, in its namespace")
    sweep.remove_orphans()
    assert not (sweep.FOLDER / name).exists() and not list(sweep.NETNS.glob(f"{name}-*"))


def test_host_has_its_own_name_home_and_user(pair):
    host = pair[0]
    result = host.run(["sh", "-c", "hostname; id -un; cd; touch here; ls /tmp /etc/postgresql"], env={"X": None})
    assert result.expect(0).out.splitlines() == ["h1", "postgres", "/etc/postgresql:", "", "/tmp:"]
    assert (host.home / "here").exists()
    assert host.run(["sh", "-c", "id -un; cat; exit 3"], user="root", stdin="in").expect(3).out == "root\nin"


def test_unplugged_host_is_out_of_reach_and_comes_back(network, pair):
    h1, h2 = pair
    server = h2.start([sys.executable, "-m", "http.server", "--bind", "0.0.0.0", "8000"])

    def reached():
        probe = f"import socket; socket.create_connection(('{h2.address}', 8000), 1)"
        return h1.run([sys.executable, "-c", probe]).code == 0

    wait_until(reached, 30, "the server of h2")
    network.link_down(h2)
    assert not reached() and server.alive
    network.link_up(h2)
    wait_until(reached, 30, "the server of h2 after its link came back")


def test_terminal_reads_a_secret_without_echo(pair):
    program = "import getpass; print('got ' + str(len(getpass.getpass('token: '))))"
    terminal = pair[0].terminal([sys.executable, "-c", program])
    terminal.expect("token: ")
    terminal.send_line("hushhush")
    terminal.expect(r"got (\d)")
    assert "hushhush" not in terminal.finish().expect(0).out
    interrupted = pair[0].terminal(["sh", "-c", "echo ready; exec sleep 1000"])
    interrupted.expect("ready")
    interrupted.interrupt()
    interrupted.finish().expect(-2)


def test_old_server_says_its_version(pair):
    program = pair[0].write("old_server.py", Path(old_server.__file__).read_text(), mode=0o644)
    server = pair[0].start([sys.executable, program, 5432])
    wait_until(lambda: "listening" in server.out, 60, "the old server")
    psql = [DEBIAN.program("psql"), "-h", pair[0].address, "-d", "postgres"]
    assert old_server.VERSION in pair[1].run([*psql, "-c", "\\conninfo", "-c", "SHOW server_version"]).expect(0).out
    pair[1].run([*psql, "-c", "SELECT 1"]).expect_error(1, "only says its version")


def test_secret_is_found_wherever_it_leaks(network, pair):
    def scan_of_all():
        scan = SecretScan(network)
        wait_until(lambda: scan.rounds > 1, 30, "every process seen")
        return scan

    def leaks(secret):
        scan = scan_of_all()
        with pytest.raises(AssertionError, match="a secret is in"):
            scan.assert_absent([secret])

    pair[0].start(["sleep", "1000"], env={"PASSWORD": "in-environment"})
    pair[0].start(["sh", "-c", "sleep 1000 # in-arguments"])
    wait_until(lambda: len(sweep.pids_in([pair[0].namespace])) >= 2, 30, "both in their namespace")
    pair[1].write("pg/server.log", "first line\nin-a-file\n")
    pair[1].run(["echo", "in-an-output"])
    for secret in ("in-environment", "in-arguments", "in-a-file", "in-an-output"):
        leaks(secret)
    pair[1].run(["echo", "shown-on-purpose"[:-1] + "e"], record=False)
    scan_of_all().assert_absent(["never-anywhere"])


def test_load_runs_and_sums_tell_rows_apart(pair):
    h1, h2 = pair
    primary = Cluster(h1, DEBIAN).init().configure(listen_addresses="'*'").start()
    (primary.data / "pg_hba.conf").write_text("local all all trust\nhost all all samenet trust\n"
                                              "host replication all samenet trust\n")
    primary.reload()
    pgbench_init(h1)
    h2.run([DEBIAN.program("pg_basebackup"), "-h", h1.address, "-D", h2.data, "-R", "-c", "fast"]).expect(0)
    standby = Cluster(h2, DEBIAN).start()
    load = Pgbench(h1)
    assert load.stop() > 0
    wait_for_replay(primary, standby)
    sums = table_sums(h1)
    assert sums == table_sums(h2) and sums["pgbench_accounts"][0] == 100_000
    primary.psql("UPDATE pgbench_tellers SET tbalance = tbalance + 1 WHERE tid = 1")
    assert table_sums(h1) != sums


def test_damaged_page_is_noticed_by_the_server(pair):
    cluster = Cluster(pair[0], DEBIAN).init("-k").start()
    cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS i")
    cluster.damage_page("t")
    cluster.restart()
    with pytest.raises(AssertionError, match="invalid page in block 0"):
        cluster.psql("SELECT sum(i) FROM t")


def test_state_tells_every_change(pair):
    host = pair[0]
    cluster = Cluster(host, DEBIAN).init().start()
    before = state_of(host)
    assert_unchanged(before, state_of(host))
    changes = {
        "roles": lambda: cluster.psql("ALTER ROLE postgres PASSWORD 'another'"),
        "databases": lambda: cluster.psql("CREATE DATABASE more"),
        "slots": lambda: cluster.psql("SELECT pg_create_physical_replication_slot('more')"),
        "settings": lambda: (cluster.psql("ALTER SYSTEM SET work_mem = '7MB'"),
                             cluster.psql("SELECT pg_reload_conf(), pg_sleep(0.3)")),
        "start": cluster.restart,
        "file pg_hba.conf": lambda: (host.data / "pg_hba.conf").touch(),
        "names": lambda: (host.data / "pg_hba.conf.copy").touch(),
        "secret .standfast": host.secrets.mkdir,
    }
    for part, change in changes.items():
        before = state_of(host)
        change()
        with pytest.raises(AssertionError, match=f"changed:\n(.*\n)*{part}: "):
            assert_unchanged(before, state_of(host))
