"""An RTSP camera of our own: loops a clip in real time over TCP or UDP, takes publishers, and breaks on command."""

import asyncio
import base64
import hashlib
import random
import re
import secrets
import socket
import ssl
import struct
import subprocess
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from urllib.parse import quote

from rtp import CLOCK, SOUND_CLOCK, SOUND_STEP, Clip, Track

REALM = "camera"
_REPORT_EVERY = 5.0  # seconds between two RTCP reports
_SLOW = 2_000_000  # bytes that may wait for a slow reader: it loses packets, we never lose memory
_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, ANNOUNCE, RECORD, GET_PARAMETER"


@dataclass
class Faults:
    """What is wrong with the camera; switch it while it runs."""

    freeze: bool = False  # pictures stop, sound goes on
    silent: bool = False  # PLAY is answered, and then nothing comes
    stalled: bool = False  # DESCRIBE is never answered
    refuse: bool = False  # every caller is cut off
    missing: bool = False  # 404
    loss: float = 0.0  # share of packets that do not arrive
    corrupt: float = 0.0  # share of packets with wrong bytes
    delay: float = 0.0  # seconds


class Camera:
    """`with Camera(clip) as camera: open(camera.url())`. Its server runs in a thread of its own."""

    def __init__(self, clip, *, user="", password="", auth="digest", certificate=None, sound=False, away=False):
        """Serve `clip` (a path); `certificate`: a PEM file with its key, for RTSPS; `away`: not there at first."""
        self.faults = Faults()
        self.requests = []  # (monotonic seconds, method) of every request
        self.user, self.password, self.auth = user, password, auth
        self.sound = sound
        self.clip = Clip(clip)
        self.sdps = {}  # of publishers, by path
        self.players = {}  # by path
        self.sent = 0  # pictures
        self.nonce = secrets.token_hex(8)
        self._at = 0  # the next picture of the clip
        self._away, self._certificate = away, certificate
        self._calls = set()
        self._server = None

    def __enter__(self):
        with ExitStack() as stack:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                self.port = probe.getsockname()[1]
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="camera", daemon=True)
            self._thread.start()
            stack.callback(self._end)
            self._do(self._play())
            if not self._away:
                self.appear()
            stack.pop_all()
        return self

    def __exit__(self, *_):
        self._end()

    def url(self, path="cam", *, user=None, password=None):
        """The address, with user and password if it wants any."""
        user, password = self.user if user is None else user, self.password if password is None else password
        secret = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
        return f"{'rtsps' if self._certificate else 'rtsp'}://{secret}127.0.0.1:{self.port}/{path}"

    def appear(self):
        """Be there."""
        self._do(self._listen())

    def vanish(self):
        """Be away: connections are refused, and those that are open are cut."""
        self._do(self._stop_listening())
        self.reset()

    def hang_up(self):
        """Close all connections properly."""
        self._each(lambda call: call.writer.close())

    def reset(self):
        """Cut all connections with a TCP reset."""
        self._each(Call.reset)

    def switch(self, clip):
        """Go on with another clip, over the same connections."""
        clip = Clip(clip)

        async def change():
            self.clip, self._at = clip, 0

        self._do(change())

    def watched(self, path="cam"):
        """How many clients play."""
        return len(self.players.get(path, ()))

    def asked(self, method):
        """When this was asked for, in monotonic seconds."""
        return [moment for moment, name in list(self.requests) if name == method]

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _each(self, do):
        async def work():
            for call in list(self._calls):
                do(call)

        self._do(work())

    async def _listen(self):
        context = None
        if self._certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", self.port, ssl=context)

    async def _stop_listening(self):
        if self._server:
            self._server.close()
            self._server = None

    async def _answer(self, reader, writer):
        call = Call(self, reader, writer)
        self._calls.add(call)
        try:
            await call.run()
        finally:
            self._calls.discard(call)

    async def _play(self):
        self._tasks = [asyncio.create_task(self._show()), asyncio.create_task(self._speak())]

    async def _show(self):
        track, began, count, reported = Track(96, CLOCK), time.monotonic(), 0, -_REPORT_EVERY
        while True:
            units, codec = self.clip.pictures[self._at % len(self.clip.pictures)], self.clip.codec
            if not self.faults.freeze:
                self._at, self.sent = self._at + 1, self.sent + 1
                self._give(0, track.picture(codec, units))
            reported = self._report(0, track, reported)
            count += 1
            await asyncio.sleep(max(0.0, began + count / self.clip.rate - time.monotonic()))

    async def _speak(self):
        track, began, count, reported = Track(0, SOUND_CLOCK), time.monotonic(), 0, -_REPORT_EVERY
        while self.sound:
            self._give(1, [track.sound(bytes([0xFF]) * int(SOUND_CLOCK * SOUND_STEP))])
            reported = self._report(1, track, reported)
            count += 1
            await asyncio.sleep(max(0.0, began + count * SOUND_STEP - time.monotonic()))

    def _give(self, track, packets):
        for player in list(self.players.get("cam", ())):
            for packet in () if self.faults.silent else packets:
                player.send(track, packet)

    def _report(self, track, source, last):
        now = time.monotonic()
        if now - last < _REPORT_EVERY:
            return last
        for player in list(self.players.get("cam", ())):
            player.write(track, source.report(), control=True)
        return now

    def _end(self):
        async def end():
            await self._stop_listening()
            for call in list(self._calls):
                call.reset()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)  # lets closed transports tell their sockets

        self._do(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class Call:
    """One client: a player or a publisher."""

    def __init__(self, camera, reader, writer):
        self.camera, self.reader, self.writer = camera, reader, writer
        self._session = secrets.token_hex(6)
        self._roads = {}  # how packets get to the client: by track, a function of (packet, whether it is RTCP)
        self._tracks = {}  # interleaved channel of a publisher → track
        self._sockets = []
        self._plays = self._publishes = None  # the path

    def reset(self):
        """Cut the connection; the other side sees a reset, not an end."""
        if connection := self.writer.get_extra_info("socket"):
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def send(self, track, packet):
        """Send an RTP packet, unless a fault prevents it."""
        faults = self.camera.faults
        if faults.loss and random.random() < faults.loss:
            return
        if faults.corrupt and random.random() < faults.corrupt:
            places = random.choices(range(12, len(packet)), k=8)
            packet = bytes(byte ^ 255 if place in places else byte for place, byte in enumerate(packet))
        if faults.delay:
            asyncio.get_running_loop().call_later(faults.delay, self.write, track, packet)
        else:
            self.write(track, packet)

    def write(self, track, packet, *, control=False):
        """Put a packet on the road."""
        if (road := self._roads.get(track)) and not self.writer.is_closing():
            road(packet, control)

    async def run(self):
        """Answer until the client leaves."""
        try:
            if self.camera.faults.refuse:
                return
            while await self._next():
                pass
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass
        finally:
            self._leave()

    def _leave(self):
        players = self.camera.players
        players.get(self._plays, set()).discard(self)
        if self._publishes:  # its players are cut off, so that they come again
            self.camera.sdps.pop(self._publishes, None)
            for player in list(players.get(self._publishes, ())):
                player.reset()
        for transport in self._sockets:
            transport.close()
        self.writer.transport.abort()

    async def _next(self):
        first = await self.reader.readexactly(1)
        if first == b"$":
            channel, size = struct.unpack(">BH", await self.reader.readexactly(3))
            self._forward(channel, await self.reader.readexactly(size))
            return True
        head = (first + await self.reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
        method, url, _ = head[0].split(" ", 2)
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        body = await self.reader.readexactly(int(fields.get("content-length", 0)))
        self.camera.requests.append((time.monotonic(), method))
        if method != "OPTIONS" and not self._allowed(method, fields.get("authorization", "")):
            self._reply(fields, "401 Unauthorized", f"WWW-Authenticate: {self._challenge()}")
            return True
        handle = getattr(self, f"_{method.lower()}", self._other)
        result = handle(url, fields, body.decode())
        if asyncio.iscoroutine(result):
            await result
        return method != "TEARDOWN"

    def _reply(self, fields, status="200 OK", *lines, body=""):
        length = [f"Content-Length: {len(body)}"] if body else []
        head = [f"RTSP/1.0 {status}", f"CSeq: {fields.get('cseq', 0)}", *lines, *length, "", ""]
        self.writer.write(("\r\n".join(head) + body).encode())

    def _challenge(self):
        if self.camera.auth == "basic":
            return f'Basic realm="{REALM}"'
        return f'Digest realm="{REALM}", nonce="{self.camera.nonce}"'

    def _allowed(self, method, given):
        camera = self.camera
        if not camera.user:
            return True
        if camera.auth == "basic":
            return given == "Basic " + base64.b64encode(f"{camera.user}:{camera.password}".encode()).decode()
        values = dict(re.findall(r'(\w+)="([^"]*)"', given))
        secret = _md5(f"{camera.user}:{REALM}:{camera.password}")
        return values.get("response") == _md5(f"{secret}:{camera.nonce}:{_md5(method + ':' + values.get('uri', ''))}")

    def _options(self, _, fields, __):
        self._reply(fields, "200 OK", f"Public: {_METHODS}")

    async def _describe(self, url, fields, _):
        camera, path = self.camera, _path(url)
        if camera.faults.stalled:
            await asyncio.sleep(3600)
        sdp = camera.clip.sdp(sound=camera.sound) if path == "cam" else camera.sdps.get(path)
        if sdp is None or camera.faults.missing:
            self._reply(fields, "404 Not Found")
        else:
            self._reply(fields, "200 OK", f"Content-Base: {url}/", "Content-Type: application/sdp", body=sdp)

    def _announce(self, url, fields, body):
        path = _path(url)
        self.camera.sdps[path] = body
        self.camera.players.setdefault(path, set())
        self._reply(fields)

    async def _setup(self, url, fields, _):
        wanted, path = fields.get("transport", ""), _path(url)
        sdp = self.camera.sdps.get(path) or self.camera.clip.sdp(sound=self.camera.sound)
        controls = [name for name in re.findall(r"a=control:(\S+)", sdp) if name != "*"]
        track = next((number for number, name in enumerate(controls) if url.endswith(name)), 0)
        publishes = "record" in wanted.lower()
        if "TCP" in wanted:
            found = re.search(r"interleaved=(\d+)", wanted)
            channel = int(found[1]) if found else 2 * track
            self._roads[track], self._tracks[channel] = self._tcp_road(channel), track
            transport = f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
        else:
            port = int(re.search(r"client_port=(\d+)", wanted)[1])
            ours = await self._udp_road(track, port, publishes=publishes)
            transport = f"RTP/AVP;unicast;client_port={port}-{port + 1};server_port={ours}-{ours + 1}"
        self._reply(fields, "200 OK", f"Transport: {transport}", f"Session: {self._session};timeout=60")

    def _tcp_road(self, channel):
        def send(packet, control):
            if self.writer.transport.get_write_buffer_size() < _SLOW:
                self.writer.write(struct.pack(">BBH", 0x24, channel + control, len(packet)) + packet)

        return send

    async def _udp_road(self, track, port, *, publishes):
        camera, path = self.camera, self._path_of_udp

        class Received(asyncio.DatagramProtocol):
            def datagram_received(self, data, _):
                if publishes:
                    camera_forward(track, data)

        def camera_forward(track, data):
            for player in list(camera.players.get(path(), ())):
                player.send(track, data)

        loop, host = asyncio.get_running_loop(), "127.0.0.1"
        while True:
            ours = random.randrange(20_000, 60_000, 2)
            with suppress(OSError):
                for number, kind in ((ours, Received), (ours + 1, asyncio.DatagramProtocol)):
                    transport, _ = await loop.create_datagram_endpoint(kind, local_addr=(host, number))
                    self._sockets.append(transport)
                break
        data, control_ = self._sockets[-2:]

        def send(packet, control):
            (control_ if control else data).sendto(packet, (host, port + control))

        self._roads[track] = send
        return ours

    def _path_of_udp(self):
        return self._publishes

    def _play(self, url, fields, _):
        self._plays = _path(url)
        self._reply(fields, "200 OK", f"Session: {self._session}", "Range: npt=0.000-")
        self.camera.players.setdefault(self._plays, set()).add(self)

    def _record(self, url, fields, _):
        self._publishes = _path(url)
        self._reply(fields, "200 OK", f"Session: {self._session}")

    def _other(self, _, fields, __):
        self._reply(fields, "200 OK", f"Session: {self._session}")

    def _forward(self, channel, packet):
        if self._publishes and channel in self._tracks:
            for player in list(self.camera.players.get(self._publishes, ())):
                player.send(self._tracks[channel], packet)


def _path(url):
    return re.sub(r"^rtsps?://[^/]+/?", "", url).split("/")[0].split("?")[0] or "cam"


def _md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def make_certificate(path):
    """Write a self-signed certificate and its key into one PEM file, as cameras have them."""
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=camera"]
    command = ["openssl", *words, "-keyout", path, "-out", path.with_suffix(".crt")]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path
