"""What a program that writes WAL asked of the kernel, from strace; and strace as the disk that fails."""

import re

TRACED = "pwrite64,fdatasync,fsync,openat"
_CALL = re.compile(r"(?P<pid>\d+) +(?:<\.\.\. )?(?P<call>\w+)(?P<resumed> resumed>)?(?P<rest>.*)")
_SEGMENT = re.compile(r"/[0-9A-F]{8}([0-9A-F]{8})([0-9A-F]{8})(?:\.partial)?>")
_WRITTEN = re.compile(r", (\d+), (\d+)(?:\)| <unfinished)")


def tracer(file, fault=None):
    """The words in front of a command. A fault is (call, errno, when): the counts are each thread's own."""
    words = ["strace", "-f", "-qq", "-y", "-s", "0", "-o", file, "-e", f"trace={TRACED}", "-e", "signal=none"]
    return words + (["-e", "inject={}:error={}:when={}".format(*fault)] if fault else [])


def most_that_is_durable(trace, segment_bytes):
    """A position that nothing may be acknowledged above: all that was written to segments before the last sync of
    one that succeeded had ended."""
    written = durable = 0
    syncing = {}  # thread -> whether what it syncs is a segment
    for line in trace.splitlines():
        call = _CALL.match(line)
        if not call:
            continue
        pid, name, rest = call["pid"], call["call"], call["rest"]
        segment = _SEGMENT.search(rest)
        if name == "pwrite64" and segment and not call["resumed"]:
            count, offset = map(int, _WRITTEN.search(rest).groups())
            start = (int(segment[1], 16) << 32) + int(segment[2], 16) * segment_bytes
            written = max(written, start + offset + count)
        if name in ("fdatasync", "fsync"):
            if not call["resumed"]:
                syncing[pid] = bool(segment)
            if rest.rstrip().endswith("= 0") and syncing.get(pid):
                durable = written
    return durable
