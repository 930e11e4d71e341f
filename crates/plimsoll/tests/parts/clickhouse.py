"""A ClickHouse server for tests: the engine of PyPI `chdb` behind the server's HTTP protocol.

    clickhouse.py DIR PORT [USER PASSWORD CERTIFICATE KEY]

DIR keeps the tables; PORT 0 takes a free one. It listens on 127.0.0.1 only, prints
`ready PORT` when it answers, and ends when its standard input ends, so it does not outlive the
process that holds the other end, however that one dies. One query runs at a time.

With the further arguments it also listens with TLS under that certificate and says
`ready PORT TLS_PORT`. There the account is asked for, and any other one is refused with the code
of the server, 516; the plain port stays open for the test itself.

Of the protocol it has what the official Rust client uses: a query in the body or in `?query=`,
the data of an INSERT in the body (also chunked), `database`, `default_format`, settings as URL
parameters, errors as status and `X-ClickHouse-Exception-Code`, and `/ping`. Compression and
parameters of queries (`param_…`) are refused: a test that needs them must not pass by accident.

`POST /fault?kind=KIND&times=N` spoils the next N INSERTs that carry data:
    error   answers 500 as an overloaded server does, without writing
    drop    writes, then closes the connection without an answer
    hang    neither writes nor answers
"""

import os
import re
import signal
import ssl
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from chdb import session

# Parameters of the protocol; every other one is a setting of the engine.
PROTOCOL = {"query", "database", "default_format", "decompress", "compress", "user", "password"}
# Some statuses of the server's table (src/Server/HTTP/exceptionCodeToHTTPStatus.cpp); else 500.
STATUSES = {
    400: {6, 16, 26, 27, 38, 41, 53, 62, 69, 72, 117, 130, 131},
    403: {192, 193, 194, 497, 516},
    404: {10, 36, 46, 47, 50, 56, 60, 73, 81, 115},
    501: {48},
    503: {202, 209, 210},
}
INSERT_DATA = re.compile(r"\s*(INSERT\s+INTO\s+.+?)\s+FORMAT\s+(\w+)\s*$", re.IGNORECASE | re.DOTALL)


class Engine:
    """One session; a query at a time, because database and settings belong to the session."""

    def __init__(self, folder):
        self.lock = threading.Lock()
        self.session = session.Session(folder)
        self.folder = folder

    def run(self, sql, data, database, output_format, settings):
        with self.lock:
            self.session.query(f"USE {identifier(database)}")
            names = [identifier(name) for name in settings]
            try:
                for name in names:
                    self.session.query(f"SET {name} = '{escaped(settings[name])}'")
                insert = INSERT_DATA.match(sql) if data is not None else None
                if insert is None:
                    text = sql if data is None else sql + "\n" + data.decode()
                    return self.session.query(text, output_format).bytes()
                with tempfile.NamedTemporaryFile() as file:
                    file.write(data)
                    file.flush()
                    head, data_format = insert.groups()
                    self.session.query(f"{head} FROM INFILE '{file.name}' FORMAT {data_format}")
                    return b""
            finally:
                for name in names:
                    self.session.query(f"SET {name} = DEFAULT")


def identifier(text):
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError(f"Code: 62. DB::Exception: `{text}` is not an identifier. (SYNTAX_ERROR)")
    return text


def escaped(text):
    return text.replace("\\", "\\\\").replace("'", "\\'")


class Faults:
    """What happens to the next INSERTs, oldest order first."""

    def __init__(self):
        self.lock = threading.Lock()
        self.waiting = []

    def add(self, kind, times):
        with self.lock:
            self.waiting += [kind] * times

    def next(self):
        with self.lock:
            return self.waiting.pop(0) if self.waiting else None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.handle_query(None)

    def do_POST(self):
        self.handle_query(self.body())

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def handle_query(self, body):
        url = urlsplit(self.path)
        given = dict(parse_qsl(url.query, keep_blank_values=True))
        if url.path == "/ping":
            return self.answer(200, b"Ok.\n")
        account = self.server.account
        shown = (self.headers.get("X-ClickHouse-User"), self.headers.get("X-ClickHouse-Key"))
        if account and shown != account:
            return self.fail(
                f"Code: 516. DB::Exception: {shown[0]}: Authentication failed: password is "
                "incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)"
            )
        if url.path == "/fault":
            self.server.faults.add(given["kind"], int(given.get("times", 1)))
            return self.answer(200, b"")
        if given.get("decompress") == "1" or given.get("compress") == "1":
            return self.fail("Code: 48. DB::Exception: no compression here. (NOT_IMPLEMENTED)")
        if any(name.startswith("param_") for name in given) or "multipart" in str(
            self.headers.get("Content-Type")
        ):
            return self.fail("Code: 48. DB::Exception: no parameters here. (NOT_IMPLEMENTED)")
        settings = {name: value for name, value in given.items() if name not in PROTOCOL}
        sql, data = given.get("query"), body
        if sql is None:
            sql, data = (body or b"").decode(), None
        fault = self.server.faults.next() if data else None
        if fault == "hang":
            return self.rfile.read()  # until the client gives up
        if fault == "error":
            return self.fail("Code: 252. DB::Exception: Too many parts. (TOO_MANY_PARTS)")
        try:
            output = self.server.engine.run(
                sql,
                data,
                given.get("database", "default"),
                given.get("default_format", "TabSeparated"),
                settings,
            )
        except Exception as error:  # the engine's errors have no public class of their own
            return self.fail(str(error))
        if fault == "drop":
            self.close_connection = True
            return None
        return self.answer(200, output)

    def fail(self, message):
        found = re.search(r"Code: (\d+)", message)
        code = int(found.group(1)) if found else 1001
        status = next((status for status, codes in STATUSES.items() if code in codes), 500)
        self.answer(status, message.encode() + b"\n", {"X-ClickHouse-Exception-Code": str(code)})

    def answer(self, status, body, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    account = None

    def handle_error(self, *_):
        pass  # a client that went away


def main():
    folder, port = sys.argv[1], int(sys.argv[2])
    server = Server(("127.0.0.1", port), Handler)
    server.engine, server.faults = Engine(folder), Faults()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ports = [server.server_address[1]]
    if len(sys.argv) > 3:
        user, password, certificate, key = sys.argv[3:]
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        secure = Server(("127.0.0.1", 0), Handler)
        # The handshake is made by the connection's own thread, not by the one that accepts.
        secure.socket = tls.wrap_socket(
            secure.socket, server_side=True, do_handshake_on_connect=False
        )
        secure.engine, secure.faults = server.engine, server.faults
        secure.account = (user, password)
        threading.Thread(target=secure.serve_forever, daemon=True).start()
        ports.append(secure.server_address[1])
    print("ready", *ports, flush=True)
    sys.stdin.read()
    os._exit(0)


main()
