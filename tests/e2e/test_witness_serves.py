"""What a witness serves while it receives: the primary's own bytes, over IPv6 too, and for slots that outlive it."""

import signal

import pytest

from harness.binaries import DEBIAN, npm
from harness.clones import PASSWORD
from harness.waiting import wait_until
from harness.wal import make_wal_folder
from harness.witness import Witness, World, assert_same_segments, wal_names

PASSWORD_OF = {"PGPASSWORD": PASSWORD}


def receivers(world, major, host):
    """Commands that stream from the witness to a folder of their own; Debian's pg_receivewal asks no newer server."""
    login = ["-h", host, "-p", str(world.witness.port), "-U", "replicator", "-D"]
    ours = world.h2.standfast_command("wal", "receive", *login)
    return {"ours": ours} | ({"theirs": [DEBIAN.program("pg_receivewal"), *login]} if major == 15 else {})


def ipv6_alone(world):
    """Another witness in the place of the first: it receives by IPv6, and serves by it too."""
    world.witness.stop()
    world.witness = Witness(world.h3, world.primary, conninfo=f"host={world.h1.address6}", folder="wal6",
                            listen=[f"[{world.h3.address6}]:5433", "[::1]:5433"]).start()


@pytest.mark.parametrize("major", [pytest.param(15, marks=pytest.mark.quick), 18])
def test_bytes_are_the_primarys_for_who_receives_over_ipv6(network, major):
    world = World(network, DEBIAN if major == 15 else npm(major))
    ipv6_alone(world)
    standby = world.follow(world.standbys[0], world.witness.conninfo(host=world.h3.address6))
    folders, running = [world.witness.folder], []
    for name, command in receivers(world, major, world.h3.address6).items():
        folders.append(make_wal_folder(world.h2, name))
        running.append(world.h2.start([*command, folders[-1]], env=PASSWORD_OF))
    wait_until(lambda: all(list(folder.glob("*.partial")) for folder in folders), 60, "all streams")
    for _ in range(3):
        world.put(rows=4000)
        last = world.primary.psql("SELECT pg_walfile_name(pg_switch_wal())")
    for folder in folders:
        wait_until(lambda folder=folder: last in wal_names(folder), 60, f"{last} in {folder}")
    world.arrives(standby)
    assert standby.psql("SELECT sender_host FROM pg_stat_wal_receiver") == world.h3.address6
    assert world.primary.psql("SELECT host(client_addr) FROM pg_stat_replication") == world.h3.address6
    world.witness.ask("SHOW wal_segment_size", host="::1").expect(0)
    for program in running:
        program.signal(signal.SIGINT)
        program.wait().expect(0)
    world.witness.stop()
    for folder in folders:
        assert assert_same_segments(world.primary, folder) > 5
        names = wal_names(folder)
        assert names[-1] == last
        if major == 15:
            world.h3.run([DEBIAN.program("pg_waldump"), "-q", "-p", folder, names[0], last]).expect(0)


def restart_of(witness, slot):
    """The slot's restart_lsn, as a number."""
    kind, lsn, _ = witness.ask(f"READ_REPLICATION_SLOT {slot}").expect(0).out.strip().split("|")
    assert kind == "physical"
    high, _, low = lsn.partition("/")
    return int(high, 16) << 32 | int(low, 16)


@pytest.mark.quick
def test_a_slot_at_the_witness_is_made_kept_and_advanced(network):
    world = World(network)
    standby = world.follow(world.standbys[0], primary_slot_name="'behind'")
    wait_until(lambda: 'replication slot "behind" does not exist' in standby.log(), 60, "a word of what is missing")
    made = ["wal", "receive", "-h", world.h3.address, "-p", "5433", "-U", "replicator", "-S", "behind", "--create-slot"]
    world.h2.standfast(*made, env=PASSWORD_OF).expect(0)
    world.h2.standfast(*made, env=PASSWORD_OF).expect_error(15, "already exists")
    world.put()
    world.arrives(standby)
    first = restart_of(world.witness, "behind")
    world.put()
    world.arrives(standby)
    advanced = wait_until(lambda: (now := restart_of(world.witness, "behind")) > first and now, 60, "a slot that advances")
    world.witness.ask("DROP_REPLICATION_SLOT behind").expect_error(1, "is active")

    world.witness.stop()
    world.witness.start()
    assert restart_of(world.witness, "behind") >= advanced
    world.put()
    world.arrives(standby)
    world.witness.kill()
    world.witness.start()
    assert restart_of(world.witness, "behind") >= advanced
    world.put()
    world.arrives(standby)
    wait_until(lambda: restart_of(world.witness, "behind") > advanced, 60, "a slot that advances again")
    standby.stop()
    theirs = [DEBIAN.program("pg_receivewal"), "-h", world.h3.address, "-p", "5433", "-U", "replicator", "-S"]
    # Until the witness has noticed that its standby is gone, the slot is active.
    wait_until(lambda: world.h2.run([*theirs, "behind", "--drop-slot"], env=PASSWORD_OF).code == 0, 30,
               "a slot to drop")
    world.h2.run([*theirs, "other", "--create-slot"], env=PASSWORD_OF).expect(0)
    assert sorted(path.name for path in (world.witness.folder / "standfast.slots").iterdir()) == ["other"]
    world.witness.stop()


def test_a_slot_of_the_primary_that_somebody_else_holds_is_waited_for(network):
    """A primary keeps a witness's slot for a minute when it has not heard that the connection is gone."""
    world = World(network)
    world.witness.stop()
    folder = make_wal_folder(world.h2)
    holder = world.h2.start([DEBIAN.program("pg_receivewal"), "-h", world.h1.address, "-U", "replicator", "-D", folder,
                             "-S", "witness1"], env=PASSWORD_OF)
    wait_until(lambda: world.primary.psql("SELECT active FROM pg_replication_slots") == "t", 60, "a slot in use")
    world.witness.start()
    wait_until(lambda: 'slot "witness1" is active' in world.witness.running.err, 60, "a word of it")
    holder.signal(signal.SIGINT)
    holder.wait().expect(0)
    world.witness.streams_from(world.primary, 25)  # and not in half a minute
    world.witness.stop()


def test_clear_text_is_refused_on_every_address_that_others_reach(network):
    world = World(network)
    world.witness.stop()
    for listen in (f"[{world.h3.address6}]:5433", "[::]:5433", "0.0.0.0"):
        refused = world.h3.standfast("witness", "-d", f"host={world.h1.address}", "--name", "witness1", "-D",
                                     world.witness.folder, "--users", world.witness.users, "--listen", listen)
        refused.expect_error(2, "can be reached from other hosts", "--allow-cleartext")
