"""GStreamer as a player, with a decoder that is not FFmpeg's: prints "WIDTH HEIGHT MEAN-LUMA" for every picture.

`/usr/bin/python3 gst_watcher.py file DEMUXER PATH` plays a file. `… server` prints the port of an RTSP server that
takes a publisher at /color.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402  # only after the versions are chosen

DECODE = "h264parse ! openh264dec ! video/x-raw,format=I420 ! appsink name=screen sync=false emit-signals=true"


def show(screen):
    """Print what an appsink has got."""
    sample = screen.emit("pull-sample")
    picture = sample.get_caps().get_structure(0)
    width, height = picture.get_value("width"), picture.get_value("height")
    buffer = sample.get_buffer()
    luma = buffer.extract_dup(0, buffer.get_size())[: width * height]
    print(width, height, sum(luma) // len(luma), flush=True)  # noqa: T201  # whoever started it reads this
    return Gst.FlowReturn.OK


def play(demuxer, path):
    """Play a file to its end."""
    pipeline = Gst.parse_launch(f"filesrc location={path} ! {demuxer} ! {DECODE}")
    pipeline.get_by_name("screen").connect("new-sample", show)
    pipeline.set_state(Gst.State.PLAYING)
    wanted = Gst.MessageType.EOS | Gst.MessageType.ERROR
    message = pipeline.get_bus().timed_pop_filtered(20 * Gst.SECOND, wanted)
    pipeline.set_state(Gst.State.NULL)
    if message is None or message.type == Gst.MessageType.ERROR:
        sys.exit(str(message and message.parse_error()))


def serve():
    """Take a publisher and show what comes."""
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    factory.set_launch(f"( rtph264depay name=depay0 ! {DECODE} )")
    factory.connect(
        "media-configure",
        lambda _, media: media.get_element().get_by_name("screen").connect("new-sample", show),
    )
    server.get_mount_points().add_factory("/color", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)  # noqa: T201  # the same
    GLib.MainLoop().run()


if __name__ == "__main__":
    Gst.init(None)
    if sys.argv[1] == "file":
        play(*sys.argv[2:])
    else:
        serve()
