"""Fixtures of the integration and end-to-end tests."""

import os
import re
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import sweep  # noqa: E402
from harness.binaries import MAJORS, npm  # noqa: E402
from harness.network import Network  # noqa: E402

LOGS = Path(__file__).parents[1] / "build" / "test-logs"


def pytest_sessionstart():
    # A shell that runs us in the background has SIGINT ignored, which every program that we start would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sweep.remove_orphans()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    item.failed = getattr(item, "failed", False) or report.failed
    if report.failed and hasattr(item, "log_folder"):
        report.sections.append(("record", f"what its hosts said: {item.log_folder}"))


@pytest.fixture
def network(request):
    """An empty network; whatever a test makes in it is gone after the test."""
    item = request.node
    item.log_folder = LOGS / Path(item.path).stem / re.sub(r"[^\w.-]+", "-", item.name)
    network = Network(item.log_folder)
    try:
        yield network
        if getattr(item, "failed", False):
            network.keep_logs()
    finally:
        network.close()


@pytest.fixture(scope="module")
def shared_network(request):
    """One network for the tests of a file, for those that leave it as they found it."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")  # another one may run other tests of the same file
    log_folder = LOGS / Path(request.path).stem / f"shared{worker}"
    failed_before = request.session.testsfailed
    for item in request.session.items:
        if item.path == request.path and not hasattr(item, "log_folder"):
            item.log_folder = log_folder
    network = Network(log_folder)
    try:
        yield network
        if request.session.testsfailed > failed_before:
            network.keep_logs()
    finally:
        network.close()


@pytest.fixture
def pair(network):
    """The seed's two hosts, 10.20.20.1 and 10.20.20.2."""
    return network.host("h1", "10.20.20.1"), network.host("h2", "10.20.20.2")


@pytest.fixture(params=[pytest.param(major, marks=pytest.mark.quick if major in (12, 15, 18) else ())
                        for major in MAJORS])
def binaries(request):
    """The servers of each major, one after the other."""
    return npm(request.param)
