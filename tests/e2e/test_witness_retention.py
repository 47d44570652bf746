"""What a witness lets go of, while somebody still reads it."""

import os
import signal

from harness.binaries import DEBIAN
from harness.clones import PASSWORD, primary_by_hand
from harness.waiting import wait_until
from harness.wal import PORT, end_of_wal, make_wal_folder, receive, users_file

NAME = "witness1"
SEGMENT_NAME_LENGTH = 24


def whole_segments(folder):
    return sorted(path for path in folder.iterdir() if len(path.name) == SEGMENT_NAME_LENGTH)


def fill_segments(primary, count):
    for _ in range(count):
        primary.psql("SELECT pg_logical_emit_message(true, 'x', string_agg(md5(random()::text), '')) "
                     "FROM generate_series(1, 20000)")
        primary.psql("SELECT pg_switch_wal()")


def wait_for_acknowledgement(primary):
    end = end_of_wal(primary)
    wait_until(lambda: primary.psql("SELECT flush_lsn >= pg_lsn '{}' FROM pg_stat_replication WHERE application_name = '{}'"
                                    .format(end, NAME)) == "t", 120, f"the witness to acknowledge {end}")


def stop(running):
    running.signal(signal.SIGTERM)
    running.wait(60).expect(0)


def test_who_still_reads_what_was_let_go_reads_the_same_bytes(pair):
    h1, h2 = pair
    primary = primary_by_hand(h1, DEBIAN, "--wal-segsize=1")
    folder, users = make_wal_folder(h2), users_file(h2, primary)

    def witness(keep_size):
        return h2.start(h2.standfast_command(
            "witness", "-d", f"host={h1.address} user=replicator", "--name", NAME, "-D", folder, "--listen",
            f"{h2.address}:{PORT}", "--users", users, "--allow-cleartext", "--keep-size", keep_size),
            env={"PGPASSWORD": PASSWORD})

    primary.psql(f"SELECT pg_create_physical_replication_slot('{NAME}', true)")
    running = witness("1GB")
    wait_until(lambda: primary.psql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == "1", 60,
               "the witness to stream")
    wait_until(lambda: "serving WAL" in running.out, 60, "the witness serves")  # which begins with the first stream
    # A standby has it all, so that it may go.
    copy = make_wal_folder(h2, "copy")
    receive(h2, h2, copy, "-S", "reader", "--create-slot", port=PORT).expect(0)
    fill_segments(primary, 6)
    wait_for_acknowledgement(primary)
    receive(h2, h2, copy, "-S", "reader", port=PORT, end=end_of_wal(primary)).expect(0)
    stop(running)

    oldest = whole_segments(folder)[0]
    linked = h2.folder / "linked"
    os.link(oldest, linked)
    for spare in folder.glob("standfast.spare.*"):
        spare.unlink()
    with open(oldest, "rb") as reader:
        before = reader.read()
        running = witness("1MB")
        wait_until(lambda: not oldest.exists(), 90, "the oldest segment to go")
        fill_segments(primary, 6)
        wait_for_acknowledgement(primary)
        reader.seek(0)
        assert reader.read() == before
    assert linked.read_bytes() == before
    stop(running)
