"""What a witness keeps: for its slots up to their bound, by size, by time, and whatever no standby is known to have. It
looks at what may go when it starts, and each half minute."""

import os
import re
import time

import pytest

from harness.binaries import DEBIAN
from harness.clones import PASSWORD, primary_by_hand
from harness.waiting import wait_until
from harness.wal import make_wal_folder, receive
from harness.witness import NAME, Witness, wal_names

HOUR = 3600


class Keeping:
    """A witness of a primary with segments of a megabyte, and what its clients do."""

    def __init__(self, pair):
        self.h1, self.h2 = pair
        self.primary = primary_by_hand(self.h1, DEBIAN, "--wal-segsize=1", autovacuum="off", checkpoint_timeout="'1h'")
        self.primary.psql(f"SELECT pg_create_physical_replication_slot('{NAME}', true)")
        self.witness = Witness(self.h2, self.primary)

    def start(self, **keep):
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in keep.items()]
        self.witness.start(*flags)
        self.witness.streams_from(self.primary)

    def write(self, megabytes):
        for _ in range(megabytes):
            self.primary.psql("SELECT pg_logical_emit_message(false, 'x', repeat('y', 900000))")
            self.primary.psql("SELECT pg_switch_wal()")
        end = self.primary.psql("SELECT pg_current_wal_flush_lsn()")
        wait_until(lambda: self.primary.psql(f"SELECT bool_or(flush_lsn >= '{end}') FROM pg_stat_replication") == "t", 60,
                   f"{end} acknowledged")

    def make_slot(self, name):
        self.witness.ask(f"CREATE_REPLICATION_SLOT {name} PHYSICAL RESERVE_WAL").expect(0)

    def take(self, slot):
        """A client with that slot gets all there is; where the slot is then."""
        target = self.h2.folder / slot
        if not target.exists():
            make_wal_folder(self.h2, slot)
        receive(self.h2, self.h2, target, "-S", slot, port=self.witness.port, end=self.witness.position()[1]).expect(0)
        return self.slot(slot)

    def slot(self, name):
        return self.witness.ask(f"READ_REPLICATION_SLOT {name}").expect(0).out.strip().split("|")[1]

    def segment_of(self, lsn):
        return self.primary.psql(f"SELECT pg_walfile_name('{lsn}'::pg_lsn + 1)")

    def oldest(self):
        return wal_names(self.witness.folder)[0]

    def restart(self, **keep):
        self.witness.stop()
        self.start(**keep)

    def said(self):
        return self.witness.running.out + self.witness.running.err


def test_a_slot_holds_wal_back_up_to_its_bound_and_nothing_unproven_is_dropped(pair):
    keeping = Keeping(pair)
    keep = {"keep_size": "2MB", "slot_keep_size": "16MB"}
    keeping.start(**keep)
    keeping.write(4)
    keeping.make_slot("r1")
    keeping.write(2)
    held = keeping.segment_of(keeping.take("r1"))
    keeping.write(8)
    keeping.restart(**keep)
    wait_until(lambda: keeping.oldest() == held, 60, f"all before {held} to go: the slot's client has it")

    # At the bound the slot is lost, told of, and refused as PostgreSQL does it.
    keeping.write(10)
    wait_until(lambda: 'replication slot "r1" is lost' in keeping.said(), 60, "a word about the slot")
    assert keeping.slot("r1") == ""
    refused = receive(pair[1], pair[1], pair[1].folder / "r1", "-S", "r1", "-n", port=keeping.witness.port)
    assert refused.code != 0 and 'can no longer access replication slot "r1"' in refused.err
    # What it has not got may be the only copy: it stays, and that is said.
    keeping.restart(**keep)
    wait_until(lambda: "no standby is known to have them" in keeping.said(), 60, "a word about WAL that stays")
    assert keeping.oldest() == held
    assert keeping.slot("r1") == "", "lost for good"

    # A slot that only reserves proves nothing; one whose client has all of it lets the rest go.
    keeping.make_slot("r2")
    keeping.restart(**keep)
    wait_until(lambda: "no standby is known to have them" in keeping.said(), 60, "a word about WAL that stays")
    assert keeping.oldest() == held
    keeping.write(1)
    keeping.take("r2")
    keeping.restart(**keep)
    wait_until(lambda: keeping.oldest() > held, 60, "what the other client has to go")
    assert len(wal_names(keeping.witness.folder)) >= 2
    # Who asks for what is gone is told so, in PostgreSQL's words.
    late = keeping.h2.standfast("wal", "receive", "-h", keeping.h2.address, "-p", keeping.witness.port, "-U", "replicator",
                                "-D", keeping.h2.folder / "r1", "-n", env={"PGPASSWORD": PASSWORD})
    assert late.code != 0 and re.search("requested WAL segment [0-9A-F]{24} has already been removed", late.err), late


@pytest.mark.parametrize("keep_time", ["1h", "0s"])
def test_wal_is_kept_by_time_too(pair, keep_time):
    keeping = Keeping(pair)
    keep = {"keep_size": "1MB", "keep_time": keep_time}
    keeping.start(keep_size="1GB")  # nothing goes before all has the age that it is to have
    keeping.make_slot("r1")
    keeping.write(6)
    names = wal_names(keeping.witness.folder)
    keeping.take("r1")
    keeping.witness.stop()
    old = time.time() - 2 * HOUR
    for name in names[:3]:
        os.utime(keeping.witness.folder / name, (old, old))
    keeping.start(**keep)
    if keep_time == "1h":
        wait_until(lambda: keeping.oldest() >= names[3], 60, "what is older than an hour to go")
        assert keeping.oldest() == names[3], "and nothing else"
    else:
        wait_until(lambda: keeping.oldest() > names[3], 60, "all of it to go")


def test_slots_have_a_bound_in_number_and_outlive_a_kill(pair):
    keeping = Keeping(pair)
    keeping.start()
    keeping.write(1)
    for number in range(16):
        keeping.make_slot(f"s{number}")
    at = keeping.slot("s3")
    assert at
    keeping.witness.ask("CREATE_REPLICATION_SLOT more PHYSICAL").expect_error(1, "all replication slots are in use")
    keeping.witness.kill()
    keeping.start()
    assert keeping.slot("s3") == at
    keeping.witness.ask("DROP_REPLICATION_SLOT s3").expect(0)
    keeping.witness.ask("DROP_REPLICATION_SLOT s3").expect_error(1, 'replication slot "s3" does not exist')
