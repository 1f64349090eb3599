"""The load: wrk for HTTP/1, h2load for HTTP/2 over TLS, on a core of their own.

Both ask for routes spread over the whole table, the same for every gateway. A failed
request ends the run: no answer, 4xx or 5xx; of HTTP/2 all that is not 2xx, which wrk does not tell from 3xx.
"""

import json
import random
import subprocess

from harness import die, percentile

CONNECTIONS = 50  # HTTP/1: one request in flight on each
CLIENTS, STREAMS = 25, 2  # HTTP/2: so many connections, so many requests in flight on each

# Requests are made once; counted are the microseconds that wrk took of each.
LUA = """
local requests, at = {}, 0
function init(arguments)
  for line in io.lines(arguments[1]) do
    local host, path = line:match("(%S+) (%S+)")
    requests[#requests + 1] = wrk.format("GET", path, { ["Host"] = host })
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('figures {"requests": %d, "micros": %d, "p50": %d, "p99": %d, "failed": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout + errors.status))
end
"""


class Load:
    """What is asked for, written where the tools find it."""

    def __init__(self, work, table, cores):
        self.work = work / "load"
        self.work.mkdir()
        self.cores = cores
        self.requests = table.requests()
        random.Random(7).shuffle(self.requests)
        (self.work / "requests.lua").write_text(LUA)
        (self.work / "requests").write_text("".join(f"{host} {path}\n" for host, path in self.requests))
        # A connection of HTTP/2 is for one host, as a browser's is.
        hosts = {}
        for host, path in self.requests:
            hosts.setdefault(host, []).append(path)
        self.hosts = list(hosts)[:CLIENTS]
        for host in self.hosts:
            (self.work / host).write_text("".join(f"https://{host}{path}\n" for path in hosts[host]))

    def _run(self, command, seconds):
        cores = ",".join(map(str, sorted(self.cores)))
        command = ["timeout", seconds + 60, "taskset", "-c", cores, *command]
        command = [str(part) for part in command]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def turn(self, protocol, gateway, seconds):
        """One turn: requests, seconds, p50 and p99 in microseconds."""
        run = self._http1 if protocol == "http1" else self._http2
        figures = run(gateway, seconds)
        if not figures["requests"]:
            die(f"{gateway.name} answered nothing:\n{gateway.process.tail()}")
        return figures

    def _http1(self, gateway, seconds):
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s",
                   self.work / "requests.lua", f"http://127.0.0.1:{gateway.port}", "--", self.work / "requests"]
        wrk = self._run(command, seconds)
        told, _ = wrk.communicate()
        line = next((line for line in told.splitlines() if line.startswith("figures ")), None)
        if wrk.returncode or not line:
            die(f"wrk: {told}")
        figures = json.loads(line.removeprefix("figures "))
        if figures["failed"]:
            die(f"{gateway.name}: {figures['failed']} of {figures['requests']} requests failed:\n{gateway.process.tail()}")
        return {"requests": figures["requests"], "seconds": figures["micros"] / 1e6, "p50": figures["p50"], "p99": figures["p99"]}

    def _http2(self, gateway, seconds):
        running = []
        for number in range(CLIENTS):
            host = self.hosts[number % len(self.hosts)]
            log = self.work / f"log{number}"
            log.unlink(missing_ok=True)
            running.append((log, self._run([
                "h2load", "-t1", "-c1", f"-m{STREAMS}", f"-D{seconds}", f"--connect-to=127.0.0.1:{gateway.tls_port}",
                f"--log-file={log}", "-i", self.work / host], seconds)))
        times, begun, ended = [], [], []
        for log, h2load in running:
            told, _ = h2load.communicate()
            wanted = ("0 failed, 0 errored, 0 timeout", "Application protocol: h2", "TLS Protocol: TLSv1.3")
            if h2load.returncode or not all(text in told for text in wanted):
                die(f"{gateway.name}: h2load: {told}\n{gateway.process.tail()}")
            for line in log.read_text().splitlines():
                start, code, took = map(int, line.split("\t")[:3])
                if not 200 <= code <= 299:
                    die(f"{gateway.name} answered {code}")
                times.append(took)
                begun.append(start)
                ended.append(start + took)
        if not times:
            return {"requests": 0}
        times.sort()
        spent = (max(ended) - min(begun)) / 1e6
        return {"requests": len(times), "seconds": spent, "p50": percentile(times, 0.5), "p99": percentile(times, 0.99)}
