"""One day of six applications on one PostgreSQL server, and the release that drains it.

The clients run by the ordinary clock. Only the server's clock is faked, so every duration here is in the
server's seconds and is divided by the speed just before it is slept. A connection is three messages of the
PostgreSQL protocol; nothing more is needed, because a log of sessions does not show queries.
"""

import asyncio
import datetime
import json
import math
import random
import struct

MINUTE = 60
HOUR = 60 * MINUTE

# application: (user, database, client addresses)
APPLICATIONS = {
    "web": ("web", "shop", ["127.0.10.1", "127.0.10.2", "127.0.10.3", "127.0.10.4"]),
    "issuer": ("issuer", "certificates", ["127.0.20.1", "127.0.20.2", "127.0.20.3"]),
    "workers": ("worker", "shop", ["127.0.30.1", "127.0.30.2"]),
    "reports": ("reports", "warehouse", ["127.0.40.1"]),
    "backup": ("backup", "postgres", ["127.0.50.1"]),
    "monitor": ("monitor", "postgres", ["127.0.60.1"]),
}


class Clock:
    """The server's faked time, computed from one reading of it."""

    def __init__(self, server_epoch_s, speed):
        self.epoch_s = server_epoch_s
        self.speed = speed
        self.started = asyncio.get_running_loop().time()

    def now(self):
        return self.epoch_s + (asyncio.get_running_loop().time() - self.started) * self.speed

    async def sleep(self, seconds):
        await asyncio.sleep(max(0.0, seconds) / self.speed)

    async def until(self, moment_s):
        await self.sleep(moment_s - self.now())


def text(epoch_s):
    """RFC 3339 in whole seconds."""
    moment = datetime.datetime.fromtimestamp(int(epoch_s), datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Refused(Exception):
    """The server answered the connection with an error; `code` is its SQLSTATE."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Session:
    """One connection to the server, authenticated by trust."""

    @classmethod
    async def open(cls, port, address, user, database, application):
        session = cls()
        session.reader, session.writer = await asyncio.open_connection(
            "127.0.0.1", port, local_addr=(address, 0)
        )
        settings = ["user", user, "database", database, "application_name", application]
        body = struct.pack("!I", 196608) + b"".join(s.encode() + b"\0" for s in settings) + b"\0"
        session.writer.write(struct.pack("!I", len(body) + 4) + body)
        try:
            await session.rows()
        except BaseException:
            session.writer.close()
            raise
        return session

    async def rows(self):
        """Reads to the next `ready for query` and returns the data rows on the way."""
        found = []
        refusal = None
        while True:
            try:
                head = await self.reader.readexactly(5)
                body = await self.reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
            except (asyncio.IncompleteReadError, ConnectionError):
                raise refusal or Refused("08006") from None
            if head[:1] == b"E":
                fields = {f[:1]: f[1:].decode() for f in body.split(b"\0") if f}
                refusal = Refused(fields.get(b"C", "?"))
                if fields.get(b"V") == "FATAL":
                    raise refusal
            elif head[:1] == b"D":
                found.append(data_row(body))
            elif head[:1] == b"Z":
                return found

    async def query(self, sql):
        body = sql.encode() + b"\0"
        self.writer.write(b"Q" + struct.pack("!I", len(body) + 4) + body)
        return await self.rows()

    def close(self):
        if not self.writer.is_closing():
            self.writer.write(b"X" + struct.pack("!I", 4))
            self.writer.close()


def data_row(body):
    columns, at = [], 2
    for _ in range(struct.unpack("!H", body[:2])[0]):
        length = struct.unpack("!i", body[at : at + 4])[0]
        at += 4
        columns.append(None if length < 0 else body[at : at + length].decode())
        at += max(length, 0)
    return columns


def busy(epoch_s):
    """The day's rhythm: 0 at two in the morning, 1 at two in the afternoon."""
    hour = (epoch_s % (24 * HOUR)) / HOUR
    return 0.5 - 0.5 * math.cos(2 * math.pi * (hour - 2) / 24)


class Pool:
    """A connection pool of one host: it keeps `size(now)` sessions and replaces each before its maximum age."""

    def __init__(self, estate, application, host, size, max_age_s=30 * MINUTE):
        self.estate, self.application, self.host = estate, application, host
        self.size, self.max_age_s = size, max_age_s
        self.members = []

    def start(self, warm_up_s):
        self.members = [
            self.estate.spawn(self.member(i, self.estate.random.uniform(0, warm_up_s)))
            for i in range(24)
        ]

    def stop(self):
        for member in self.members:
            member.cancel()
        self.members = []

    async def member(self, index, delay_s):
        clock, draw = self.estate.clock, self.estate.random
        await clock.sleep(delay_s)
        while True:
            while self.size(clock.now()) <= index:
                await clock.sleep(draw.uniform(1, 3) * MINUTE)
            session = await self.estate.connect(self.application, self.host)
            try:
                dies = clock.now() + draw.uniform(0.85, 1.0) * self.max_age_s
                while clock.now() < dies and self.size(clock.now()) > index:
                    await clock.sleep(min(draw.uniform(1, 3) * MINUTE, dies - clock.now()))
            finally:
                session.close()


class Estate:
    """All applications, what is deployed, and what the server said."""

    def __init__(self, port, clock, seed, deploys):
        self.port, self.clock, self.deploys = port, clock, deploys
        self.random = random.Random(seed)
        self.tasks = set()
        self.refusals = []
        self.faults = []
        self.leaked = []
        self.leaking = None
        self.pools = {}
        sizes = {
            "web": lambda now: round(10 + 4 * busy(now)),
            "issuer": lambda now: round(10 + 3.7 * busy(now)),
            "workers": lambda now: 9,
            "reports": lambda now: 4,
        }
        for application, size in sizes.items():
            hosts = range(len(APPLICATIONS[application][2]))
            self.pools[application] = [Pool(self, application, host, size) for host in hosts]
        # The fourth web host is there by day only: a scale-out that levels off.
        by_day = self.pools["web"][3]
        by_day.size = lambda now: 14 if 8 <= (now % (24 * HOUR)) / HOUR < 20 else 0

    def spawn(self, coroutine):
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.ended)
        return task

    def ended(self, task):
        self.tasks.discard(task)
        if not task.cancelled() and task.exception():
            self.faults.append(task.exception())

    async def attempt(self, application, host):
        user, database, addresses = APPLICATIONS[application]
        try:
            return await Session.open(self.port, addresses[host], user, database, application)
        except Refused as refusal:
            if refusal.code != "53300":
                self.faults.append(refusal)
            self.refusals.append((self.clock.now(), application, refusal.code))
            raise

    async def connect(self, application, host):
        """Tries until the server takes the session, as pools do."""
        while True:
            try:
                return await self.attempt(application, host)
            except Refused:
                await self.clock.sleep(self.random.uniform(15, 45))

    async def hold(self, application, host, hold_s, sql=None):
        """One short session; it gives up when it is refused."""
        try:
            session = await self.attempt(application, host)
        except Refused:
            return
        try:
            if sql:
                await session.query(sql)
        except Refused:
            pass
        await self.clock.sleep(hold_s)
        session.close()

    async def arrivals(self, application, per_minute, hold_s, sql=None):
        """Short sessions at random moments: `per_minute(now)` of them, each about `hold_s` long."""
        while True:
            rate = max(per_minute(self.clock.now()), 0.01)
            await self.clock.sleep(self.random.expovariate(rate) * MINUTE)
            host = self.random.randrange(len(APPLICATIONS[application][2]))
            length_s = min(self.random.expovariate(1 / hold_s), 4 * hold_s)
            self.spawn(self.hold(application, host, length_s, sql))

    async def batch(self, application, every_s, at_s, count, spread_s, hold_s):
        """`count` sessions within `spread_s`, every `every_s` at the clock time `at_s`."""
        while True:
            now = self.clock.now()
            await self.clock.until((math.floor((now - at_s) / every_s) + 1) * every_s + at_s)
            for _ in range(count):
                length_s = self.random.uniform(0.6, 1.0) * hold_s
                delay_s = self.random.uniform(0, spread_s)
                self.spawn(self.later(delay_s, self.hold(application, 0, length_s)))

    async def later(self, delay_s, coroutine):
        await self.clock.sleep(delay_s)
        await coroutine

    def start(self):
        for pools in self.pools.values():
            for pool in pools:
                pool.start(warm_up_s=4 * MINUTE)
        shorts = [
            ("web", lambda now: 1 + 5 * busy(now), 12),
            ("workers", lambda now: 1 + 2 * busy(now), 20),
            ("issuer", lambda now: 0.5 + busy(now), 10),
            ("monitor", lambda now: 1, 1),
        ]
        for application, per_minute, hold_s in shorts:
            self.spawn(self.arrivals(application, per_minute, hold_s))
        self.spawn(self.arrivals("workers", lambda now: 0.05, 2, sql="select 1 / 0"))
        self.spawn(self.batch("reports", HOUR, 5 * MINUTE, 8, 1 * MINUTE, 11 * MINUTE))
        self.spawn(self.batch("reports", 24 * HOUR, 14 * HOUR, 15, 3 * MINUTE, 25 * MINUTE))
        self.spawn(self.batch("backup", 24 * HOUR, 2 * HOUR, 24, 4 * MINUTE, 50 * MINUTE))

    async def deploy(self, application, release, at):
        """A rolling restart: host after host closes its pool and warms up a new one."""
        event = {
            "time": at,
            "event": "deploy",
            "service.name": application,
            "service.version": release,
        }
        self.deploys.write(json.dumps(event) + "\n")
        self.deploys.flush()
        await self.restart(application, pause_s=40)

    async def restart(self, application, pause_s):
        for host, pool in enumerate(self.pools[application]):
            pool.stop()
            for session in [s for at, s in self.leaked if at == host]:
                session.close()
            self.leaked = [(at, s) for at, s in self.leaked if at != host]
            pool.start(warm_up_s=30)
            await self.clock.sleep(pause_s)

    def leak(self, application, per_minute):
        async def run():
            while True:
                await self.clock.sleep(self.random.expovariate(per_minute) * MINUTE)
                host = self.random.randrange(len(APPLICATIONS[application][2]))
                try:
                    self.leaked.append((host, await self.attempt(application, host)))
                except Refused:
                    pass

        self.leaking = self.spawn(run())

    def stop(self):
        for task in list(self.tasks):
            task.cancel()
