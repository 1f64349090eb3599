"""`make bench-idle`: what connections that rest between requests cost a gateway in memory.

Clients connect, each makes one request and keeps its connection open; then all rest. The memory of the
gateway's process before the first of them and after the last is what counts, divided by their number.
Each kind of connection has a gateway of its own. The kernel's part of a connection is in no process and
is not counted. The method is in docs/performance.md.

  REFGATE_BENCH_KINDS         "http1 tls h2"; tls is HTTP/1 over TLS, h2 is HTTP/2 without TLS
  REFGATE_BENCH_CONNECTIONS   connections in HTTP/1 without TLS (10000); of the other kinds a tenth
  REFGATE_BENCH_BIN           directory with refgate (it is built)
  REFGATE_BENCH_PROFILE       the profile of cargo that builds it (dist)
  REFGATE_BENCH_NAME          the name of the file in target/bench (idle)
"""

import datetime
import os
import resource
import socket
import ssl
import sys

import group
import peers
from harness import (
    ROOT, Process, binaries, die, free_port, keep, machine, need, need_linux, nginx_origin, output_of, result_name, say,
    scratch, setting, settings, status, wait_for,
)

HOST = "idle.example.com"
REQUEST = f"GET /r0/ HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
# Connections that are asked at a time, so that all threads of the gateway take part.
AT_ONCE = 50
# From one source address there are fewer ports than this.
PER_ADDRESS = 20_000

ACKNOWLEDGED = b"\0\0\0\x04\x01\0\0\0\0"


def connect(port, number):
    link = socket.socket()
    link.settimeout(60)
    link.bind((f"127.0.0.{1 + number // PER_ADDRESS}", 0))
    link.connect(("127.0.0.1", port))
    return link


class Http1:
    """A connection in HTTP/1, over TLS with a context."""

    def __init__(self, port, number, context=None):
        self.link = connect(port, number)
        if context:
            self.link = context.wrap_socket(self.link, server_hostname=HOST)

    def send(self):
        self.link.sendall(REQUEST)

    def receive(self):
        held = b""
        while not held.endswith(b"\r\n\r\nok\n"):
            part = self.link.recv(4096)
            if not part:
                die("the gateway closed a connection")
            held += part
        if not held.startswith(b"HTTP/1.1 200 "):
            die(f"not the answer that was expected: {held!r}")


class Http2:
    """A connection in HTTP/2: just enough of it for requests one after the other."""

    def __init__(self, port, number):
        self.link = connect(port, number)
        self.link.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0")
        self.stream = -1

    def send(self):
        self.stream += 2
        # GET and http are in the table of HPACK; path and authority have their names there.
        fields = b"\x82\x86\x04\x04/r0/\x01" + bytes([len(HOST)]) + HOST.encode()
        # HEADERS, which end both themselves and the stream.
        self.link.sendall(len(fields).to_bytes(3, "big") + b"\x01\x05" + self.stream.to_bytes(4, "big") + fields)

    def receive(self):
        body = b""
        while True:
            head = self._read(9)
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            payload = self._read(int.from_bytes(head[:3], "big"))
            if kind == 4 and not flags & 1:
                self.link.sendall(ACKNOWLEDGED)
            elif kind in (3, 7):
                die(f"the gateway ended a stream or a connection: {head!r} {payload!r}")
            elif kind == 0:
                body += payload
            if kind in (0, 1) and stream == self.stream and flags & 1:
                break
        if body != b"ok\n":
            die(f"not the answer that was expected: {body!r}")

    def _read(self, length):
        held = b""
        while len(held) < length:
            part = self.link.recv(length - len(held))
            if not part:
                die("the gateway closed a connection")
            held += part
        return held


def tls_context(chain):
    context = ssl.create_default_context(cafile=str(chain))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def asked(opened):
    """All of them have an answer, some at a time."""
    for begin in range(0, len(opened), AT_ONCE):
        some = opened[begin : begin + AT_ONCE]
        for each in some:
            each.send()
        for each in some:
            each.receive()


def measure(program, kind, count):
    work = scratch("idle")
    chain, key = peers.certificate(work)
    certificate = {"snis": [HOST], "certificate": chain.read_text(), "private_key": f"$file://{key}"}
    origin = nginx_origin(work)
    repository = work / "config.git"
    group.create(repository, 1, lambda number: group.runtime(origin, [HOST]), {"idle": certificate})
    port, encrypted = free_port(), free_port()
    gateway = Process(
        [program, "gateway", "--group", group.GROUP, "--source", repository, "--listen", f"127.0.0.1:{port}", "--h2c",
         "--tls-listen", f"127.0.0.1:{encrypted}", "--idle-timeout", "3600"], work / "gateway.log")
    wait_for(lambda: status(port, HOST, "/r0/") == 200, gateway)
    context = tls_context(chain)
    opens = {
        "http1": lambda number: Http1(port, number),
        "tls": lambda number: Http1(encrypted, number, context),
        "h2": lambda number: Http2(port, number),
    }[kind]

    # What is there once only: threads, the allocator's own, connections to the origin.
    warm = [opens(number) for number in range(AT_ONCE)]
    asked(warm)
    asked(warm)
    before = gateway.memory()
    resting = []
    while len(resting) < count:
        some = [opens(number) for number in range(len(resting), min(count, len(resting) + AT_ONCE))]
        asked(some)
        resting += some
    after = gateway.memory()
    # All are still there, and served.
    asked(resting[:: max(1, count // 100)])
    figures = {
        "kind": kind, "connections": count, "before_mib": before, "after_mib": after,
        "kib_each": (after - before) * 1024 / count,
    }
    for each in warm + resting:
        each.link.close()
    gateway.end()
    say(f"{kind}: {count:,} connections, {before:.1f} MiB before, {after:.1f} MiB after: {figures['kib_each']:.1f} KiB each")
    return figures


def main():
    need_linux(1)
    count = setting("CONNECTIONS", 10_000)
    kinds = settings("KINDS", ("http1", "tls", "h2"))
    if not set(kinds) <= {"http1", "tls", "h2"}:
        die(f"REFGATE_BENCH_KINDS: {' '.join(kinds)}: there are http1 tls h2")
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < count + 1_000:
        die(f"{count} connections need {count + 1_000} open files, allowed are {most} (ulimit -n)")
    lacking = need({"nginx": "nginx", "git": "git", "openssl": "openssl"})
    if lacking:
        die(f"install {' '.join(lacking)} and run this again")
    program = binaries("refgate")["refgate"]
    result = {
        "bench": "idle",
        "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": output_of("git", "-C", ROOT, "describe", "--always", "--dirty"),
        "machine": machine(),
        "versions": {"refgate": output_of(program, "--version")},
        "settings": {"profile": os.environ.get("REFGATE_BENCH_PROFILE", "dist")},
        "kinds": [measure(program, kind, count if kind == "http1" else max(1, count // 10)) for kind in kinds],
    }
    say(f"raw: {keep(result_name('idle') + '.json', result)}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
