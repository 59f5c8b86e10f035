"""Followers of events: one that never reads, others beside it, and going on exactly where one stopped."""

import json
import socket
import threading

from kit import eventually
from web_http import DESK, resident


class Follower:
    """Reads a stream of events and takes it apart."""

    def __init__(self, web, path, last=None):
        self.connection = web.connect()
        headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {web.token}"}
        if last:
            headers["Last-Event-ID"] = last
        self.connection.request("GET", f"/api/v1{path}", headers=headers)
        self.answer = self.connection.getresponse()
        self.status = self.answer.status

    def __iter__(self):
        """Events as (id, type, data), to the end of the stream."""
        name, kind, data = None, None, []
        while line := self.answer.readline():
            text = line.decode().rstrip("\n")
            if not text:
                if data:
                    yield name, kind, json.loads("\n".join(data))
                name, kind, data = None, None, []
            elif not text.startswith(":"):
                field, _, value = text.partition(": ")
                if field == "id":
                    name = value
                elif field == "event":
                    kind = value
                elif field == "data":
                    data.append(value)

    def close(self):
        self.connection.close()


class NeverRead:
    """Clients that follow a session and take nothing, while another one does."""

    CLIENTS = 40
    EVENTS = 400
    # What the server's limits allow each of them to have waiting, and something for the rest of the process.
    BYTES_EACH, BYTES_ELSE = 512 << 10, 24 << 20

    def __init__(self, checks, system, web):
        self.checks, self.system, self.web = checks, system, web
        self.session = web("POST", "/sessions", DESK).json["session_id"]
        self.path = f"/sessions/{self.session}/events"
        self.held = [self.open() for _ in range(self.CLIENTS)]
        self.beside, self.arrived = Follower(web, self.path), []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        eventually(lambda: followers(web) == self.CLIENTS + 1)
        self.before = resident(system.process.pid)

    def open(self):
        wire = socket.socket()
        # A small buffer, so that what is not read waits at the server.
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.settimeout(60)
        wire.connect((self.web.parts.hostname, self.web.parts.port))
        wire.sendall(
            f"GET /api/v1{self.path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n"
            f"Authorization: Bearer {self.web.token}\r\n\r\n".encode())
        return wire

    def read(self):
        for name, _, _ in self.beside:
            self.arrived.append(int(name))
            if len(self.arrived) > self.EVENTS:
                return

    def write(self):
        """Events of some kilobytes each: megabytes that nobody takes, for every one of them."""
        self.bytes = 0
        for number in range(self.EVENTS):
            changed = {"metadata": {"description": f"{number} " + "\U00010348" * 490,
                                    "tags": [f"{n}" + "\U00010348" * 49 for n in range(10)]}}
            answer = self.web("PUT", f"/sessions/{self.session}", changed)
            if answer.status != 200:
                raise RuntimeError(f"PUT: {answer.status} {answer.body[:300]}")
            self.bytes += len(changed["metadata"]["description"].encode())
        self.reader.join(60)
        self.beside.close()
        self.checks.equal("who reads has everything while others don't",
                          self.arrived, list(range(1, self.EVENTS + 2)))
        most = self.CLIENTS * self.BYTES_EACH + self.BYTES_ELSE
        grown = resident(self.system.process.pid) - self.before
        print(f"web: {self.CLIENTS} clients that read nothing of {self.EVENTS} events: "
              f"{grown >> 10} KB more resident", flush=True)
        self.checks.check("clients that don't read hold little memory", grown < most, (grown, most))

    def check_end(self):
        """They are closed, and what one of them did get and what it gets when it comes back is everything."""
        self.checks.check("clients that don't read are closed",
                          eventually(lambda: followers(self.web) == 0, 90, 0.2), followers(self.web))
        wire = self.held.pop()
        for other in self.held:
            other.close()
        found = b""
        try:
            while part := wire.recv(1 << 16):
                found += part
        except ConnectionError:
            pass
        wire.close()
        got = whole_ids(found)
        self.checks.check("one of them has a part", 1 <= len(got) < self.EVENTS, len(got))
        rest, again = [], Follower(self.web, self.path, last=str(got[-1]))
        for name, _, _ in again:
            rest.append(int(name))
            if rest[-1] > self.EVENTS:
                break
        again.close()
        self.checks.equal("and goes on exactly behind it", got + rest, list(range(1, self.EVENTS + 2)))


def followers(web):
    """How many follow, as the figures have it."""
    for line in web("GET", "/metrics").body.decode().splitlines():
        if line.startswith("reel_live_followers "):
            return int(float(line.split()[1]))
    return None


def whole_ids(answer):
    """The ids of the events that came whole, of an answer that may end anywhere."""
    body, rest = b"", answer.partition(b"\r\n\r\n")[2]
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        if not size or len(rest) < int(size, 16) + 2:
            body += rest[:int(size or b"0", 16)]
            break
        body, rest = body + rest[:int(size, 16)], rest[int(size, 16) + 2:]
    events = body.split(b"\n\n")[:-1]
    return [int(line[4:]) for event in events for line in event.split(b"\n") if line.startswith(b"id: ")]
