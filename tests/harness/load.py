"""Load on a primary, and the proof that both sides have the same rows after it."""

import re
import signal

from harness.binaries import DEBIAN
from harness.waiting import wait_until

_PGBENCH = DEBIAN.program("pgbench") if DEBIAN.bin_dir.exists() else "pgbench"


def pgbench_init(host, *, database="postgres", scale=1, data=None):
    port, socket_folder = host.server_socket(data)
    host.run([_PGBENCH, "-i", "-q", "-s", scale, "-h", socket_folder, "-p", port, database], timeout=300).expect(0)


class Pgbench:
    """pgbench's own transactions in the background, from construction until `stop`."""

    def __init__(self, host, *, database="postgres", clients=4, seconds=300, data=None):
        port, socket_folder = host.server_socket(data)
        self._host, self._database, self._data = host, database, data
        self._before = self._transactions()
        self._running = host.start([_PGBENCH, "-n", "-c", clients, "-T", seconds, "-h", socket_folder, "-p", port,
                                    database])
        wait_until(lambda: self.transactions > 0, 60, "the load's first transaction")

    def _transactions(self):
        return int(self._host.psql("SELECT count(*) FROM pgbench_history", database=self._database, data=self._data))

    @property
    def transactions(self):
        return self._transactions() - self._before

    def stop(self):
        """Ends it, and what its server still does for it, and returns how many transactions it committed; fails if it had
        already died."""
        assert self._running.alive, f"the load ended by itself:\n{self._running.wait()}"
        self._running.signal(signal.SIGINT)
        result = self._running.wait(60)
        assert not re.search(r"(?m)^pgbench: (error|fatal)", result.err), result
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'"
        wait_until(lambda: self._host.psql(sessions, data=self._data) == "0", 60, "the end of what was begun")
        return self.transactions


def table_sums(host, database="postgres", data=None):
    """For every ordinary table of a database: how many rows, and a sum over the text of all of them."""
    tables = host.psql("SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                       "WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname !~ '^pg_' "
                       "AND n.nspname <> 'information_schema' ORDER BY 1", database=database, data=data).splitlines()
    sums = {}
    for table in tables:
        row = host.psql(f"SELECT count(*), coalesce(sum(hashtext(t::text)::bigint), 0) FROM {table} t",
                        database=database, data=data, timeout=300)
        sums[table] = tuple(map(int, row.split("|")))
    return sums
