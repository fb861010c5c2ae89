"""A Spark cluster on this machine: `make cluster`, or `python -m benchmarks.cluster [COMMAND ...]`.

One standalone master, workers of one core each and a Spark Connect server, from the `pyspark` wheel and a Java of 17 or
newer. Everything listens on 127.0.0.1. With a command: runs it with `SPARK_REMOTE` set, ends the cluster and exits with
the command's code. Without one: runs until Ctrl-C. Nothing is left running.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"
START_S: Final = 90.0  # a server that has not answered by then has failed


class ClusterError(Exception):
    """A cluster that cannot run here: what is missing, and what to do."""


@dataclass
class Cluster:
    """A running cluster. `folder`: logs, event logs and the workers' scratch files."""

    remote: str  # address of the Connect server
    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def kill(self, name: str) -> None:
        """End one of its processes and its executors at once, as a machine that fails."""
        os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes[name].wait()

    @property
    def event_logs(self) -> list[Path]:
        """Spark's event logs: JSON lines, one file or several for each application."""
        return sorted((self.folder / "events").rglob("events_*"))


@contextmanager
def cluster(
    workers: int = 2, worker_memory: str = "3g", folder: Path | None = None, port: int = 0
) -> Iterator[Cluster]:
    """A cluster with workers of one core each; ends every process at the end. Raises `ClusterError`.

    port: of the Connect server; 0: any that is free.
    """
    home = _spark_home()
    with tempfile.TemporaryDirectory(prefix="tightness-spark-") as temporary:
        root = folder or Path(temporary)
        for name in ("logs", "events", "work", "warehouse"):
            (root / name).mkdir(parents=True, exist_ok=True)
        if port and _answers(port):
            raise ClusterError(f"{LOOPBACK}:{port} is in use: end what listens there, or choose another --port")
        master_port, connect_port = _free_port(), port or _free_port()
        running = Cluster(f"sc://{LOOPBACK}:{connect_port}", root)
        master = f"spark://{LOOPBACK}:{master_port}"
        run_class = [str(home / "bin" / "spark-class")]
        try:
            _start(running, "master", home, [
                *run_class, "org.apache.spark.deploy.master.Master", "--host", LOOPBACK, "--port", str(master_port),
                "--webui-port", str(_free_port()),
            ])  # fmt: skip
            _wait(running, "master", master_port)
            for number in range(1, workers + 1):
                _start(running, f"worker-{number}", home, [
                    *run_class, "org.apache.spark.deploy.worker.Worker", "--host", LOOPBACK, "--webui-port",
                    str(_free_port()), "--cores", "1", "--memory", worker_memory, "--work-dir",
                    str(root / "work" / str(number)), master,
                ])  # fmt: skip
            _start(running, "connect", home, [
                str(home / "bin" / "spark-submit"),
                "--class", "org.apache.spark.sql.connect.service.SparkConnectServer",
                "--master", master, *_settings(root, worker_memory, connect_port, workers), "spark-internal",
            ])  # fmt: skip
            _wait(running, "connect", connect_port)
            _wait_for_workers(running, workers)
            yield running
        finally:
            for process in reversed(running.processes.values()):
                _end(process)


def _settings(root: Path, memory: str, port: int, workers: int) -> list[str]:
    """Arguments of the Connect server: one executor a worker, everything on the loopback interface."""
    values = {
        "spark.connect.grpc.binding.address": LOOPBACK,
        "spark.connect.grpc.binding.port": port,
        "spark.driver.host": LOOPBACK,
        "spark.driver.bindAddress": LOOPBACK,
        "spark.driver.memory": "2g",
        "spark.executor.memory": f"{int(memory.removesuffix('g')) * 1024 - 512}m",
        "spark.executor.cores": 1,
        "spark.ui.enabled": "false",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.compress": "false",
        "spark.eventLog.dir": (root / "events").as_uri(),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.warehouse.dir": (root / "warehouse").as_uri(),
        "spark.sql.shuffle.partitions": 2 * workers,
        "spark.sql.adaptive.coalescePartitions.enabled": "false",  # small tables, much work for each row
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={root}",
    }
    return [part for name, value in values.items() for part in ("--conf", f"{name}={value}")]


def _spark_home() -> Path:
    """The folder of Spark in the `pyspark` wheel. Raises `ClusterError` without it or without a Java."""
    found = find_spec("pyspark")
    if found is None or found.origin is None:
        raise ClusterError("pyspark is not installed: `make cluster` sets up an environment that has it")
    java = os.environ.get("JAVA_HOME")
    if not (shutil.which("java") or (java and (Path(java) / "bin" / "java").is_file())):
        raise ClusterError("no Java was found: install Java 17 or newer (Debian: openjdk-17-jre-headless)")
    return Path(found.origin).parent


def _start(running: Cluster, name: str, home: Path, command: Sequence[str]) -> None:
    environment = os.environ | {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": LOOPBACK,
        "SPARK_LOCAL_DIRS": str(running.folder / "work"),
        "PYSPARK_PYTHON": sys.executable,
    }
    environment.pop("SPARK_REMOTE", None)  # the server must not connect to another one
    log = (running.folder / "logs" / f"{name}.log").open("wb")
    # A group of its own: a worker's executors end with it.
    running.processes[name] = subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True, cwd=running.folder
    )


def _wait(running: Cluster, name: str, port: int) -> None:
    """Wait until a process answers. Raises `ClusterError` with the end of its log."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and running.processes[name].poll() is None:
        if _answers(port):
            return
        time.sleep(0.2)
    log = (running.folder / "logs" / f"{name}.log").read_text(errors="replace").splitlines()
    raise ClusterError(f"the {name} did not start on {LOOPBACK}:{port}; the end of its log: " + " | ".join(log[-5:]))


def _wait_for_workers(running: Cluster, workers: int) -> None:
    """Wait until every worker is registered. Raises `ClusterError`."""
    log, until = running.folder / "logs" / "master.log", time.monotonic() + START_S
    while (there := log.read_text(errors="replace").count("Registering worker")) < workers:
        if time.monotonic() > until:
            raise ClusterError(f"{there} of {workers} workers are registered after {START_S:.0f} s: {log.parent}")
        time.sleep(0.2)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def _end(process: subprocess.Popen[bytes]) -> None:
    for end, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, end)
            process.wait(seconds)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.poll()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """Run the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2, help="workers of one core each (default: %(default)s)")
    parser.add_argument("--memory", default="3g", help="memory of a worker in whole GiB (default: %(default)s)")
    parser.add_argument("--port", type=int, default=15002, help="of the Connect server (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="keep logs and event logs here")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="run it with SPARK_REMOTE set, then end the cluster")
    given = parser.parse_args()
    for end in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl+C: nothing is left running
        signal.signal(end, signal.default_int_handler)
    try:
        with cluster(given.workers, given.memory, given.folder, given.port) as running:
            sys.stdout.write(f"SPARK_REMOTE={running.remote} (logs: {running.folder / 'logs'}; Ctrl-C ends it)\n")
            sys.stdout.flush()
            if given.command:
                environment = os.environ | {"SPARK_REMOTE": running.remote, "TIGHTNESS_ENGINE": "spark"}
                return subprocess.run(given.command, env=environment, check=False).returncode
            while not (ended := [name for name, process in running.processes.items() if process.poll() is not None]):
                time.sleep(1)
            raise ClusterError(f"{ended[0]} has ended; the cluster ends too")
    except ClusterError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
