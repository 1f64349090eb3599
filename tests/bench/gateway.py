"""`make bench-gateway`: what one proxied request costs in Refgate's gateway, and what in others.

Each gateway is alone on the first core; the load and the upstream, an nginx that answers three bytes,
share the second. The figure that counts is the gateway's CPU time per request, from /proc before and
after a turn: it hardly depends on what else the machine does, while requests per second do. The
gateways take turns. Every turn is kept in target/bench/gateway.json; table, ratios and picture are made
from that file, now or later by `gateway.py --show`. The method is in docs/performance.md.

  REFGATE_BENCH_SECONDS     length of one turn (8)
  REFGATE_BENCH_ROUNDS      turns of each gateway (3)
  REFGATE_BENCH_ROUTES      sizes of the table ("1 1000 10000")
  REFGATE_BENCH_PROTOCOLS   "http1 h2"; h2 is HTTP/2 over TLS
  REFGATE_BENCH_NODES       "one", the same node for all services, or "each", a node for each service (one)
  REFGATE_BENCH_GATEWAYS    "refgate empty-pingora nginx haproxy envoy"; NAME=PATH is another build of refgate
  REFGATE_BENCH_BIN         directory with refgate and empty-proxy (they are built)
  REFGATE_BENCH_PROFILE     the profile of cargo that builds them (dist)
  REFGATE_BENCH_NAME        the name of the files in target/bench (gateway)
"""

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import peers
import report
from harness import (
    ROOT, binaries, die, keep, machine, need, need_linux, nginx_origin, output_of, result_name, say, scratch, setting,
    settings, status, target_directory, wait_for,
)
from load import CLIENTS, CONNECTIONS, STREAMS, Load

PROTOCOLS = ("http1", "h2")


def main():
    if sys.argv[1:2] == ["--show"]:
        path = Path(sys.argv[2]) if len(sys.argv) > 2 else target_directory() / "bench" / f"{result_name('gateway')}.json"
        if not path.exists():
            die(f"there is no {path}")
        show(json.loads(path.read_text()))
        return
    need_linux(2)
    seconds, rounds = setting("SECONDS", 8), setting("ROUNDS", 3)
    sizes = [int(size) for size in settings("ROUTES", ("1", "1000", "10000"))]
    protocols = settings("PROTOCOLS", PROTOCOLS)
    if not set(protocols) <= set(PROTOCOLS):
        die(f"REFGATE_BENCH_PROTOCOLS: {' '.join(protocols)}: there are {' '.join(PROTOCOLS)}")
    nodes = os.environ.get("REFGATE_BENCH_NODES", "one")
    if nodes not in ("one", "each"):
        die(f"REFGATE_BENCH_NODES: {nodes}: there are one and each")
    names = {asked.partition("=")[0] for asked in settings("GATEWAYS", peers.STARTS)}
    packages = {"nginx": "nginx", "openssl": "openssl", "git": "git", "taskset": "util-linux", "timeout": "coreutils", "wrk": "wrk"}
    if "h2" in protocols:
        packages["h2load"] = "nghttp2-client"
    lacking = need(packages | ({"haproxy": "haproxy"} if "haproxy" in names else {}))
    if set(lacking) - {"haproxy"}:
        die(f"install {' '.join(packages[name] for name in lacking if name in packages)} and run this again")
    own = {name: program for name, program in (("refgate", "refgate"), ("empty-pingora", "empty-proxy")) if name in names}
    built = binaries(*own.values()) if own else {}
    chosen = peers.choose({name: built[program] for name, program in own.items()}, lacking)
    if not chosen:
        die("there is no gateway to measure")

    result = {
        "bench": "gateway",
        "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": output_of("git", "-C", ROOT, "describe", "--always", "--dirty"),
        "machine": machine(),
        "versions": {name: peers.version(*each) for name, each in chosen.items()}
        | {"upstream": output_of("nginx", "-v"), "wrk": output_of("wrk", "-v"), "h2load": output_of("h2load", "--version")},
        "settings": {
            "seconds": seconds, "rounds": rounds, "nodes": nodes, "connections": CONNECTIONS, "h2_connections": CLIENTS, "h2_streams": STREAMS,
            "access_log": "all but empty-pingora", "profile": os.environ.get("REFGATE_BENCH_PROFILE", "dist"),
        },
        "turns": [],
    }
    report.heading(result)
    first, second = sorted(os.sched_getaffinity(0))[:2]
    for size in sizes:
        table = peers.Table(size, nodes == "each")
        measure(result, chosen, table, protocols, rounds, seconds, {first}, {second})
    result["machine"]["load_after"] = [round(load, 2) for load in os.getloadavg()]
    say(f"\nraw: {keep(result_name('gateway') + '.json', result)}")
    show(result)


def measure(result, chosen, table, protocols, rounds, seconds, core, other):
    """All turns with this table."""
    work = scratch("gateway")
    chain, key = peers.certificate(work)
    # Every address of the loopback network is this machine.
    upstream = nginx_origin(work, other, "0.0.0.0" if table.own_nodes else "127.0.0.1")
    load = Load(work, table, other)
    setting = peers.Setting(work, table, upstream, chain, key, core)
    gateways = []
    for name, (kind, program) in chosen.items():
        gateway = peers.STARTS[kind](setting, name, program)
        check(gateway, load.requests, kind)
        gateways.append(gateway)
    for protocol in protocols:
        for gateway in gateways:
            load.turn(protocol, gateway, 2)  # Connections, allocators and caches get warm.
        for number in range(1, rounds + 1):
            for gateway in gateways:
                gateway.turn_begins()
                before = gateway.process.cpu()
                figures = load.turn(protocol, gateway, seconds)
                spent = gateway.process.cpu() - before
                turn = {
                    "routes": table.routes, "protocol": protocol, "gateway": gateway.name, "round": number,
                    "requests": figures["requests"], "rps": figures["requests"] / figures["seconds"],
                    "cpu_us": spent * 1e6 / figures["requests"], "busy": spent / figures["seconds"],
                    "p50_us": figures["p50"], "p99_us": figures["p99"], "memory_mib": gateway.process.memory(),
                }
                result["turns"].append(turn)
                report.turn(turn)
                check_log(gateway)
    for gateway in gateways:
        gateway.process.end()


def check(gateway, requests, kind):
    """Waits until it serves, then holds that it routes: a route here and there, and what is none."""
    host, path = requests[0]
    wait_for(lambda: status(gateway.port, host, path) == 200, gateway.process)
    for host, path in requests[:: max(1, len(requests) // 50)]:
        if status(gateway.port, host, path) != 200:
            die(f"{gateway.name} does not serve {host}{path}:\n{gateway.process.tail()}")
    if kind != "empty-pingora" and status(gateway.port, requests[0][0], "/nowhere") == 200:
        die(f"{gateway.name} serves what is no route")


def check_log(gateway):
    """What is said to log does."""
    if gateway.access_log and not gateway.access_log.stat().st_size:
        die(f"{gateway.name} has logged nothing to {gateway.access_log}")


def show(result):
    report.table(result)
    for protocol in dict.fromkeys(turn["protocol"] for turn in result["turns"]):
        report.ratios(result, protocol)
    say(f"\npicture: {keep(result_name('gateway') + '-cpu.svg', report.picture(result))}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except subprocess.SubprocessError as error:
        die(str(error))
