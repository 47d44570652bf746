"""Where the PostgreSQL servers of each major are: npm's 12 to 18 and an older 15, and Debian's own 15 with the client tools."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

MAJORS = (12, 13, 14, 15, 16, 17, 18)

_PACKAGE = Path(__file__).parent.parent / "postgres" / "package.json"
_INSTALL = "run scripts/install.sh test"


@dataclass(frozen=True)
class PostgresBinaries:
    major: int
    bin_dir: Path

    def __str__(self):
        return str(self.bin_dir)

    def program(self, name):
        path = self.bin_dir / name
        assert path.exists(), f"{path} is missing: {_INSTALL}"
        return str(path)


def npm(major, release=""):
    """initdb, pg_ctl and postgres of a major; no client tools."""
    cache = Path(os.environ.get("STANDFAST_PG_CACHE", "/var/cache/standfast-test/postgres"))
    folder = cache / hashlib.sha256(_PACKAGE.read_bytes()).hexdigest()[:12]
    assert (folder / "complete").exists(), f"{folder} is not complete: {_INSTALL}"
    return PostgresBinaries(major, folder / "node_modules" / f"pg{major}{release}" / "native" / "bin")


def older_15():
    """A minor release that is older than Debian's, whichever that is by now."""
    return npm(15, "-older")


DEBIAN = PostgresBinaries(15, Path("/usr/lib/postgresql/15/bin"))
