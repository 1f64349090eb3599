"""What is said of the turns of `gateway.py`: a line each, the table of medians, ratios and a picture."""

from html import escape

from harness import median, say

PROTOCOLS = {"http1": "HTTP/1.1", "h2": "HTTP/2 over TLS"}

# What Refgate may cost at the most, as a ratio to another gateway, and at how many routes that is meant.
BUDGETS = {"empty-pingora": 1.15, "nginx": 1.8, "envoy": 0.55}
BUDGET_ROUTES = 10_000


def heading(result):
    machine, set_to = result["machine"], result["settings"]
    say(f"machine: {machine['cores']} cores, {machine['processor']}, load {' '.join(map(str, machine['load_before']))}")
    say("; ".join(f"{name}: {version}" for name, version in result["versions"].items() if version))
    nodes = "a node for each service" if set_to.get("nodes") == "each" else "one node for all services"
    say(f"{nodes}; turns of {set_to['seconds']} s, {set_to['rounds']} of each; HTTP/1.1: {set_to['connections']} connections; "
        f"HTTP/2 over TLS: {set_to['h2_connections']} connections of {set_to['h2_streams']} streams; "
        f"access logs: {set_to['access_log']}")


def turn(each):
    say(f"{each['routes']:>6} routes  {PROTOCOLS[each['protocol']]:<15}  turn {each['round']}  {each['gateway']:<14} "
        f"{each['rps']:8.0f} requests/s  {each['cpu_us']:6.1f} µs CPU/request  p50 {each['p50_us'] / 1000:.2f} ms  "
        f"p99 {each['p99_us'] / 1000:.2f} ms  {each['memory_mib']:.0f} MiB")


def medians(result):
    """{(protocol, routes): {gateway: figures}}, in the order of the turns."""
    grouped = {}
    for each in result["turns"]:
        place = grouped.setdefault((each["protocol"], each["routes"]), {})
        place.setdefault(each["gateway"], []).append(each)
    figures = {}
    for key, gateways in grouped.items():
        for name, turns in gateways.items():
            each = {what: median([turn[what] for turn in turns]) for what in turns[0] if what.endswith(("_us", "rps", "_mib"))}
            each["least_us"] = min(turn["cpu_us"] for turn in turns)
            each["most_us"] = max(turn["cpu_us"] for turn in turns)
            figures.setdefault(key, {})[name] = each
    return figures


def table(result):
    """The medians, as Markdown."""
    for (protocol, routes), gateways in medians(result).items():
        say(f"\n{PROTOCOLS[protocol]}, {routes:,} route{'s' if routes > 1 else ''}\n")
        say("| gateway | CPU per request | (lowest to highest turn) | requests/s | p50 | p99 | memory |")
        say("|---|---|---|---|---|---|---|")
        for name, each in gateways.items():
            say(f"| {name} | {each['cpu_us']:.1f} µs | {each['least_us']:.1f} to {each['most_us']:.1f} µs | {each['rps']:,.0f} "
                f"| {each['p50_us'] / 1000:.2f} ms | {each['p99_us'] / 1000:.2f} ms | {each['memory_mib']:.0f} MiB |")


def ratios(result, protocol):
    """What Refgate costs by what others cost, beside the budget where there is one."""
    say(f"\nCPU per request, refgate by others, {PROTOCOLS[protocol]}\n")
    found = {routes: gateways for (kind, routes), gateways in medians(result).items() if kind == protocol}
    others = [name for name in dict.fromkeys(each["gateway"] for each in result["turns"]) if name != "refgate"]
    say("| routes | " + " | ".join(others) + " |")
    say("|---|" + "---|" * len(others))
    for routes, gateways in found.items():
        cells = []
        for name in others:
            if "refgate" not in gateways or name not in gateways or not gateways[name]["cpu_us"]:
                cells.append("")
                continue
            ratio = gateways["refgate"]["cpu_us"] / gateways[name]["cpu_us"]
            budgeted = routes == BUDGET_ROUTES and result["settings"].get("nodes") != "each"
            budget = BUDGETS.get(name) if budgeted else None
            verdict = f" ({'kept' if ratio <= budget else 'missed'}: {budget})" if budget else ""
            cells.append(f"{ratio:.2f}{verdict}")
        say(f"| {routes:,} | " + " | ".join(cells) + " |")


# --- the picture ----------------------------------------------------------------------------

STYLE = """
.card { fill: #ffffff; stroke: #d1d9e0 } .text { fill: #1f2328 } .soft { fill: #59636e }
.own { fill: #0969da } .other { fill: #9aa4af } .axis { stroke: #d1d9e0 } .spread { stroke: #1f2328 }
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif } .head { font-size: 16px; font-weight: 600 }
.part { font-weight: 600 } .number { font-variant-numeric: tabular-nums }
@media (prefers-color-scheme: dark) {
  .card { fill: #0d1117; stroke: #3d444d } .text { fill: #f0f6fc } .soft { fill: #9198a1 }
  .own { fill: #4493f8 } .other { fill: #656c76 } .axis { stroke: #3d444d } .spread { stroke: #f0f6fc }
}
"""
COLUMN, NAMES, BARS, ROW = 430, 108, 250, 20


def picture(result):
    """CPU per request as bars, an SVG: a column for each protocol, a group for each number of routes.

    It stands on a card of its own colour, so that it reads on light and on dark pages.
    """
    figures = medians(result)
    protocols = list(dict.fromkeys(protocol for protocol, _ in figures))
    most = max(each["most_us"] for gateways in figures.values() for each in gateways.values())
    scale = BARS / most
    body, height = [], 0
    for column, protocol in enumerate(protocols):
        left, y = 20 + column * COLUMN, 82
        body.append(f'<text class="text part" x="{left}" y="{y - 8}">{escape(PROTOCOLS[protocol])}</text>')
        for (kind, routes), gateways in figures.items():
            if kind != protocol:
                continue
            y += 14
            body.append(f'<text class="soft" x="{left}" y="{y}">{routes:,} route{"s" if routes > 1 else ""}</text>')
            y += 6
            start = left + NAMES
            body.append(f'<path class="axis" d="M{start - 0.5} {y}v{ROW * len(gateways)}"/>')
            for name, each in gateways.items():
                middle, width = y + ROW / 2, each["cpu_us"] * scale
                least, most_us = start + each["least_us"] * scale, start + each["most_us"] * scale
                body.append(f'<text class="text" x="{start - 8}" y="{middle + 4:.1f}" text-anchor="end">{escape(name)}</text>')
                body.append(f'<rect class="{"own" if name.startswith("refgate") else "other"}" x="{start}" y="{y + 3}" '
                            f'width="{width:.1f}" height="{ROW - 6}" rx="2"/>')
                body.append(f'<path class="spread" d="M{least:.1f} {middle}H{most_us:.1f}"/>')
                body.append(f'<text class="soft number" x="{max(start + width, most_us) + 6:.1f}" y="{middle + 4:.1f}">'
                            f'{each["cpu_us"]:.1f} µs</text>')
                y += ROW
            y += 8
        height = max(height, y)
    width = 20 + COLUMN * len(protocols)
    foot = f"Median of {result['settings']['rounds']} turns of {result['settings']['seconds']} s; thin lines: lowest to highest turn. Less is better."
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 36}" width="{width}" height="{height + 36}" role="img">',
        "<title>CPU time per proxied request, by gateway, protocol and number of routes</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="card" x="0.5" y="0.5" width="{width - 1}" height="{height + 35}" rx="8"/>',
        '<text class="text head" x="20" y="34">CPU time per proxied request</text>',
        *body,
        f'<text class="soft" x="20" y="{height + 18}">{escape(foot)}</text>',
        "</svg>", "",
    ])
