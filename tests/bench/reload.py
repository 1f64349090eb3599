"""`make bench-reload`: from a commit to serving it, with one changed route in a large group.

For each size: a gateway starts on a repository with so many routes, and the time until it serves the
last of them is taken. Then routes change one at a time: the commit is written, the branch moves to
it by a rename, and a client that asks without a pause over one open connection waits for the answer
to change from 404 to 200. The time goes from the rename to the end of that answer. Raw times are
kept in target/bench/reload.json. The method is in docs/performance.md.

  REFGATE_BENCH_ROUTES     sizes of the group ("1000 5000 100000")
  REFGATE_BENCH_CHANGES    changes at each size (200)
  REFGATE_BENCH_STARTS     starts at each size; the median counts (3)
  REFGATE_BENCH_BIN        directory with refgate (it is built)
  REFGATE_BENCH_PROFILE    the profile of cargo that builds it (dist)
  REFGATE_BENCH_NAME       the name of the file in target/bench (reload)
"""

import datetime
import os
import socket
import sys
import time
import urllib.request

import group
from harness import (
    ROOT, Process, binaries, die, free_port, keep, machine, median, need, need_linux, nginx_origin, output_of,
    percentile, result_name, say, scratch, setting, settings, status, wait_for,
)

DOMAIN = "bench.example.com"
WARM = 3  # changes that are not counted

# By number of routes: p99 of a change in milliseconds.
RELOAD = {5_000: 20, 100_000: 100}
# At so many routes: memory in MiB, seconds until it serves.
LARGE, MEMORY, START = 100_000, 400, 5


class Client:
    """One connection that stays open; every answer is read whole."""

    def __init__(self, port):
        self.link = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.held = b""

    def _more(self):
        part = self.link.recv(65536)
        if not part:
            die("the gateway closed the connection")
        self.held += part

    def ask(self, request):
        """The status of the answer."""
        self.link.sendall(request)
        while b"\r\n\r\n" not in self.held:
            self._more()
        head, _, self.held = self.held.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), None)
        if length is None:
            die(f"an answer without a length: {head!r}")
        while len(self.held) < length:
            self._more()
        self.held = self.held[length:]
        return int(lines[0].split()[1])


def host(number):
    return f"s{number}.{DOMAIN}"


def main():
    need_linux(1)
    sizes = [int(size) for size in settings("ROUTES", ("1000", "5000", "100000"))]
    changes, starts = setting("CHANGES", 200), setting("STARTS", 3)
    lacking = need({"nginx": "nginx", "git": "git"})
    if lacking:
        die(f"install {' '.join(lacking)} and run this again")
    program = binaries("refgate")["refgate"]
    result = {
        "bench": "reload",
        "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": output_of("git", "-C", ROOT, "describe", "--always", "--dirty"),
        "machine": machine(),
        "versions": {"refgate": output_of(program, "--version"), "git": output_of("git", "--version")},
        "settings": {"changes": changes, "starts": starts, "routes_a_service": group.ROUTES},
        "sizes": [],
    }
    say(f"machine: {result['machine']['cores']} cores, {result['machine']['processor']}, "
        f"load {' '.join(map(str, result['machine']['load_before']))}; {', '.join(result['versions'].values())}")
    for size in sizes:
        result["sizes"].append(measure(program, size, changes, starts))
    result["machine"]["load_after"] = [round(load, 2) for load in os.getloadavg()]
    say(f"\nraw: {keep(result_name('reload') + '.json', result)}\n")
    table(result)


def start(program, work, repository, services, number):
    """A gateway that serves the last of the services, and how long that took."""
    port, monitor = free_port(), free_port()
    process = Process(
        [program, "gateway", "--group", group.GROUP, "--source", repository, "--listen", f"127.0.0.1:{port}",
         "--status-listen", f"127.0.0.1:{monitor}"], work / f"gateway{number}.log")
    wait_for(lambda: status(port, host(services - 1), "/r0/") == 200, process)
    return process, port, monitor, time.monotonic() - process.began


def measure(program, size, changes, starts):
    work = scratch("reload")
    repository = work / "config.git"
    origin = nginx_origin(work)
    begun = time.monotonic()
    services = group.create(repository, size, lambda number: group.runtime(origin, [host(number)]))
    say(f"{size} routes in {services} services: written in {time.monotonic() - begun:.1f} s")
    times = []
    for number in range(starts):
        process, port, monitor, took = start(program, work, repository, services, number)
        times.append(took)
        if number + 1 < starts:
            process.end()
    figures = {"routes": size, "services": services, "start_s": times, "loaded_mib": process.memory(), "loaded_peak_mib": process.peak()}
    say(f"{size} routes: serves {median(times):.2f} s after its start, {figures['loaded_mib']:.0f} MiB")

    writer, client = group.Writer(repository, services), Client(port)
    figures["change_ms"], asked = [], 0
    for number in range(changes + WARM):
        # All over the group, no service twice in a row.
        service = number * 7919 % services
        writer.prepare(service, group.route(0, [f"/change-{number}"]))
        request = f"GET /change-{number} HTTP/1.1\r\nHost: {host(service)}\r\n\r\n".encode()
        if client.ask(request) != 404:
            die(f"/change-{number} is served before it is there")
        # Before, not after: the gateway may be at work before the rename has returned to us.
        moved = time.monotonic()
        writer.publish()
        while (answer := client.ask(request)) == 404:
            asked += 1
            if time.monotonic() - moved > 60:
                die(f"change {number} was never served:\n{process.tail()}")
        served = time.monotonic()
        if answer != 200:
            die(f"/change-{number} of {host(service)} was answered {answer}:\n{process.tail()}")
        if number >= WARM:
            figures["change_ms"].append((served - moved) * 1000)
    figures["asked"] = asked
    figures["changed_mib"], figures["peak_mib"] = process.memory(), process.peak()
    with urllib.request.urlopen(f"http://127.0.0.1:{monitor}/readyz", timeout=10) as answer:
        if answer.status != 200:
            die("the gateway is not ready")
    process.end()
    return figures


def table(result):
    """The figures as Markdown, then what there are budgets for."""
    say("| routes | change to serving, p50 | p99 | longest | start | memory, loaded | after the changes | peak |")
    say("|---|---|---|---|---|---|---|---|")
    verdicts = []
    for each in result["sizes"]:
        times = sorted(each["change_ms"])
        p99, begun = percentile(times, 0.99), median(each["start_s"])
        say(f"| {each['routes']:,} | {percentile(times, 0.5):.1f} ms | {p99:.1f} ms | {times[-1]:.1f} ms | {begun:.2f} s "
            f"| {each['loaded_mib']:.0f} MiB | {each['changed_mib']:.0f} MiB | {each['peak_mib']:.0f} MiB |")
        checks = [("p99 of a change", p99, RELOAD.get(each["routes"]), "ms")]
        if each["routes"] == LARGE:
            checks += [("memory after the changes", each["changed_mib"], MEMORY, "MiB"), ("start", begun, START, "s")]
        for what, value, budget, unit in checks:
            if budget:
                verdicts.append(f"{each['routes']:,} routes, {what}: {value:.1f} {unit}, budget {budget} {unit}: "
                                f"{'kept' if value <= budget else 'missed'}")
    say(f"\n{result['settings']['changes']} changes at each size")
    for verdict in verdicts:
        say(verdict)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
