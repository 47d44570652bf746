#!/usr/bin/env bash
# How a file system takes what a store of WAL writes: a flush of 8 KiB into a file that was merely allocated, one that was
# written ahead (a spare segment) and one that is overwritten (recycled), and much at once through the page cache and past
# it. Each file system is made in a file of its own, mounted by a loop device, measured in turn, and removed.
#
#   tests/bench/filesystems.sh [FILE_SYSTEM...]
#
# As root; needs the mkfs of each (e2fsprogs, xfsprogs, btrfs-progs). Prints a markdown table.
set -euo pipefail

kinds=("$@")
[ $# -gt 0 ] || kinds=(ext4 xfs btrfs)
work=$(mktemp -d /var/tmp/standfast-bench.XXXXXX)
clean_up() {
  ! mountpoint -q "$work/mnt" || umount "$work/mnt"
  [ -z "$device" ] || losetup -d "$device"
  rm -rf "$work"
}
device=
trap clean_up EXIT
mkdir "$work/mnt"

echo "| file system | 8 KiB + fdatasync, allocated, µs | written ahead, µs | overwritten, µs | 256 MiB by the cache, s | past it, s |"
echo "|---|---|---|---|---|---|"
for kind in "${kinds[@]}"; do
  fallocate -l 2G "$work/image"
  device=$(losetup --direct-io=on --find --show "$work/image")  # one page cache, not two
  "mkfs.$kind" -q "$device" >/dev/null 2>&1
  mount "$device" "$work/mnt"
  /usr/bin/python3 -B - "$work/mnt" "$kind" <<'PYTHON'
import mmap, os, statistics, sys, time

folder, kind = sys.argv[1:]
SEGMENT, PIECE, FLUSHES = 16 << 20, 8192, 1000
MUCH, CHUNK = 256 << 20, 1 << 20
noise = os.urandom(CHUNK)


def new_file(name, flags=0):
    return os.open(os.path.join(folder, name), os.O_RDWR | os.O_CREAT | flags, 0o600)


def write_all(fd, filling):
    for offset in range(0, SEGMENT, CHUNK):
        os.pwrite(fd, filling, offset)
    os.fsync(fd)


def flushes(fd):
    """The median of a flush, in microseconds: the file is filled from its beginning, as WAL does."""
    times = []
    for i in range(FLUSHES):
        begun = time.perf_counter()
        os.pwrite(fd, noise[:PIECE], i * PIECE)
        os.fdatasync(fd)
        times.append(time.perf_counter() - begun)
    os.close(fd)
    return statistics.median(times) * 1e6


def allocated():
    fd = new_file("allocated")
    os.posix_fallocate(fd, 0, SEGMENT)
    os.fsync(fd)
    return flushes(fd)


def written_ahead():
    fd = new_file("spare")
    write_all(fd, bytes(CHUNK))
    return flushes(fd)


def overwritten():
    fd = new_file("recycled")
    write_all(fd, noise)
    return flushes(fd)


def much(flags):
    """Seconds, the median of three: into files that were not there, until all is durable."""
    buffer = mmap.mmap(-1, CHUNK)
    buffer.write(noise)
    times = []
    for i in range(3):
        name = f"much{flags}{i}"
        begun = time.perf_counter()
        fd = new_file(name, flags)
        for offset in range(0, MUCH, CHUNK):
            os.pwrite(fd, buffer, offset)
        os.fdatasync(fd)
        times.append(time.perf_counter() - begun)
        os.close(fd)
        os.unlink(os.path.join(folder, name))
    return statistics.median(times)


figures = [allocated(), written_ahead(), overwritten()]
print(f"| {kind} | " + " | ".join(f"{figure:.0f}" for figure in figures) + f" | {much(0):.2f} | {much(os.O_DIRECT):.2f} |")
PYTHON
  umount "$work/mnt"
  losetup -d "$device"
  device=
  rm "$work/image"
done
