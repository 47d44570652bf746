"""What a command may change on a host and its server, taken as one value, so that a test can say: nothing changed."""

import hashlib
import stat

_SQL = {
    "roles": "SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, "
             "rolconnlimit, md5(rolpassword), rolvaliduntil FROM pg_authid ORDER BY 1",
    "memberships": "SELECT roleid::regrole, member::regrole FROM pg_auth_members ORDER BY 1, 2",
    "role settings": "SELECT setdatabase, setrole, setconfig FROM pg_db_role_setting ORDER BY 1, 2",
    "databases": "SELECT datname, datdba::regrole, datacl FROM pg_database ORDER BY 1",
    "slots": "SELECT slot_name, slot_type, restart_lsn IS NULL FROM pg_replication_slots ORDER BY 1",
    "settings": "SELECT name, setting, pending_restart FROM pg_settings WHERE source IN ('configuration file', "
                "'command line') OR pending_restart ORDER BY 1",
    "start": "SELECT pg_postmaster_start_time()",
    "rules": "SELECT type, database, user_name, address, netmask, auth_method, options, error FROM pg_hba_file_rules "
             "ORDER BY line_number",
}


def _of_file(path):
    info = path.lstat()
    if stat.S_ISDIR(info.st_mode):  # its names tell what changed; a file that came and went is none
        return f"{stat.S_IMODE(info.st_mode):o} {info.st_uid}:{info.st_gid}"
    content = hashlib.sha256(path.read_bytes()).hexdigest()[:12] if stat.S_ISREG(info.st_mode) else None
    return f"{stat.S_IMODE(info.st_mode):o} {info.st_uid}:{info.st_gid} {info.st_mtime_ns} {content}"


def files_of(host, data=None):
    """The configuration, every name in the data directory, and all of Standfast's own folder."""
    data = data or host.data
    state = {f"file {path.name}": _of_file(path) for pattern in ("*.conf*", "*.crt", "*.key", "*.signal", "PG_VERSION",
                                                                 "postmaster.pid")
             for path in data.glob(pattern)}
    state["names"] = sorted(path.name for path in data.iterdir()) if data.exists() else None
    state["names beside"] = sorted(path.name for path in host.cluster_folder.iterdir())
    for path in [host.secrets, *host.secrets.rglob("*")] if host.secrets.exists() else []:
        state[f"secret {path.relative_to(host.home)}"] = _of_file(path)
    return state


def state_of(host, data=None):
    """That, and what the running server says of itself. No secret is in it, only hashes."""
    # Each query may have any columns: its rows are taken as text, all in one statement.
    parts = (f"SELECT '{name}' AS part, string_agg(row::text, E'\\n') AS rows FROM ({sql}) AS row"
             for name, sql in _SQL.items())
    parts = {row["part"]: row["rows"] for row in host.rows(" UNION ALL ".join(parts), data=data)}
    assert parts.keys() == _SQL.keys()
    return {**files_of(host, data), **parts}


def differences(before, after):
    return [f"{name}: {before.get(name)!r} -> {after.get(name)!r}" for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)]


def assert_unchanged(before, after, but=()):
    """Nothing differs but the parts named."""
    changed = [line for line in differences(before, after) if line.split(":")[0] not in but]
    assert not changed, "changed:\n" + "\n".join(changed)
