"""Real clips made by FFmpeg in the test, and readers to compare them with."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation

NEUTRAL = 128
SUFFIX_AUDIO = {".mp4": "aac", ".ts": "mp2", ".webm": "libopus", ".mkv": "pcm_s16le", ".mov": "pcm_s16le"}
SUFFIX_SUBTITLES = {".mp4": "mov_text", ".mov": "mov_text", ".webm": "webvtt"}
QUICK = {
    "libx264": {"preset": "ultrafast", "qp": "0", "threads": "1"},
    "libx265": {"preset": "ultrafast", "x265-params": "pools=1:log-level=none"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}


def make_clip(
    path,
    *,
    frames=48,
    size=(64, 48),
    pix_fmt="yuv420p",
    codec="ffv1",
    rate=25,
    vfr=False,
    start=0,
    audio=0,
    audio_start=0,
    subtitles=0,
    attachments=0,
    cover=False,
    chapters=0,
    metadata=None,
    stream_metadata=None,
    color=None,
    sar=None,
    rotation=0,
    interlaced=False,
    gray=True,
    seed=0,
    options=None,
    container_options=None,
):
    """Write a clip of a moving textured picture to `path` (its suffix says the container) and return the path.

    `gray` means neutral chroma; `color` is {"range": 1|2, "matrix": n, "primaries": n, "transfer": n} (FFmpeg's);
    `start` and `audio_start` are seconds; `vfr` makes gaps of 20, 40, 100 ms; `rotation` is counterclockwise, degrees.
    Codecs are lossless unless `options` say otherwise ("libx264" is fast and without B-frames, too).
    """
    path = Path(path)
    with av.open(str(path), "w", options=container_options or {}) as output:
        output.metadata.update(metadata or {})
        video = _add_video(
            output, codec, rate, size=size, pix_fmt=pix_fmt, options=options, interlaced=interlaced, vfr=vfr
        )
        for name, number in (color or {}).items():
            setattr(video.codec_context, _COLOR[name], number)
        if sar:
            video.codec_context.sample_aspect_ratio = Fraction(sar)
        if rotation:
            video.set_display_rotation(rotation)
        video.metadata.update(stream_metadata or {})
        sounds = [_add_audio(output, path.suffix, index) for index in range(audio)]
        texts = [_add_subtitles(output, path.suffix, index) for index in range(subtitles)]
        for index in range(attachments):
            output.add_attachment(f"font{index}.ttf", "application/x-truetype-font", bytes(range(200)))
        picture = _add_cover(output) if cover else None
        if chapters:
            length = Fraction(frames) / rate / chapters
            output.set_chapters([_chapter(index, length) for index in range(chapters)])
        output.start_encoding()
        duration = Fraction(frames) / rate
        packets = _video_packets(video, frames, start, vfr=vfr, interlaced=interlaced, gray=gray, seed=seed)
        for sound in sounds:
            packets += _audio_packets(sound, duration, audio_start)
        for text in texts:
            packets += _subtitle_packets(text, duration, path.suffix)
        if picture is not None:
            packets.insert(0, _packet(picture, png_bytes(), 0, Fraction(1, 1000)))
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            output.mux(packet)
    return path


_COLOR = {"range": "color_range", "matrix": "colorspace", "primaries": "color_primaries", "transfer": "color_trc"}


def picture_planes(index, size, *, depth=8, chroma_shift=(1, 1), gray=True, seed=0):
    """Luma and both chroma planes of picture `index`: a texture that drifts, a ramp and a square that moves."""
    width, height = size
    rng = np.random.default_rng(seed)
    texture = rng.integers(0, 40, (64, 64))
    rows, columns = np.mgrid[0:height, 0:width]
    luma = 50 + 120 * columns // max(width, 1) + texture[(rows + index) % 64, (columns + 2 * index) % 64]
    left, top = (3 * index) % max(width, 1), (2 * index) % max(height, 1)
    luma[top : top + height // 4, left : left + width // 4] = 220
    across, down = chroma_shift
    shape = -(-height // (1 << down)), -(-width // (1 << across))
    cb, cr = np.full(shape, NEUTRAL), np.full(shape, NEUTRAL)
    if not gray:
        rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
        cb = NEUTRAL + 60 * np.sin((columns + index) / 7)
        cr = NEUTRAL + 60 * np.cos((rows + index) / 5)
    scale = 1 << (depth - 8)
    dtype = np.uint8 if depth == 8 else np.uint16
    low = rng.integers(0, scale, luma.shape)  # the low bits matter too: a lost bit must show
    return (luma * scale + low).astype(dtype), (cb * scale).astype(dtype), (cr * scale).astype(dtype)


def picture_frame(index, size, pix_fmt, **keywords):
    """The same picture as an av.VideoFrame of any pixel format."""
    layout = av.VideoFormat(pix_fmt, 16, 16)
    deep = layout.components[0].bits
    planar = pix_fmt.startswith(("yuv4", "yuvj4", "gray")) and not layout.is_big_endian
    if not planar:
        return picture_frame(index, size, "yuv444p", **keywords).reformat(format=pix_fmt, threads=1)
    shift = (int(layout.chroma_width(16) < 16), int(layout.chroma_height(16) < 16))
    if layout.chroma_width(16) == 4 or layout.chroma_height(16) == 4:  # 4:1:1, 4:1:0
        shift = tuple({16: 0, 8: 1, 4: 2}[length] for length in (layout.chroma_width(16), layout.chroma_height(16)))
    planes = picture_planes(index, size, depth=deep, chroma_shift=shift, **keywords)
    frame = av.VideoFrame(*size, pix_fmt)
    for target, plane in zip(frame.planes, planes, strict=False):
        view_of(target, plane.dtype, plane.shape)[:] = plane
    for target in frame.planes[3:]:
        np.frombuffer(target, np.uint8)[:] = 255
    return frame


def view_of(plane, dtype, shape):
    """A writable view of one plane of an av.VideoFrame."""
    samples = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // np.dtype(dtype).itemsize)
    return samples[: shape[0], : shape[1]]


def png_bytes(size=(16, 16)):
    """A small PNG picture, compressed."""
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height = size
    codec.pix_fmt, codec.time_base = "rgb24", Fraction(1, 25)
    return b"".join(bytes(packet) for packet in codec.encode(picture_frame(0, size, "rgb24")))


def damage(path, *, start=0.4, end=0.6, seed=0):
    """Overwrite the middle of a file (from and to: shares of its size) with noise, in place."""
    data = bytearray(Path(path).read_bytes())
    first, last = int(len(data) * start), int(len(data) * end)
    data[first:last] = np.random.default_rng(seed).bytes(last - first)
    Path(path).write_bytes(data)
    return path


def cut(path, share=0.5):
    """Throw away the end of a file, in place: `share` of it stays."""
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: int(len(data) * share)])
    return path


def read_frames(path, *, planes=3):
    """Every video frame that FFmpeg decodes: [(pts in seconds, tuple of planes)], cropped to the picture, copied."""
    with av.open(str(path)) as source:
        video = source.streams.video[0]
        return [(frame.pts * video.time_base, planes_of(frame)[:planes]) for frame in source.decode(video)]


def planes_of(frame):
    """The planes of a planar av.VideoFrame as arrays, copied."""
    dtype = np.uint8 if frame.format.components[0].bits == 8 else np.uint16
    return tuple(view_of(plane, dtype, (plane.height, plane.width)).copy() for plane in frame.planes)


def read_packets(path, kind):
    """Every packet of every stream of a kind ("audio", "subtitles", ...): {stream position: [(pts seconds, bytes)]}."""
    with av.open(str(path)) as source:
        streams = list(getattr(source.streams, kind))
        found = {position: [] for position in range(len(streams))}
        for packet in source.demux(streams):
            if packet.size:
                pts = None if packet.pts is None else packet.pts * packet.time_base
                found[streams.index(packet.stream)].append((pts, bytes(packet)))
        return found


def as_downloaded(picture, surface):
    """A picture as FFmpeg downloads it from a GPU: in another format, and everything else as it was."""
    full = 2 if picture.format.name.startswith("yuvj") else None
    exact = Interpolation.ACCURATE_RND | Interpolation.BITEXACT
    copy = picture.reformat(format=surface, interpolation=exact, src_color_range=full, dst_color_range=full)
    copy.pts, copy.color_range, copy.colorspace = picture.pts, picture.color_range, picture.colorspace
    return copy


def _add_video(output, codec, rate, *, size, pix_fmt, options, interlaced, vfr):
    settings = dict(QUICK.get(codec, {"threads": "1"}), **(options or {}))
    if interlaced:
        settings["flags"] = "+ildct+ilme"
    video = output.add_stream(codec, rate=Fraction(rate), options=settings)
    video.width, video.height = size
    video.pix_fmt = pix_fmt
    video.codec_context.time_base = Fraction(1, 1000) if vfr else 1 / Fraction(rate)
    return video


def _video_packets(video, frames, start, *, vfr, interlaced, gray, seed):
    size, pix_fmt, time_base = (video.width, video.height), video.pix_fmt, video.codec_context.time_base
    fields = _field_marker(size, pix_fmt, time_base) if interlaced else None
    pts, packets = round(Fraction(start) / time_base), []
    for index in range(frames):
        draw = woven_frame if interlaced else picture_frame
        frame = draw(index, size, pix_fmt, gray=gray, seed=seed)
        frame.color_range = video.codec_context.color_range or frame.color_range
        frame.pts, frame.time_base = pts, time_base
        pts += (20, 40, 100)[index % 3] if vfr else 1
        if fields is not None:
            fields.push(frame)
            frame = fields.pull()
        packets += video.encode(frame)
    return packets + video.encode(None)


def woven_frame(index, size, pix_fmt, **keywords):
    """An interlaced frame: the lines of two moments, top field first."""
    frame, later = (picture_frame(2 * index + field, size, pix_fmt, **keywords) for field in (0, 1))
    for target, plane in zip(frame.planes, planes_of(later), strict=True):
        view_of(target, plane.dtype, plane.shape)[1::2] = plane[1::2]
    return frame


def _field_marker(size, pix_fmt, time_base):
    graph = av.filter.Graph()
    source = graph.add_buffer(width=size[0], height=size[1], format=av.VideoFormat(pix_fmt), time_base=time_base)
    graph.link_nodes(source, graph.add("setfield", "tff"), graph.add("buffersink")).configure()
    return graph


def _add_audio(output, suffix, index):
    sound = output.add_stream(SUFFIX_AUDIO.get(suffix, "pcm_s16le"), rate=48000)
    sound.layout = "mono"
    sound.metadata.update({"language": ("deu", "eng", "fra")[index % 3], "title": f"track {index}"})
    return sound


def _audio_packets(sound, duration, start):
    context, packets = sound.codec_context, []
    size = context.frame_size or 1024
    for index in range(int(duration * 48000) // size):
        moments = (np.arange(size) + index * size) / 48000
        samples = np.sin(2 * np.pi * 440 * moments)[None]
        kind = context.format.name
        samples = samples.astype(np.float32) if kind.startswith("flt") else (samples * 20000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format=kind, layout="mono")
        frame.sample_rate = 48000
        frame.pts, frame.time_base = round(Fraction(start) * 48000) + index * size, Fraction(1, 48000)
        packets += sound.encode(frame)
    return packets + sound.encode(None)


def _add_subtitles(output, suffix, index):
    text = output.add_mux_stream(SUFFIX_SUBTITLES.get(suffix, "subrip"))
    text.time_base = Fraction(1, 1000)
    text.metadata.update({"language": ("eng", "deu")[index % 2]})
    return text


def _subtitle_packets(text, duration, suffix):
    packets = []
    for second in range(max(1, int(duration))):
        line = f"line {second}".encode()
        if suffix in (".mp4", ".mov"):
            line = len(line).to_bytes(2, "big") + line
        packets.append(_packet(text, line, second * 1000, Fraction(1, 1000), duration=500))
    return packets


def _add_cover(output):
    picture = output.add_mux_stream("png", width=16, height=16)
    picture.disposition = av.stream.Disposition.attached_pic
    return picture


def _packet(stream, data, pts, time_base, duration=0):
    packet = av.Packet(data)
    packet.stream = stream
    packet.pts = packet.dts = pts
    packet.time_base = time_base
    packet.duration = duration
    packet.is_keyframe = True
    return packet


def _chapter(index, length):
    return {
        "id": index + 1,
        "start": round(index * length * 1000),
        "end": round((index + 1) * length * 1000),
        "time_base": Fraction(1, 1000),
        "metadata": {"title": f"part {index + 1}"},
    }
