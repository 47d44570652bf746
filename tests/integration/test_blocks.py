"""The block compare itself: blind for what PostgreSQL lets two servers differ in, and for nothing else."""

import os
import shutil
import struct

import pytest

from harness import blocks
from harness.binaries import DEBIAN, npm
from harness.cluster import Cluster

BLOCK = blocks.BLOCK
_SPECIMENS = """
CREATE TABLE specimen (i int, t text, b int4range, p point);
INSERT INTO specimen SELECT i, md5(i::text), int4range(i, i + 5), point(i, i) FROM generate_series(1, 3000) AS i;
CREATE INDEX of_btree ON specimen (i);
CREATE INDEX of_hash ON specimen USING hash (t);
CREATE INDEX of_gin ON specimen USING gin ((ARRAY[i / 2]));
CREATE INDEX of_gist ON specimen USING gist (b);
CREATE INDEX of_spgist ON specimen USING spgist (p);
CREATE INDEX of_brin ON specimen USING brin (i) WITH (pages_per_range = 4);
CREATE SEQUENCE of_sequence;
CREATE UNLOGGED TABLE of_unlogged AS SELECT 1 AS i;
SELECT nextval('of_sequence');
"""
NAMES = {"heap": "specimen", "btree": "of_btree", "hash": "of_hash", "gin": "of_gin", "gist": "of_gist",
         "spgist": "of_spgist", "brin": "of_brin", "sequence": "of_sequence"}


@pytest.fixture(scope="module", params=[12, 15, 18])
def original(request, shared_network):
    """The files of a stopped server with a relation of each kind, and where that lies."""
    host = shared_network.host(f"h{request.param}", f"10.20.20.{request.param}")
    server = Cluster(host, DEBIAN if request.param == DEBIAN.major else npm(request.param)).init("-k").start()
    server.psql(_SPECIMENS)
    server.psql("VACUUM specimen")
    places = {kind: server.psql(f"SELECT pg_relation_filepath('{name}')") for kind, name in NAMES.items()}
    unlogged = server.psql("SELECT pg_relation_filepath('of_unlogged')")
    server.stop()
    return server, places, unlogged


@pytest.fixture
def copy(original):
    server, places, unlogged = original
    data = server.data.with_name("copy")
    shutil.rmtree(data, ignore_errors=True)
    shutil.copytree(server.data, data, copy_function=os.link)  # one that is changed is written anew
    return Copy(server, data, places, unlogged)


class Copy:
    def __init__(self, server, data, places, unlogged):
        self.server, self.data, self.places, self.unlogged = server, data, places, unlogged

    def compare(self):
        return blocks.compare(blocks.content_files(self.server.data), blocks.content_files(self.data),
                              self.server.binaries.major)

    def change(self, name, change, block=None):
        """`change` gets one block, the last one if none is named, and changes it in place."""
        path = self.data / name
        content = bytearray(path.read_bytes())
        number = len(content) // BLOCK - 1 if block is None else block
        page = content[number * BLOCK:(number + 1) * BLOCK]
        change(page)
        content[number * BLOCK:(number + 1) * BLOCK] = page
        self.write(name, bytes(content))
        return number

    def write(self, name, content):
        (self.data / name).unlink()
        (self.data / name).write_bytes(content)


def flip(at, bits=0x01):
    def change(page):
        page[at] ^= bits
    return change


def first_item(page):
    word, = struct.unpack_from("=I", page, 24)
    return word & 0x7FFF, word >> 17


def in_first_item(at, bits=0x01):
    """`at`: from its beginning, or, negative, from its end."""
    def change(page):
        begin, length = first_item(page)
        page[begin + (at if at >= 0 else length + at)] ^= bits
    return change


def in_special(at, bits):
    def change(page):
        page[struct.unpack_from("=H", page, 16)[0] + at] ^= bits
    return change


def in_hole(page):
    lower, upper = struct.unpack_from("=HH", page, 12)
    assert lower < upper
    page[lower] ^= 0x10
    page[upper - 1] ^= 0x10


def item_flags(page):
    page[25] ^= 0x80  # LP_NORMAL becomes LP_REDIRECT or LP_DEAD: the lower of its two bits lies in this byte
    page[26] ^= 0x01


MAY_DIFFER = {  # kind, its change, the block; none: the last one
    "an LSN": ("heap", flip(3), 0), "a checksum": ("heap", flip(8), 0), "hints of the page": ("heap", flip(10, 7), 0),
    "a prune xid": ("heap", flip(20), 0), "a tuple's hints": ("heap", in_first_item(21, 0x04), 0),
    "cmin": ("heap", in_first_item(8), 0), "the hole": ("heap", in_hole, None),
    "dead items of a leaf": ("btree", item_flags, 1), "a vacuum's cycle": ("btree", in_special(14, 1), 1),
    "garbage of a leaf": ("btree", in_special(12, 0x40), 1), "dead items of a bucket": ("hash", item_flags, 1),
    "dead tuples of a bucket": ("hash", in_special(12, 0x80), 1), "an NSN": ("gist", in_special(2, 1), None),
    "the pages used last": ("spgist", flip(30), 0), "the hole of an entry page": ("gin", in_hole, 1),
    "the hole of a range": ("brin", in_hole, None),
}


def test_what_may_differ_is_not_seen(copy):
    assert copy.compare().differences == []
    for name, (kind, change, block) in MAY_DIFFER.items():
        before = copy.compare().masked
        copy.change(copy.places[kind], change, block)
        result = copy.compare()
        assert not result.differences, (name, result.differences)
        assert before <= result.masked and result.masked[kind], name


def test_changed_item_is_named_by_file_and_block(copy):
    for kind, place in copy.places.items():
        before = copy.compare().differences
        block = {"gin": 1, "hash": 1}.get(kind)  # the last one has no items
        number = copy.change(place, flip(BLOCK - 100) if kind == "gin" else in_first_item(-1), block)
        new = [line for line in copy.compare().differences if line not in before]
        assert len(new) == 1 and new[0].startswith(f"{place}: block {number}: {kind}, 1 bytes from"), (kind, new)


def test_kinds_are_known_and_all_is_looked_at(copy):
    result = copy.compare()
    assert result.kinds.keys() >= {*NAMES, "visibility map"} and not [k for k in result.kinds if k.startswith("unknown")]
    assert result.blocks > 1000 and sum(result.kinds.values()) > 500


def test_other_differences_are_seen(copy):
    heap = copy.places["heap"]
    changes = {
        f"{heap}: block 1: heap": lambda: copy.change(heap, flip(1500), 1),  # the frozen bits of a tuple among them
        f"{heap}_vm: block 0: visibility map": lambda: copy.change(f"{heap}_vm", flip(8000), 0),
        f"{heap}: block 0: only the primary": lambda: copy.change(heap, lambda page: page.__setitem__(slice(None), bytes(BLOCK)), 0),
        f"{copy.places['btree']}: block 1: btree, the header": lambda: copy.change(copy.places["btree"], flip(13, 0x80), 1),
        "pg_xact/0000: block 0: ": lambda: copy.change("pg_xact/0000", flip(100), 0),
        "global/pg_filenode.map: differs": lambda: copy.change("global/pg_filenode.map", flip(20), 0),
        f"{copy.places['hash']}: only the primary has it": lambda: (copy.data / copy.places["hash"]).unlink(),
    }
    for expected, change in changes.items():
        before = copy.compare().differences
        change()
        new = [line for line in copy.compare().differences if line not in before]
        assert len(new) == 1 and new[0].startswith(expected), (expected, new)


def test_unlogged_relations_have_only_their_init_forks(copy):
    (copy.data / copy.unlogged).unlink()
    copy.compare().assert_equal()
    copy.write(f"{copy.unlogged}_init", b"\1" * BLOCK)
    assert len(copy.compare().differences) == 1


def test_visibility_map_may_lack_what_the_wal_lacks(copy):
    copy.change(f"{copy.places['heap']}_vm", lambda page: page.__setitem__(slice(24, None), bytes(BLOCK - 24)), 0)
    result = copy.compare()
    result.assert_equal()
    assert result.masked == {"visibility map": 1}


def test_sequence_may_be_ahead_as_its_wal_says(copy):
    """The primary has log_cnt left of what it set aside; a standby has used it up."""
    def use_up(more):
        def change(page):
            at = first_item(page)[0]
            at += page[at + 22]
            last, left, called = struct.unpack_from("=qq?", page, at)
            struct.pack_into("=qq?", page, at, last + left + more, 0, called)
        return change

    copy.change(copy.places["sequence"], use_up(0), 0)
    copy.compare().assert_equal()
    copy.change(copy.places["sequence"], use_up(1), 0)
    assert copy.compare().differences


def test_file_may_be_longer_by_pages_that_were_never_filled(copy):
    heap = copy.places["heap"]
    content = (copy.data / heap).read_bytes()
    copy.write(heap, content + bytes(2 * BLOCK))
    copy.compare().assert_equal()
    copy.write(heap, content + b"\1" * BLOCK)
    assert len(copy.compare().differences) == 1
