"""The disk under the data folder: space, inodes, what kind of file system, and how long it takes to keep its word."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from customhouse.alarms.words import size
from customhouse.app.windows.inspection.finding import Finding, ok, problem, warning
from customhouse.app.workspace import Workspace

_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.s3fs",
     "fuse.glusterfs", "fuse.gcsfuse", "fuse.rclone", "virtiofs", "vboxsf"}
)  # fmt: skip
_MEMORY = frozenset({"tmpfs", "ramfs"})
_FEW_INODES = 10_000
_NO_INODES = 500
_TRIES = 9
_SLOW_MS = 25.0
_INSTANT_MS = 0.02
_MOUNTS = Path("/proc/self/mountinfo")


def disk(place: Workspace, floor: int) -> Iterator[Finding]:
    """Yield what there is to say of the disk; `floor` is what the door leaves free, in bytes."""
    there = place.data if place.data.exists() else place.root
    facts = os.statvfs(there)
    yield _space(there, facts, floor)
    if facts.f_files:
        yield _inodes(there, facts)
    if kind := file_system(there, _mounts()):
        yield _kind(kind)
    yield _durability(there)


def _space(there: Path, facts: os.statvfs_result, floor: int) -> Finding:
    free, whole = facts.f_bavail * facts.f_frsize, facts.f_blocks * facts.f_frsize
    told = f"{size(free)} free of {size(whole)}; the door closes below {size(floor)}"
    if free < floor:
        return problem("disk", told, f"free space: du -xh --max-depth 2 {there} | sort -h | tail")
    if free < floor * 2:
        return warning("disk", told, f"free space: du -xh --max-depth 2 {there} | sort -h | tail")
    return ok("disk", told)


def _inodes(there: Path, facts: os.statvfs_result) -> Finding:
    told = f"{facts.f_favail:,} files may still be made of {facts.f_files:,}"
    if facts.f_favail < _NO_INODES:
        return problem("inodes", told, f"remove small files from the disk of {there}: df -i {there}")
    if facts.f_favail < _FEW_INODES:
        return warning("inodes", told, f"remove small files from the disk of {there}: df -i {there}")
    return ok("inodes", told)


def _kind(kind: str) -> Finding:
    if kind in _NETWORK:
        told = f"{kind} is a network file system: its locks and syncs may promise more than they keep"
        return warning("file system", told, "put the data folder on a local disk: set `data:` in customhouse.yaml")
    if kind in _MEMORY:
        told = f"{kind} lives in memory: everything is gone when the machine restarts"
        return warning("file system", told, "put the data folder on a disk: set `data:` in customhouse.yaml")
    if kind == "overlay":
        told = "overlay is the container's own layer: everything is gone with the container"
        return warning("file system", told, "mount a volume for the data folder: docker run -v customhouse:/data …")
    return ok("file system", kind)


def _durability(there: Path) -> Finding:
    """Measure how long a small write takes to be durable: every acknowledgement waits for one."""
    try:
        times = sorted(_sync_times(there))
    except OSError as error:
        told = f"nothing can be written in {there}: {error.strerror or error}"
        return problem("durability", told, f"chown -R {os.getuid()} {there}, or mount it for writing")
    middle, worst = times[len(times) // 2] * 1000, times[-1] * 1000
    told = f"a small write is durable within {middle:,.2f} ms ({worst:,.2f} ms at worst of {len(times)})"
    if middle > _SLOW_MS:
        return warning("durability", f"{told}: acknowledgements are slow", "use a local SSD for the data folder")
    if middle < _INSTANT_MS:
        return warning("durability", f"{told}: the disk may only say so", "have the disk's write cache looked at")
    return ok("durability", told)


def _sync_times(folder: Path) -> Iterator[float]:
    path = folder / f".doctor-{os.getpid()}"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for nth in range(_TRIES):
            began = time.perf_counter()
            os.pwrite(fd, b"x" * 512, nth * 512)
            os.fsync(fd)
            yield time.perf_counter() - began
    finally:
        os.close(fd)
        with suppress(OSError):
            path.unlink()


def file_system(path: Path, mounts: str) -> str:
    """Return the kind of file system a path is on, as the text of `mountinfo` says; empty when it does not."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        before, dash, after = line.partition(" - ")
        words = before.split()
        if not dash or len(words) < 5 or not after.split():
            continue
        point = words[4].encode().decode("unicode_escape")  # spaces stand as \040
        if path.resolve().is_relative_to(point) and len(point) >= best:
            best, kind = len(point), after.split()[0]
    return kind


def _mounts() -> str:
    try:
        return _MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
