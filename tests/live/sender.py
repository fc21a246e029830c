"""Sends a clip in real time, over and over, from a process of its own: `python sender.py CLIP URL FORMAT`."""

import sys
import time
from fractions import Fraction

import av


def main(path, url, kind):
    while True:
        try:
            send(path, url, kind)
        except av.FFmpegError:  # nobody listens yet, or any more
            time.sleep(0.05)


def send(path, url, kind):
    with av.open(path) as source, av.open(url, "w", format=kind) as target:
        copies = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        began, shift = time.monotonic(), Fraction(0)
        while True:
            source.seek(0)
            for packet in source.demux():
                if not packet.size:
                    continue
                due = began + float(shift + packet.dts * packet.time_base)
                time.sleep(max(0.0, due - time.monotonic()))
                packet.pts += round(shift / packet.time_base)
                packet.dts += round(shift / packet.time_base)
                packet.stream = copies[packet.stream_index]
                target.mux(packet)
            shift += Fraction(source.duration, av.time_base)


if __name__ == "__main__":
    main(*sys.argv[1:])
