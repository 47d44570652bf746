"""Two data directories, block by block: what is left of a difference when all is masked in which PostgreSQL lets a primary
and its standby differ, because no WAL tells of it.

The masks are those that wal_consistency_checking goes by (src/backend/access/common/bufmask.c and the mask function of each
resource manager), and more strict where two servers that have come to rest must agree: so do the files that are no
relations, and a standby's visibility map does not say more than the primary's. What kind a page is its special space says, in which each access method has a mark of its
own; so no server has to be asked. Looked at is what a database consists of (`FOLDERS`); the free space map is left out, and
so is what a base backup leaves out.

Both servers are stopped, at the same position: harness/equality.py does that.
"""

import re
import struct
from collections import Counter
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

BLOCK = 8192
SEGMENT_BLOCKS = 131072  # of a file of a relation
FOLDERS = ("base", "global", "pg_tblspc", "pg_xact", "pg_multixact", "pg_commit_ts", "pg_twophase")
_RELATION = re.compile(r"(\d+)(?:_(fsm|vm|init))?(?:\.(\d+))?")
_LEFT_OUT = re.compile(r"pg_internal\.init.*|pg_control|pgsql_tmp.*|t\d+_\d+.*|\d+_fsm(\.\d+)?")
_SLRUS = ("pg_xact", "pg_multixact", "pg_commit_ts")

_HEADER = struct.Struct("=QHHHHHHI")  # LSN, checksum, flags, lower, upper, special, size and version, prune xid
_HINT_FLAGS = 0x0007  # PD_HAS_FREE_LINES, PD_PAGE_FULL, PD_ALL_VISIBLE
_U16, _U32, _U64 = struct.Struct("=H"), struct.Struct("=I"), struct.Struct("=Q")
_ITEM_UNUSED, _ITEM_NORMAL = 0, 1  # lp_flags; 2 and 3 are redirected and dead ones
_SEQUENCE = struct.Struct("=qq?")  # last_value, log_cnt, is_called
_SEQUENCE_MARK = 0x1717
_MARKS = {0xFF80: "hash", 0xFF81: "gist", 0xFF82: "spgist", 0xF091: "brin", 0xF092: "brin", 0xF093: "brin"}


class Page:
    """A block that is masked in place."""

    def __init__(self, content):
        self.bytes = bytearray(content)
        _, _, _, self.lower, self.upper, self.special, _, _ = _HEADER.unpack_from(self.bytes)

    def kind(self):
        """The access method whose page this is."""
        size = BLOCK - self.special
        mark = _U16.unpack_from(self.bytes, BLOCK - 2)[0]
        if size == 0:
            return "heap"
        if size == 16:
            return _MARKS.get(mark, "btree")  # where the others have their mark it has a cycle number, which is less
        if size == 8 and mark in _MARKS:
            return _MARKS[mark]
        if size == 8:
            return "sequence" if _U64.unpack_from(self.bytes, self.special)[0] == _SEQUENCE_MARK else "gin"
        return f"unknown, with {size} bytes of special space"

    def items(self):
        """Where each line pointer is, its flags, where its item is and how long."""
        for at in range(_HEADER.size, self.lower, 4):
            word = _U32.unpack_from(self.bytes, at)[0]
            yield at, word >> 15 & 3, word & 0x7FFF, word >> 17

    def zero(self, begin, end):
        self.bytes[begin:end] = bytes(end - begin)

    def clear(self, at, bits):
        """Bits of two bytes."""
        _U16.pack_into(self.bytes, at, _U16.unpack_from(self.bytes, at)[0] & ~bits & 0xFFFF)

    def has(self, at, bits):
        return bool(_U16.unpack_from(self.bytes, at)[0] & bits)

    def mask_lsn_and_checksum(self):
        self.zero(0, 10)

    def mask_hints(self):
        self.clear(10, _HINT_FLAGS)
        self.zero(20, 24)

    def mask_unused_space(self):
        if not _HEADER.size <= self.lower <= self.upper <= self.special <= BLOCK:
            raise ValueError("the header of a page makes no sense")
        self.zero(self.lower, self.upper)

    def mask_item_flags(self):
        for at, flags, _, _ in self.items():
            if flags != _ITEM_UNUSED:
                _U32.pack_into(self.bytes, at, _U32.unpack_from(self.bytes, at)[0] & ~(3 << 15))

    def mask_content(self):
        """Of a page that is given up."""
        self.zero(12, 16)
        self.zero(_HEADER.size, BLOCK)


def _mask_heap(page, block, _major):
    page.mask_unused_space()
    for number, (_, flags, at, length) in enumerate(page.items(), 1):
        if flags == _ITEM_NORMAL:
            infomask = at + 20
            is_frozen = _U16.unpack_from(page.bytes, infomask)[0] & 0x0300 == 0x0300
            page.clear(infomask, 0x0C00 if is_frozen else 0xFFF0)  # hints of xmax alone, or all about transactions
            page.zero(at + 8, at + 12)  # cmin or cmax
            if _U16.unpack_from(page.bytes, at + 16)[0] == 0xFFFE:  # a token of a speculative insertion, not a place
                struct.pack_into("=HHH", page.bytes, at + 12, block >> 16, block & 0xFFFF, number)
        if length:
            page.zero(at + length, at + (length + 7 & ~7))


def _mask_btree(page, _block, major):
    page.mask_unused_space()
    flags = page.special + 12
    if page.has(flags, 1 << 2) and major < 14:  # deleted: replay made it anew
        page.mask_content()
        return
    if page.has(flags, 1 << 0):  # a leaf
        page.mask_item_flags()
    page.clear(flags, 1 << 5 | 1 << 6)  # the end of a split group, has garbage
    page.zero(flags + 2, flags + 4)  # the cycle of a vacuum


def _mask_hash(page, _block, _major):
    page.mask_unused_space()
    flags = page.special + 12
    page.clear(flags, 1 << 7)  # has dead tuples
    if not page.has(flags, 0x000F):  # not in use
        page.mask_content()
    elif page.has(flags, 1 << 0 | 1 << 1):  # of a bucket, or what it overflowed to
        page.mask_item_flags()


def _mask_gist(page, _block, _major):
    page.mask_unused_space()
    page.zero(page.special, page.special + 8)  # an LSN
    flags = page.special + 12
    if page.has(flags, 1 << 0):  # a leaf
        page.mask_item_flags()
    page.clear(flags, 1 << 3 | 1 << 4)  # follow right, has garbage


def _mask_gin(page, _block, _major):
    if page.has(page.special + 6, 1 << 2):  # deleted
        page.mask_content()
    elif page.lower > _HEADER.size:
        page.mask_unused_space()


def _mask_spgist(page, _block, _major):
    if page.has(page.special, 1 << 0):  # it tells of the index: which pages were used last, a hint that no WAL has
        page.zero(_HEADER.size + 4, page.special)
    if page.lower >= _HEADER.size:
        page.mask_unused_space()


def _mask_brin(page, _block, _major):
    mark = _U16.unpack_from(page.bytes, BLOCK - 2)[0]
    if mark == 0xF093 or (mark == 0xF091 and page.lower > _HEADER.size):  # with tuples; what tells of the index
        page.mask_unused_space()
    page.clear(BLOCK - 4, 1 << 0)  # is being evacuated


def _mask_sequence(page, _block, _major):
    page.mask_unused_space()
    for _, _, at, length in page.items():
        page.zero(at + length, at + (length + 7 & ~7))


_MASKS = {"heap": _mask_heap, "btree": _mask_btree, "hash": _mask_hash, "gist": _mask_gist, "gin": _mask_gin,
          "spgist": _mask_spgist, "brin": _mask_brin, "sequence": _mask_sequence}
_HAS_HINTS = set(_MASKS) - {"sequence"}


def masked(content, kind, block, major):
    page = Page(content)
    page.mask_lsn_and_checksum()
    if kind in _HAS_HINTS:
        page.mask_hints()
    if kind in _MASKS:
        _MASKS[kind](page, block, major)
    return page.bytes


def _take_values(page):
    """Those of a sequence, which are zero then."""
    (_, _, at, _), = Page(page).items()
    at += page[at + 22]  # t_hoff
    values = _SEQUENCE.unpack_from(page, at)
    page[at:at + _SEQUENCE.size] = bytes(_SEQUENCE.size)
    return values


def _sequences_agree(primary, standby):
    """The WAL has the value that is reached when all is used up that was set aside, so a standby has that."""
    last, set_aside, _ = _take_values(primary)
    ahead, left, _ = _take_values(standby)
    return primary == standby and left == 0 and set_aside > 0 and (ahead - last) % set_aside == 0 and ahead != last


def _is_empty(content):
    """A page that was never filled: the file was made longer, which the WAL does not tell of."""
    lower, upper, special = (_U16.unpack_from(content, at)[0] for at in (12, 14, 16))
    has_header = lower == _HEADER.size and upper == special == BLOCK
    return not any(content[_HEADER.size:] if has_header else content)


@dataclass
class Comparison:
    """What was compared, and what differs."""

    files: int = 0
    blocks: int = 0
    masked: Counter = field(default_factory=Counter)  # blocks of each kind that were equal by their masks alone
    kinds: Counter = field(default_factory=Counter)  # files of each kind
    differences: list = field(default_factory=list)

    def assert_equal(self):
        shown = "\n".join(self.differences[:20])
        assert not self.differences, f"{len(self.differences)} differences, of {self.blocks} blocks:\n{shown}"


def content_files(data, real=Path):
    """The files of a data directory that are compared, by name. `real`: where a place that its host sees lies."""
    found = {}

    def walk(folder, name):
        for path in folder.iterdir():
            inside = f"{name}/{path.name}"
            if path.is_symlink():
                walk(real(path.readlink()), inside)
            elif path.is_dir():
                if not path.name.startswith("pgsql_tmp"):
                    walk(path, inside)
            elif not _LEFT_OUT.fullmatch(path.name):
                found[inside] = path

    for folder in FOLDERS:
        walk(data / folder, folder)
    unlogged = {f"{name.rpartition('/')[0]}/{path.name.partition('_')[0]}" for name, path in found.items()
                if path.name.endswith("_init")}
    return {name: path for name, path in found.items()
            if re.sub(r"(_vm)?(\.\d+)?$", "", name) not in unlogged or path.name.endswith("_init")}


class _Pair:
    """One file in both directories; one that is missing is empty."""

    def __init__(self, name, contents, major, result):
        self._name, self._major, self._result = name, major, result
        self._contents = contents
        relation = _RELATION.fullmatch(name.rpartition("/")[2])
        self._is_slru = name.startswith(_SLRUS)
        self._fork = relation[2] if relation else None
        self._is_relation = bool(relation) and not self._is_slru
        self._first_block = SEGMENT_BLOCKS * int(relation[3] or 0) if self._is_relation else 0

    def compare(self):
        self._result.files += 1
        if not all(self._contents) and any(not _is_empty(block) for content in self._contents for block in self._blocks(content)):
            self._result.differences.append(f"{self._name}: only the {'primary' if self._contents[0] else 'standby'} has it")
            return
        if self._is_relation:
            self._result.kinds[self._kind_of_file()] += 1
        if self._is_relation or self._is_slru:
            self._compare_blocks()
        elif self._contents[0] != self._contents[1]:
            self._result.differences.append(f"{self._name}: differs")

    @staticmethod
    def _blocks(content):
        return (content[at:at + BLOCK].ljust(BLOCK, b"\0") for at in range(0, len(content), BLOCK))

    def _kind_of_file(self):
        if self._fork == "vm":
            return "visibility map"
        first = next(self._blocks(self._contents[0]), bytes(BLOCK))
        return "empty" if _is_empty(first) else Page(first).kind()

    def _compare_blocks(self):
        self._result.blocks += max(map(len, self._contents)) // BLOCK
        if self._contents[0] == self._contents[1]:
            return
        for number, (one, other) in enumerate(zip_longest(*map(self._blocks, self._contents), fillvalue=bytes(BLOCK))):
            why = self._difference(one, other, number) if one != other else None
            if why:
                self._result.differences.append(f"{self._name}: block {self._first_block + number}: {why}")

    def _difference(self, one, other, number):
        if one == other or (_is_empty(one) and _is_empty(other)):
            return None
        if self._is_slru:
            return _first_difference(one, other)
        if self._fork == "vm":
            return self._visibility(one, other)
        if _is_empty(one) or _is_empty(other):
            return f"only the {'standby' if _is_empty(one) else 'primary'} has something there"
        kind = Page(one).kind()
        if kind != Page(other).kind():
            return f"{kind}, and {Page(other).kind()}"
        try:
            pages = [masked(block, kind, self._first_block + number, self._major) for block in (one, other)]
        except ValueError as error:
            return f"{kind}, {error}"
        if pages[0] != pages[1] and not (kind == "sequence" and _sequences_agree(*map(bytearray, pages))):
            return f"{kind}, {_first_difference(*pages)}"
        self._result.masked[kind] += 1
        return None

    def _visibility(self, one, other):
        """The WAL of a page that is logged whole lacks what is between its bounds, which is all of such a page: CREATE
        DATABASE does that. Bits that are not set cost a look at the heap; those that should not be give wrong answers."""
        seen, claimed = (int.from_bytes(block[_HEADER.size:], "little") for block in (one, other))
        if claimed & ~seen:
            return f"visibility map, {(claimed & ~seen).bit_count()} bits that the primary lacks"
        self._result.masked["visibility map"] += 1
        return None


def _first_difference(one, other):
    differing = [at for at in range(BLOCK) if one[at] != other[at]]
    first = differing[0]
    return f"{len(differing)} bytes from {first} on: {one[first:first + 16].hex()} and {other[first:first + 16].hex()}"


def compare(primary, standby, major):
    """Of two directories' content_files()."""
    result = Comparison()
    for name in sorted(primary.keys() | standby.keys()):
        contents = [files[name].read_bytes() if name in files else b"" for files in (primary, standby)]
        _Pair(name, contents, major, result).compare()
    return result
