"""The limit: decode and encode with nothing in between, written as one would with PyAV.

python benchmarks/transcode.py INPUT OUTPUT [PRESET]
"""

import sys

import av

source, out, preset = sys.argv[1], sys.argv[2], (sys.argv[3:] or ["veryfast"])[0]
with av.open(source) as given, av.open(out, "w") as made:
    video = given.streams.video[0]
    video.thread_type = "AUTO"
    stream = made.add_stream("libx264", rate=video.average_rate, options={"crf": "18", "preset": preset})
    stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
    stream.codec_context.time_base = video.time_base
    for frame in given.decode(video):
        frame.pict_type = 0  # the encoder decides anew
        made.mux(stream.encode(frame))
    made.mux(stream.encode(None))
