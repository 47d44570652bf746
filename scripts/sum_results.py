"""Adds up the JUnit files of a test run and prints the sum as the last line; exits 1 when anything failed.

A part that failed without saying which test (it did not build, it crashed) counts as one failed test.
"""

import sys
import xml.etree.ElementTree
from pathlib import Path


def state_of(case):
    children = {child.tag for child in case}
    if children & {"failure", "error"}:
        return "failed"
    if "skipped" in children or case.get("status") == "notrun":
        return "skipped"
    return "passed"


def main(folder):
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for path in sorted(folder.rglob("*.xml")):
        try:
            cases = list(xml.etree.ElementTree.parse(path).iter("testcase"))
        except xml.etree.ElementTree.ParseError:
            print(f"{path}: cut short, so its program was", file=sys.stderr)
            count["failed"] += 1
            continue
        for case in cases:
            count[state_of(case)] += 1
    failed_parts = folder / "failed-parts"
    failed = failed_parts.read_text().split() if failed_parts.exists() else []
    if failed:
        print("failed parts: " + " ".join(failed))
        count["failed"] = max(count["failed"], len(failed))
    skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
    print(f"{count['passed']} passed, {count['failed']} failed{skipped}")
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
