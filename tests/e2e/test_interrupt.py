"""Ctrl-C during `make run` ends every process it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from lakehouse.sandbox.airflow import COMPONENTS
from lakehouse.sandbox.layout import Layout
from lakehouse.sandbox.state import StateFile


def ours(home: Path) -> list[psutil.Process]:
    """Every process that names `home` on its command line or in its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            text = " ".join(process.cmdline()) + " ".join(process.environ().values())
        except psutil.Error:
            continue
        if str(home) in text and process.pid != os.getpid():
            found.append(process)
    return found


def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("LAKEHOUSE_", "AIRFLOW_"))}
    demo = subprocess.Popen(
        [str(Path(sys.executable).with_name("lakehouse")), "demo"],
        env={**environ, "LAKEHOUSE_HOME": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    folder = Layout(tmp_path).sandbox
    until = time.monotonic() + 240
    # Airflow's parts come up last: by then everything else runs.
    while not (folder.is_dir() and set(COMPONENTS) <= set(StateFile(folder).load().services)):
        assert demo.poll() is None
        assert time.monotonic() < until
        time.sleep(0.5)
    assert len(ours(tmp_path)) > len(COMPONENTS)
    demo.send_signal(signal.SIGINT)
    assert demo.wait(90) != 0
    assert ours(tmp_path) == []
