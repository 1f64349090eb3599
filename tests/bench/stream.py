"""`make bench-stream`: a body of 1 GiB through a gateway, and what it costs in memory.

Up, down, and both at once: a node that takes a body, one that sends one, and one that sends each part back
before it reads the next. Each in HTTP/1 and in HTTP/2 (without TLS) from curl; to the node it is HTTP/1.
What counts is the memory of the gateway's process: before, and the most of it while the body passes. Each
turn begins with a small body, so that what is there once only is there. The method is in docs/performance.md.

  REFGATE_BENCH_MIB         size of the body in MiB (1024)
  REFGATE_BENCH_TURNS       "up down both"
  REFGATE_BENCH_PROTOCOLS   "http1 h2"
  REFGATE_BENCH_BIN         directory with refgate (it is built)
  REFGATE_BENCH_PROFILE     the profile of cargo that builds it (dist)
  REFGATE_BENCH_NAME        the name of the file in target/bench (stream)
"""

import datetime
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import group
from harness import (
    ROOT, Process, binaries, die, free_port, keep, machine, need, need_linux, output_of, result_name, say, scratch,
    setting, settings, status, wait_for,
)

HOST = "stream.example.com"
MIB = 1 << 20
PART = 256 << 10
SMALL = 8
# A body that does not get through is a failure, not a slow one.
SECONDS = 300
TURNS = ("up", "down", "both")
PROTOCOLS = {"http1": "--http1.1", "h2": "--http2-prior-knowledge"}


class Node:
    """Takes bodies, sends them, sends them back; a thread for each connection."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            link, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link):
        with link, link.makefile("rb") as reader:
            while head := self._head(reader):
                kind, size = head
                part = memoryview(bytearray(PART))
                down = size if kind == "both" else int(kind) * MIB if kind.isdigit() else 0
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {down}\r\n\r\n".encode()
                if kind == "both":
                    link.sendall(head)
                while size:
                    taken = reader.readinto1(part[:size])
                    if not taken:
                        return
                    size -= taken
                    if kind == "both":
                        link.sendall(part[:taken])
                if kind != "both":
                    link.sendall(head)
                    while down:
                        sent = min(down, PART)
                        link.sendall(part[:sent])
                        down -= sent

    @staticmethod
    def _head(reader):
        """The last part of the path, and how long the body is; nothing when no request comes any more."""
        size, line = 0, reader.readline()
        if not line:
            return None
        kind = line.split()[1].decode().rpartition("/")[2]
        while (field := reader.readline().strip().lower()):
            if field.startswith(b"content-length:"):
                size = int(field.partition(b":")[2])
        return kind, size


def transfer(port, protocol, turn, mebibytes, body):
    """Sends, fetches or both; gives the seconds that it took."""
    os.truncate(body, mebibytes * MIB)
    path = mebibytes if turn == "down" else turn
    command = [
        "curl", "--silent", "--show-error", "--max-time", SECONDS, PROTOCOLS[protocol], "--output", "/dev/null",
        "--header", f"Host: {HOST}", "--header", "Expect:",
        "--write-out", "%{http_code} %{size_upload} %{size_download} %{time_total}",
        *(("--upload-file", body) if turn != "down" else ()), f"http://127.0.0.1:{port}/r0/{path}",
    ]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    size = mebibytes * MIB
    wanted = ["200", str(size if turn != "down" else 0), str(size if turn != "up" else 0)]
    told = done.stdout.split()
    if done.returncode or told[:3] != wanted:
        die(f"{protocol} {turn}: {done.stdout} {done.stderr.strip()}")
    return float(told[3])


def measure(program, protocol, turn, size):
    work = scratch("stream")
    node, port = Node(), free_port()
    repository = work / "config.git"
    group.create(repository, 1, lambda number: group.runtime(node.port, [HOST]))
    gateway = Process(
        [program, "gateway", "--group", group.GROUP, "--source", repository, "--listen", f"127.0.0.1:{port}", "--h2c"],
        work / "gateway.log")
    wait_for(lambda: status(port, HOST, "/r0/up") == 200, gateway)
    body = work / "body"
    body.touch()
    transfer(port, protocol, turn, min(SMALL, size), body)
    before = gateway.memory()
    # From here on the peak counts anew.
    Path(f"/proc/{gateway.pid}/clear_refs").write_text("5")
    used = gateway.cpu()
    seconds = transfer(port, protocol, turn, size, body)
    figures = {
        "protocol": protocol, "turn": turn, "mib": size, "mib_per_second": size / seconds, "before_mib": before,
        "peak_mib": gateway.peak(), "cpu_seconds": gateway.cpu() - used,
    }
    gateway.end()
    say(f"{protocol:5} {turn:4} {size:6,} MiB {figures['mib_per_second']:7,.0f} MiB/s, memory {before:5.1f} MiB before, "
        f"{figures['peak_mib']:5.1f} at most; {figures['cpu_seconds']:.2f} s of CPU")
    return figures


def main():
    need_linux(1)
    size = setting("MIB", 1024)
    turns, protocols = settings("TURNS", TURNS), settings("PROTOCOLS", PROTOCOLS)
    if not set(turns) <= set(TURNS) or not set(protocols) <= set(PROTOCOLS):
        die(f"there are the turns {' '.join(TURNS)} and the protocols {' '.join(PROTOCOLS)}")
    lacking = need({"curl": "curl", "git": "git"})
    if lacking:
        die(f"install {' '.join(lacking)} and run this again")
    program = binaries("refgate")["refgate"]
    result = {
        "bench": "stream",
        "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": output_of("git", "-C", ROOT, "describe", "--always", "--dirty"),
        "machine": machine(),
        "versions": {"refgate": output_of(program, "--version"), "curl": output_of("curl", "--version")},
        "settings": {"profile": os.environ.get("REFGATE_BENCH_PROFILE", "dist")},
        "turns": [measure(program, protocol, turn, size) for protocol in protocols for turn in turns],
    }
    say(f"raw: {keep(result_name('stream') + '.json', result)}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
