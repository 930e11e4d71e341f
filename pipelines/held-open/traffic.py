"""Ten minutes of sixty tenants behind one HAProxy, and the gateway of one of them that stops answering.

Everything runs in one event loop on loopback: the clients, the application behind HAProxy, and the place where
HAProxy's log lines arrive. The application does what a gateway's application does: it calls the tenant's own
gateway and answers when that does. Here the call is a sleep whose length depends on the tenant and the moment.
"""

import asyncio
import json
import random
import time

LIMIT = 40
RATE_PER_S = 24.0
HOLD_S = 0.25
TIMEOUT_S = 8.0
LARGE, SMALL = "acme", "tenant-52"

# What happens when, in seconds after the beginning.
SMALL_SLOW = (90, 100)
CROWD = (140, 165)
ALL_SLOW = (200, 225)
FAULT = (300, 360)
END = 540


def tenants():
    """Sixty tenants of unequal size: the large one has a fifth of all calls, the others fall off as 1/rank."""
    weights = {LARGE: 0.20}
    ranks = {f"tenant-{n:02}": 1 / (n + 2) for n in range(1, 60)}
    total = sum(ranks.values())
    weights.update((name, 0.80 * weight / total) for name, weight in ranks.items())
    return weights


class Traffic:
    def __init__(self, seed, edge_port, app_port, log_port, out, scale):
        self.draw = random.Random(seed)
        self.edge_port, self.app_port, self.log_port = edge_port, app_port, log_port
        self.scale = scale
        self.edge = open(out / "edge.log", "w")
        self.calls = open(out / "calls.jsonl", "w")
        self.holding = {}
        self.truth = {"hung_calls": 0, "calls": 0, "refused_by_queue": 0, "held_each_second": []}
        self.waited = []
        self.tasks = set()

    def now(self):
        return (time.time() - self.begin) / self.scale

    def during(self, span):
        return span[0] <= self.now() < span[1]

    def hold_s(self, tenant):
        if tenant == LARGE and self.during(FAULT) or tenant == SMALL and self.during(SMALL_SLOW):
            return None
        usual = self.draw.gammavariate(4, HOLD_S / 4)
        return usual * (3 if self.during(ALL_SLOW) else 1)

    def log(self, event, tenant, request, **more):
        stamp = {"ts": round(time.time(), 6), "event": event, "tenant": tenant, "request": request}
        self.calls.write(json.dumps(stamp | more) + "\n")

    async def answer(self, reader, writer):
        """The application: a call to the tenant's gateway, cut off after the longest time allowed."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            fields = {name.lower(): value for name, value in fields.items()}
            tenant, request = fields["x-tenant"], fields["x-request-id"]
            began = time.time()
            self.log("call.start", tenant, request)
            self.holding[tenant] = self.holding.get(tenant, 0) + 1
            hold_s = self.hold_s(tenant)
            if hold_s is None:
                self.truth["hung_calls"] += 1
            await asyncio.sleep(min(hold_s or TIMEOUT_S, TIMEOUT_S))
            self.holding[tenant] -= 1
            self.log("call.end", tenant, request, took=round(time.time() - began, 6))
            status = "504 Gateway Timeout" if hold_s is None else "200 OK"
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def call(self, tenant, request):
        """A client: one request, and the status of its answer."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.edge_port)
            head = f"GET / HTTP/1.1\r\nHost: edge\r\nX-Tenant: {tenant}\r\nX-Request-Id: {request}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n".encode())
            asked = self.now()
            status = (await reader.read(65536))[9:12].decode()
            if status == "503":
                self.truth["refused_by_queue"] += 1
            self.waited.append((asked, tenant, self.now() - asked, status))
            writer.close()
        except OSError:
            pass

    def datagram_received(self, data, _address):
        self.edge.write(data.decode().rstrip("\n") + "\n")

    def connection_made(self, _transport):
        pass

    async def sample(self):
        """Once a second: who holds how many, as the application itself knows it."""
        while self.now() < END:
            held = sum(self.holding.values())
            self.truth["held_each_second"].append([held, self.holding.get(LARGE, 0)])
            await asyncio.sleep(self.scale)

    async def run(self):
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", self.log_port))
        server = await asyncio.start_server(self.answer, "127.0.0.1", self.app_port, backlog=512)
        self.begin = time.time()
        weights = tenants()
        names, shares = list(weights), list(weights.values())
        sampler = asyncio.create_task(self.sample())
        number = 0
        while self.now() < END:
            factor = 2 if self.during(CROWD) else 1
            # The small tenant is seldom heard of otherwise; now three of its calls hang.
            tenant = self.draw.choices(names, shares)[0]
            if self.during(SMALL_SLOW) and number % 60 == 0:
                tenant = SMALL
            number += 1
            task = asyncio.create_task(self.call(tenant, f"r{number}"))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            await asyncio.sleep(self.draw.expovariate(RATE_PER_S * factor) * self.scale)
        await asyncio.gather(*self.tasks)
        await sampler
        await asyncio.sleep(1)
        server.close()
        self.truth["calls"] = number
        self.edge.close()
        self.calls.close()
