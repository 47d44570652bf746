"""Setup, join, status and verify on each major version, run as the server's own user."""

from harness import steps
from harness.cluster import wait_for_replay


def test_setup_join_status_verify(pair, binaries):
    h1, h2 = pair
    setup = steps.set_up_primary(h1, h2, binaries=binaries)
    assert "standfast join -D" in setup.out
    h1.psql("CREATE TABLE before_the_clone AS SELECT generate_series(1, 1000) AS i")

    steps.join(h2, steps.carry_token(h1, h2), binaries=binaries).expect(0)

    assert h1.psql("SHOW server_version_num")[:2] == str(binaries.major)
    steps.assert_replicates(h1, h2)
    h1.psql("INSERT INTO before_the_clone VALUES (1001)")
    wait_for_replay(h1, h2)
    assert h2.psql("SELECT count(*) FROM before_the_clone") == "1001"
    for host in pair:
        host.standfast("status", "-D", host.data).expect(0)
        roles = [member["role"] for member in host.standfast("status", "-D", host.data, "--output", "json").expect(0)
                 .json()["members"]]
        assert sorted(roles) == ["primary", "standby"]
        detail = host.standfast("status", "-D", host.data, "--detail").expect(0).out
        assert ("pg_stat_replication" if host is h1 else "pg_stat_wal_receiver") in detail
        host.standfast("verify", "-D", host.data).expect(0)
        steps.assert_nothing_lies_around(host)


def test_second_setup_changes_nothing(pair, binaries):
    h1, h2 = pair
    steps.set_up_primary(h1, h2, binaries=binaries)

    def state():
        files = {name: (h1.data / name).read_bytes()
                 for name in ("pg_hba.conf", "postgresql.conf", "postgresql.auto.conf", "postmaster.pid")}
        secrets = {path: path.read_bytes() for path in h1.secrets.rglob("*") if path.is_file()}
        roles = h1.psql("SELECT rolname, rolpassword FROM pg_authid ORDER BY 1")
        return files, secrets, roles, sorted(path.name for path in h1.data.iterdir())

    before = state()
    second = steps.set_up_primary(h1, h2, binaries=binaries)
    assert state() == before
    assert "nothing" in second.out.lower()


def test_dry_run_makes_nothing(pair):
    h1, h2 = pair
    steps.set_up_primary(h1, h2, "--dry-run")
    assert not h1.data.exists() and not h1.secrets.exists()
