"""Clusters as the packages lay them out: Debian's, with the configuration in /etc, and PGDG's, with a systemd unit.
Where a cluster is found without being named, by what it is started, and what of its host a standby keeps."""




import pytest

from harness import steps
from harness.binaries import DEBIAN
from harness.cluster import Cluster, wait_for_replay
from harness.waiting import wait_until

AS_ROOT = {"user": "root", "env": {"STANDFAST_HOME": None}}
AS_OWNER = {"user": "postgres", "env": {"STANDFAST_HOME": None}}
MAIN = "/var/lib/postgresql/15/main"
USAGE = 2


def make_cluster(host, name="main", *options, start=False):
    """As the package makes it; nothing of it is prepared for replication."""
    host.run(["pg_createcluster", *options, "15", name]).expect(0)
    if start:
        host.run(["pg_ctlcluster", "15", name, "start"]).expect(0)
    return host.home / "15" / name


def etc(host, name="main"):
    return host.folder / "etc" / "15" / name


def lsclusters(host):
    """Debian's own list: name, port, status."""
    lines = host.run(["pg_lsclusters", "-h"]).expect(0).out.splitlines()
    return [tuple(line.split()[1:4]) for line in lines]


def carry_token(h1, h2, user="postgres"):
    (token,) = h1.secrets.rglob("pgstandby1.token")
    return h2.write("token", token.read_text(), user=user)


# ---------------------------------------------------------------- Debian


@pytest.mark.parametrize("who", [AS_ROOT, AS_OWNER], ids=["root", "postgres"])
def test_seed_on_debian_without_naming_a_directory(pair, who):
    """The whole way: pg_createcluster's cluster on the one side, nothing on the other, and no -D anywhere."""
    h1, h2 = pair
    data = make_cluster(h1, start=True)
    hba_before = (etc(h1) / "pg_hba.conf").read_text()
    setup = h1.standfast("primary", "setup", "--standby", h2.address, "--restart", timeout=90, **who).expect(0)
    assert f"found PostgreSQL 15 (Debian's 15/main) in {MAIN}, port 5432, running" in setup.out
    assert (etc(h1) / "pg_hba.conf").read_text().startswith(hba_before)
    assert not (data / "pg_hba.conf").exists()
    h1.psql("ALTER SYSTEM SET max_connections = 137", data=data)
    h1.psql("ALTER SYSTEM SET max_worker_processes = 11", data=data)
    h1.run(["pg_ctlcluster", "15", "main", "restart"]).expect(0)

    token = carry_token(h1, h2)
    planned = h2.standfast("join", "--token-file", token, "--dry-run", **who).expect(0)
    assert "would make it Debian's cluster 15/main: /usr/bin/pg_createcluster" in planned.out
    assert lsclusters(h2) == [] and not (h2.home / "15").exists()
    joined = h2.standfast("join", "--token-file", token, timeout=120, **who).expect(0)
    assert f"the cluster is Debian's 15/main, in {MAIN}" in joined.out
    assert "started with: pg_ctlcluster 15 main start" in joined.out

    standby = h2.home / "15" / "main"
    assert h2.psql("SELECT status FROM pg_stat_wal_receiver", data=standby) == "streaming"
    assert h2.psql("SHOW config_file", data=standby) == "/etc/postgresql/15/main/postgresql.conf"
    assert h2.psql("SHOW hba_file", data=standby) == "/etc/postgresql/15/main/pg_hba.conf"
    assert lsclusters(h2) == [("main", "5432", "online,recovery")]
    assert (etc(h2) / "start.conf").read_text().strip().endswith("auto")
    assert "standfast" not in (etc(h2) / "pg_hba.conf").read_text()
    assert h2.psql("SHOW max_connections", data=standby) == "137"
    assert h2.psql("SHOW max_worker_processes", data=standby) == "11"
    assert sorted(path.name for path in standby.parent.iterdir()) == ["main"]

    # As an init script does after a reboot: Debian's own programs stop it and start it again.
    h2.run(["pg_ctlcluster", "15", "main", "stop"]).expect(0)
    h2.standfast("standby", "start", **who).expect(0)
    h2.standfast("verify", **who).expect(0)
    assert h2.standfast("status", "--output", "json", **who).expect(0).json()["members"]
    h2.standfast("standby", "stop", **who).expect(0)
    assert lsclusters(h2) == [("main", "5432", "down,recovery")]
