"""Waiting for a condition rather than for a time."""

import time


def wait_until(condition, deadline_seconds, what):
    """Polls until `condition()` gives something true, and returns that; fails with `what` at the deadline."""
    end = time.monotonic() + deadline_seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= end:
            raise AssertionError(f"not within {deadline_seconds} s: {what} (last seen: {result!r})")
        time.sleep(0.05)
