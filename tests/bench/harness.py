"""What the benchmarks share: processes on a core of their own, their CPU time and memory, results in a file.

Linux and the standard library of Python only. Everything that is started listens on 127.0.0.1 and is
ended by its id. The benchmarks themselves are `gateway.py` and `reload.py`.
"""

import atexit
import contextlib
import json
import os
import platform
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


def say(text=""):
    print(text, flush=True)


def die(text):
    sys.exit(f"bench: {text}")


def setting(name, default):
    """The number behind REFGATE_BENCH_<name>."""
    text = os.environ.get(f"REFGATE_BENCH_{name}", "")
    try:
        number = float(text) if text else default
    except ValueError:
        number = 0
    if number <= 0:
        die(f"REFGATE_BENCH_{name}={text}: a number greater than 0 is needed")
    return int(number) if number == int(number) else number


def settings(name, default):
    """The words behind REFGATE_BENCH_<name>."""
    return os.environ.get(f"REFGATE_BENCH_{name}", "").split() or list(default)


# --- what is needed -------------------------------------------------------------------------


def need_linux(cores):
    if platform.system() != "Linux":
        die("needs Linux (processor affinity, /proc)")
    if len(os.sched_getaffinity(0)) < cores:
        die(f"needs {cores} cores")
    # Thousands of connections, and configurations that reserve as many.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def need(packages):
    """Installs what is missing of {command: Debian package}; gives back the commands that are not to be had."""
    missing = {package for command, package in packages.items() if not shutil.which(command)}
    if missing and shutil.which("apt-get"):
        say(f"installing {' '.join(sorted(missing))}")
        root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        # The packages would start services on ports of their own: not wanted here.
        environment = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        with contextlib.suppress(OSError):
            subprocess.run([*root, "apt-get", "update", "-q"], **quiet)
            install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *sorted(missing)]
            subprocess.run([*root, *environment, *install], **quiet)
    return [command for command in packages if not shutil.which(command)]


def target_directory():
    if not shutil.which("cargo"):
        return ROOT / "target"
    asked = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
    return Path(json.loads(told.stdout)["target_directory"]) if told.returncode == 0 else ROOT / "target"


def binaries(*wanted):
    """Paths of Refgate's programs by name: those below REFGATE_BENCH_BIN, or they are built.

    `empty-proxy` is an example of the package of the tests, the rest are binaries.
    """
    given = os.environ.get("REFGATE_BENCH_BIN")
    if given:
        places = [Path(given)]
    else:
        profile = os.environ.get("REFGATE_BENCH_PROFILE", "dist")
        command = ["cargo", "build", "--profile", profile, "-p", "refgate", "-p", "refgate-tests"]
        for name in wanted:
            command += ["--example" if name == "empty-proxy" else "--bin", name]
        if subprocess.run(command, cwd=ROOT).returncode:
            die("the build failed")
        places = [target_directory() / ("debug" if profile == "dev" else profile)]
    found = {}
    for name in wanted:
        paths = [path / name for place in places for path in (place, place / "examples")]
        found[name] = next((path.resolve() for path in paths if os.access(path, os.X_OK)), None)
        if not found[name]:
            die(f"there is no {name} in {places[0]}")
    return found


def scratch(what):
    """A new directory below the target folder, removed at the end."""
    place = target_directory() / "tmp"
    place.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"refgate-{what}-", dir=place))
    atexit.register(shutil.rmtree, work, ignore_errors=True)
    return work


# --- processes ------------------------------------------------------------------------------

_running = []


def _end_all():
    for process in reversed(_running):
        process.end()


atexit.register(_end_all)
for _signal in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(_signal, lambda number, frame: sys.exit(128 + number))


class Process:
    """A program with its output in a file, on given cores."""

    def __init__(self, command, log, cores=None, environment=None):
        self.log = Path(log)
        # Appending: the file may be emptied while the program writes.
        with open(self.log, "ab") as out:
            self.began = time.monotonic()
            self.popen = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={**os.environ, **(environment or {})},
                preexec_fn=None if cores is None else lambda: os.sched_setaffinity(0, cores),
            )
        self.pid = self.popen.pid
        _running.append(self)

    def end(self):
        """Ends it kindly, after a while less so."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(20)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        if self in _running:
            _running.remove(self)

    def tail(self):
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-20:])

    def line(self, pattern):
        """Waits for a line of output that fits, gives its first group."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            found = re.search(pattern, self.log.read_text(errors="replace"), re.MULTILINE)
            if found:
                return found.group(1)
            if self.popen.poll() is not None:
                break
            time.sleep(0.02)
        die(f"{pattern} was not said:\n{self.tail()}")

    def family(self):
        """The ids of it and of all below it."""
        ids = [self.pid]
        for each in ids:
            with contextlib.suppress(OSError):
                for thread in Path(f"/proc/{each}/task").iterdir():
                    ids += [int(child) for child in (thread / "children").read_text().split()]
        return ids

    def cpu(self):
        """Seconds in user and system mode so far, of all threads and children."""
        ticks = 0
        for each in self.family():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS

    def memory(self):
        """MiB in memory; pages that it shares with its children count once."""
        family = self.family()
        kind = "Rss" if len(family) == 1 else "Pss"
        kibibytes = 0
        for each in family:
            with contextlib.suppress(OSError):
                text = Path(f"/proc/{each}/smaps_rollup").read_text()
                kibibytes += int(re.search(rf"^{kind}: +(\d+)", text, re.MULTILINE).group(1))
        return kibibytes / 1024

    def peak(self):
        """MiB that it had in memory at most."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"^VmHWM:\s+(\d+)", text, re.MULTILINE).group(1)) / 1024


_ports = set()


def free_port():
    """A port that nothing listens on, and that was not given before."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        # Below those that the system gives to connections, so that none of these takes it.
        port = 10_000 + port % 20_000
        with socket.socket() as probe:
            if port not in _ports and probe.connect_ex(("127.0.0.1", port)):
                _ports.add(port)
                return port


def nginx_origin(work, cores=None, address="127.0.0.1"):
    """An nginx that answers 200 and three bytes to everything; gives its port."""
    place = Path(work, "origin")
    place.mkdir()
    port = free_port()
    (place / "nginx.conf").write_text(f"""
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{ worker_connections 16000; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 600s;
{nginx_temporary(place)}
  server {{ listen {address}:{port} backlog=4096; location / {{ return 200 "ok\\n"; }} }}
}}
""")
    origin = Process(["nginx", "-c", place / "nginx.conf", "-p", place], place / "log", cores)
    wait_for(lambda: status(port, "origin", "/") == 200, origin)
    return port


def nginx_temporary(place):
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "\n".join(f"  {kind}_temp_path {place}/{kind};" for kind in kinds)


def wait_for(done, process, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.popen.poll() is not None:
            break
        if done():
            return
        time.sleep(0.02)
    die(f"{process.popen.args[0]} does not answer:\n{process.tail()}")


def status(port, host, path):
    """The status of one GET over a connection of its own; 0 without an answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
            link.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = link.makefile("rb").readline().split()
            return int(answer[1]) if len(answer) > 1 else 0
    except OSError:
        return 0


# --- figures --------------------------------------------------------------------------------


def median(values):
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def percentile(ordered, share):
    """Of values in order: the one that this share of them is not above."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def output_of(*command):
    """The first line that a program says of itself, or nothing."""
    try:
        told = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (told.stdout + told.stderr).strip().splitlines()
    return lines[0] if lines else ""


def machine():
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cores": os.cpu_count(),
        "processor": found.group(1) if found else platform.machine(),
        "kernel": platform.release(),
        "load_before": [round(load, 2) for load in os.getloadavg()],
    }


def result_name(default):
    """What the files of this run are called: REFGATE_BENCH_NAME, so that a run beside does not replace them."""
    name = os.environ.get("REFGATE_BENCH_NAME", "") or default
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        die(f"REFGATE_BENCH_NAME={name}: letters, digits, '.', '_' and '-' only")
    return name


def keep(name, result):
    """Writes a result below target/bench, whole or not at all."""
    place = target_directory() / "bench"
    place.mkdir(parents=True, exist_ok=True)
    path = place / name
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(result if isinstance(result, str) else json.dumps(result, indent=1) + "\n")
    part.replace(path)
    return path
