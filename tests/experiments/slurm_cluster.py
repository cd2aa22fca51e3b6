"""A SLURM of one node on loopback, with files of its own, for as long as a test needs it."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.marked import marked

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
START_SECONDS = 60
#: Debian keeps the daemons where only root's PATH looks.
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

CONFIGURATION = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName=localhost NodeAddr=127.0.0.1 NodeHostname={host} CPUs={cpus} State=UNKNOWN
PartitionName=test Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


class Unavailable(Exception):
    """Raised if SLURM cannot run here; the message gives the reason."""


class Cluster:
    """The daemons; made by `cluster`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": PATH}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *command: str) -> None:
        """Start a daemon in the foreground of a child process; its output goes to a file."""
        with (self.folder / f"{command[0]}.out").open("ab") as output:
            self._daemons[command[0]] = subprocess.Popen(
                command, env=self.environment, stdout=output, stderr=output
            )

    def end(self, name: str) -> None:
        """End a daemon."""
        daemon = self._daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def end_all(self) -> None:
        """End the daemons and all processes that they started."""
        for name in reversed(list(self._daemons)):
            self.end(name)
        for process in marked(f"SLURM_CONF={self.folder}/slurm.conf"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def ask(self, *command: str, timeout: float = START_SECONDS) -> str:
        """Return the output of a command of SLURM."""
        run = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=timeout
        )
        if run.returncode:
            raise RuntimeError(f"{' '.join(command)}: {run.stderr or run.stdout}")
        return run.stdout

    def wait_for(self, wanted: str, *command: str) -> None:
        """Ask until the answer has the text `wanted` in it."""
        answer, end = "", time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            for name, daemon in self._daemons.items():
                if daemon.poll() is not None:
                    output = (self.folder / f"{name}.out").read_text(errors="replace")
                    raise Unavailable(f"{name} ended: {output.strip()[-500:]}")
            try:
                answer = self.ask(*command)
            except RuntimeError as error:
                answer = str(error)
            if wanted in answer:
                return
            time.sleep(0.5)
        raise Unavailable(f"{' '.join(command)} gave no {wanted!r}, but: {answer.strip()}")


@contextmanager
def cluster(folder: Path, cpus: int) -> Iterator[Cluster]:
    """Start SLURM with all its files in `folder`, and end it.

    Raises:
        Unavailable: If it is not installed, or does not start.
    """
    if missing := [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]:
        raise Unavailable(f"not installed: {', '.join(missing)} (Debian: slurm-wlm, munge)")
    _configure(folder, cpus)
    found = Cluster(folder)
    try:
        socket_, key = folder / "munge.socket", folder / "munge.key"
        names = ("pid", "log", "seed")
        files = [f"--{name}-file={folder}/munge.{name}" for name in names]
        found.start("munged", "-F", f"--socket={socket_}", f"--key-file={key}", *files)
        found.wait_for("STATUS", "sh", "-c", f"munge -S {socket_} -n | unmunge -S {socket_}")
        found.start("slurmctld", "-D", "-c")
        found.start("slurmd", "-D", "-N", "localhost")
        found.wait_for("idle", "sinfo", "--noheader", "--format=%T")
        yield found
    finally:
        found.end_all()


def _configure(folder: Path, cpus: int) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    for path, mode in ((key, 0o600), (folder, 0o755)):
        path.chmod(mode)
    text = CONFIGURATION.format(
        folder=folder,
        cpus=cpus,
        user=pwd.getpwuid(os.getuid()).pw_name,
        host=socket.gethostname().split(".")[0],
        controller_port=_free_port(),
        node_port=_free_port(),
    )
    (folder / "slurm.conf").write_text(text)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
