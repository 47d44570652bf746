"""Disks that fail under `wal receive` and `witness`: nothing is acknowledged after the fault, the process ends and says
why, and the next start trusts nothing that it has not proven."""

import re

import pytest

from harness.binaries import DEBIAN
from harness.clones import PASSWORD, primary_by_hand
from harness.syscall_trace import most_that_is_durable, tracer
from harness.waiting import wait_until
from harness.wal import make_wal_folder
from harness.witness import NAME, Witness, assert_same_segments

DISK_FULL, IO = 11, 12
SEGMENT_BYTES = 1 << 20


def position(lsn):
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)


class Receiver:
    """`wal receive` with the handles of Witness."""

    def __init__(self, host, primary):
        self.host, self.folder = host, make_wal_folder(host)
        self.command = host.standfast_command("wal", "receive", "-h", primary.host.address, "-U", "replicator", "-D", self.folder,
                                              "-S", NAME, "--synchronous")


class Faults:
    """One of the two programs, and a primary whose slot says what was acknowledged."""

    def __init__(self, pair, program):
        self.h1, self.h2 = pair
        self.primary = primary_by_hand(self.h1, DEBIAN, f"--wal-segsize={SEGMENT_BYTES >> 20}", wal_keep_size="'1GB'")
        self.primary.psql(f"SELECT pg_create_physical_replication_slot('{NAME}', true)")
        self.program = program(self.h2, self.primary)
        self.folder = self.program.folder
        self._traces = 0

    def start(self, fault=None):
        self._traces += 1
        self.trace_file = self.folder.parent / "tmp" / f"trace{self._traces}"
        return self.h2.start([*tracer(self.trace_file, fault), *self.program.command], env={"PGPASSWORD": PASSWORD})

    def trace(self):
        return self.trace_file.read_text(errors="replace")

    def write(self, megabytes):
        for _ in range(megabytes):
            self.primary.psql("INSERT INTO t SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 1000) i")

    def acknowledged(self):
        return position(self.primary.psql(f"SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = '{NAME}'"))

    def wait_until_acknowledged(self):
        end = position(self.primary.psql("SELECT pg_current_wal_flush_lsn()"))
        wait_until(lambda: self.acknowledged() >= end, 120, "all WAL to be acknowledged")


@pytest.mark.parametrize("program, fault, code, said", [
    (Witness, ("fdatasync", "EIO", "30"), IO, "Input/output error"),  # once: the next would succeed, and mean nothing
    (Witness, ("fsync", "EIO", "8"), IO, "Input/output error"),
    (Witness, ("pwrite64", "ENOSPC", "20"), DISK_FULL, "No space left"),
    (Receiver, ("fdatasync", "EIO", "30"), IO, "Input/output error"),
], ids=["witness-fdatasync", "witness-fsync", "witness-write", "receive-fdatasync"])
def test_nothing_is_acknowledged_after_a_fault(pair, program, fault, code, said):
    faults = Faults(pair, program)
    faults.primary.psql("CREATE TABLE t (i int, x text)")
    running = faults.start(fault)
    writer = faults.h1.start([DEBIAN.program("psql"), "-Xq", "-h", "/tmp", "-U", "postgres", *(
        word for _ in range(40) for word in ("-c", "INSERT INTO t SELECT i, repeat(md5(i::text), 30) FROM "
                                                   "generate_series(1, 1000) i"))])
    writer.wait(120).expect(0)
    # With a slow disk one sync may have been for much of that, and the one that fails is still to come.
    wait_until(lambda: not running.alive or faults.write(1), 120, "the fault")
    ended = running.wait()
    assert ended.code == code and said in ended.err, ended
    assert "(INJECTED)" in faults.trace()
    wait_until(lambda: faults.primary.psql("SELECT count(*) FROM pg_stat_replication") == "0", 60, "the stream's end")
    before = faults.acknowledged()
    assert 0 < before <= most_that_is_durable(faults.trace(), SEGMENT_BYTES)

    # A start that cannot prove its tail does not come as far as the primary.
    refused = faults.start(("fsync", "EIO", "1+")).wait(120)
    assert refused.code == IO and "Input/output error" in refused.err, refused
    assert faults.acknowledged() == before

    # One that can reads it from the device, and goes on at or behind what was acknowledged.
    running = faults.start()
    wait_until(lambda: "starting log streaming at" in running.out + running.err, 60, "the stream")
    trace = faults.trace()
    synced = re.search(r"fsync\(\d+<[^>]*\.partial>\)\s+= 0", trace)
    read = re.search(r"openat\(.*\.partial.*O_RDONLY.*O_DIRECT|openat\(.*standfast\.anew", trace)
    assert synced.start() < read.start(), "fsynced, then read from the device, or written anew"
    resumed = next(line for line in (running.out + running.err).splitlines() if "starting log streaming at" in line)
    assert position(resumed.split(" at ")[1].split()[0]) >= before
    faults.write(2)
    faults.wait_until_acknowledged()
    # strace lets no signal through to itself.
    faults.h2.run(["pkill", "-TERM", "-P", running.pid], user="root").expect(0)
    running.wait(120).expect(0)
    assert assert_same_segments(faults.primary, faults.folder) > 30
