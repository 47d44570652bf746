"""What the tests of clone and join share: a primary as an administrator made it by hand, the clone command as the
seed types it, and how to see that nothing was changed or left."""

import hashlib
import stat

from harness.binaries import DEBIAN
from harness.cluster import Cluster
from harness.steps import SLOT
from harness.waiting import wait_until

PASSWORD = "b0rrowed:pass\\word"  # with the two characters that a passfile has to escape
JOURNAL = "data.standfast-clone.json"  # what a clone notes beside its target for the run after a killed one
LOCK = "data.standfast-lock"  # what it holds while it is at work; a killed one leaves the file, unlocked
_HBA = """\
local all all trust
hostssl replication replicator samenet scram-sha-256
hostnossl replication replicator samenet scram-sha-256
host all all samenet scram-sha-256
"""


def primary_by_hand(host, binaries=DEBIAN, *init_options, data=None, **settings):
    """The seed's part one without Standfast: a role, its pg_hba.conf line, a server that listens."""
    primary = Cluster(host, binaries, data).init("-k", *init_options)
    primary.configure(listen_addresses="'*'", **settings)
    (primary.data / "pg_hba.conf").write_text(_HBA)
    primary.start()
    # Through standard input, so that the test's own record of commands does not have the password.
    port, socket_folder = host.server_socket(primary.data)
    host.run([DEBIAN.program("psql"), "-Xq", "-h", socket_folder, "-p", port, "-d", "postgres", "-v", "ON_ERROR_STOP=1"],
             stdin="SET password_encryption = 'scram-sha-256';\n"
                   f"CREATE ROLE replicator LOGIN REPLICATION PASSWORD '{PASSWORD}';\n").expect(0)
    primary.psql("CHECKPOINT")
    return primary


def clone_arguments(source, target, *options):
    """`standby clone` of one host's server into a data directory of another, as pg_basebackup's user would type it,
    but for the checkpoint: a spread one, which is the default, costs seconds even when there is nothing to write."""
    return ["standby", "clone", "-h", source.address, "-U", "replicator", "-D", target.data, "-c", "fast", *options]


def clone_environment(password=PASSWORD):
    return {"PGPASSWORD": password}


def clone(source, target, *options, password=PASSWORD, timeout=180, **how):
    return target.standfast(*clone_arguments(source, target, *options), env=clone_environment(password),
                            timeout=timeout, **how)


def start_clone(source, target, *options, password=PASSWORD):
    """The same, not waited for."""
    return target.start(target.standfast_command(*clone_arguments(source, target, *options)),
                        env=clone_environment(password))


def fill(primary, megabytes, table="filler"):
    """A table of about that size, so that a copy takes long enough to be caught in the middle."""
    primary.psql(f"CREATE TABLE {table} AS SELECT i, repeat(md5(i::text), 30) AS t "
                 f"FROM generate_series(1, {megabytes * 1024}) AS i")
    primary.psql("CHECKPOINT")


def staging(host):
    """Names beside the data directory that are neither it nor a server's log."""
    if not host.cluster_folder.exists():
        return []
    return sorted(path.name for path in host.cluster_folder.iterdir()
                  if path.name != host.data.name and not path.name.endswith(".log"))


def size_of(folder):
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:
            pass  # being written under another name
    return total


def wait_until_copying(running, host, at_least=4 << 20):
    """Waits until a clone that was started has written some of its files into a staging folder."""
    def copying():
        assert running.alive, f"the clone ended early:\n{running.wait()}"
        return [name for name in staging(host) if size_of(host.cluster_folder / name) >= at_least]

    return wait_until(copying, 60, "a staging folder with files in it")[0]


def slots(primary):
    """Every slot by name, and whether it is temporary and active."""
    return {row["slot_name"]: (row["temporary"], row["active"]) for row in
            primary.rows("SELECT slot_name, temporary, active FROM pg_replication_slots")}


def wait_for_slots(primary, expected):
    """For after a client has gone without a word: the server notices that a little later."""
    wait_until(lambda: slots(primary) == expected, 60, f"slots {expected}, not {slots(primary)}")


def tree(folder):
    """Every name under a folder with what can be told of it, so that two looks can be compared."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))] if folder.exists() or folder.is_symlink() else []:
        info = path.lstat()
        content = ""
        if stat.S_ISREG(info.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        elif stat.S_ISLNK(info.st_mode):
            content = str(path.readlink())
        found[str(path.relative_to(folder))] = f"{info.st_mode:o} {info.st_uid}:{info.st_gid} {content}"
    return found


def folders(data):
    """Every directory of a cluster with its mode, those left out in which a copy has nothing or something new."""
    return {str(path.relative_to(data)): f"{stat.S_IMODE(path.stat().st_mode):o}" for path in data.rglob("*")
            if path.is_dir() and path.name != "pgsql_tmp"
            and path.relative_to(data).parts[0] not in ("pg_replslot", "pg_tblspc", "log")}


def verify_backup(host, *options, data=None):
    """pg_verifybackup, which knows nothing of Standfast, judges a clone that was never started."""
    host.run([DEBIAN.program("pg_verifybackup"), *options, data or host.data]).expect(0)


def assert_streams(primary, host, binaries=DEBIAN, slot=SLOT):
    """Starts the clone and waits until it receives from the primary what is written there now."""
    standby = Cluster(host, binaries).start()
    assert standby.psql("SELECT pg_is_in_recovery()") == "t"
    wait_until(lambda: standby.psql("SELECT status FROM pg_stat_wal_receiver") == "streaming", 60, "a stream")
    assert standby.psql("SELECT coalesce(slot_name, '') FROM pg_stat_wal_receiver") == slot
    primary.psql("CREATE TABLE arrives AS SELECT 42 AS answer")
    lsn = primary.psql("SELECT pg_current_wal_lsn()")
    wait_until(lambda: standby.psql(f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'::pg_lsn") == "t", 60, "the replay")
    assert standby.psql("SELECT answer FROM arrives") == "42"
    return standby
