// One camera's video: fragments from a WebSocket into a media source, kept near the live edge, reconnected for ever.

const LATEST = 1.5; // seconds behind the newest picture at which we jump
const AHEAD = 0.08; // seconds behind it after a jump
const HURRY = 0.4; // seconds behind it at which we play a little faster
const KEPT = 10; // seconds of past video that stay in memory
const SILENCE = 8000; // ms without data after which a connection is given up
const LATE = 6000; // ms without data after which the picture is old: a slow camera's card comes after five seconds
const MOST = 500; // fragments that may wait for the browser
const RETRY = [250, 500, 1000, 2000, 5000]; // ms

const Source = window.ManagedMediaSource ?? window.MediaSource; // the first is what iPhones have

export class Player {
  constructor(url, video) {
    url.protocol = url.protocol.replace("http", "ws");
    this.url = url;
    this.video = video;
    this.socket = this.timer = null;
    this.unsupported = null; // the kind of video, if this browser cannot show it
    this.failures = 0;
    this.heard = null; // when data came last, ms; null: nothing is wanted
  }

  late() { return this.heard !== null && performance.now() - this.heard > LATE; }

  start() {
    if (this.socket || this.timer) return;
    this.heard ??= performance.now();
    const socket = this.socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket) return;
      this.listen();
      this.heard = performance.now();
      if (typeof data === "string") this.open(data);
      else this.append(data);
    };
    socket.onclose = () => { if (socket === this.socket) this.retry(); };
    this.listen();
  }

  stop() {
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    const socket = this.socket;
    this.socket = this.timer = this.buffer = this.heard = null;
    socket?.close();
    if (!this.address) return;
    this.video.removeAttribute("src");
    this.video.load();
    URL.revokeObjectURL(this.address);
    this.address = null;
  }

  retry() {
    // The last picture stays until the new video comes: no flash of black, and the state beside it says what is so.
    clearTimeout(this.silence);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    const delay = RETRY[Math.min(this.failures, RETRY.length - 1)];
    this.failures += 1;
    this.timer = setTimeout(() => { this.timer = null; this.start(); }, delay);
  }

  listen() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.retry(), SILENCE);
  }

  open(mime) {
    this.unsupported = Source?.isTypeSupported(mime) ? null : mime;
    if (this.unsupported) {
      this.retry(); // another encode may come
      return;
    }
    const media = new Source();
    const queue = this.queue = [];
    const before = this.address;
    this.buffer = null;
    media.onsourceopen = () => {
      if (queue !== this.queue || !this.socket) return;
      this.buffer = media.addSourceBuffer(mime);
      this.buffer.onupdateend = () => { this.follow(); this.pump(); };
      this.pump();
    };
    this.address = URL.createObjectURL(media);
    this.video.disableRemotePlayback = true;
    this.video.src = this.address;
    if (before) URL.revokeObjectURL(before);
    this.video.play().catch(() => {});
  }

  append(data) {
    this.queue?.push(data);
    if (this.queue?.length > MOST) this.retry(); // the browser has stopped taking them
    else this.pump();
  }

  pump() {
    const { buffer, queue } = this;
    if (!buffer || buffer.updating || !queue.length) return;
    try {
      buffer.appendBuffer(queue[0]);
      queue.shift();
    } catch (error) {
      if (error.name === "QuotaExceededError") this.forget(1);
      else this.retry();
    }
  }

  follow() {
    const { video } = this;
    const ranges = video.buffered;
    if (!ranges.length) return;
    this.failures = 0;
    const [start, end] = [ranges.start(ranges.length - 1), ranges.end(ranges.length - 1)];
    const late = end - video.currentTime;
    if (video.currentTime < start || late > LATEST || late < 0) video.currentTime = Math.max(start, end - AHEAD);
    video.playbackRate = late > HURRY && late <= LATEST ? 1.1 : 1;
    if (video.paused) video.play().catch(() => {});
    if (video.currentTime - ranges.start(0) > 2 * KEPT) this.forget(KEPT);
  }

  forget(kept) {
    const { buffer, video } = this;
    const until = video.currentTime - kept;
    if (buffer && !buffer.updating && video.buffered.length && until > video.buffered.start(0)) buffer.remove(0, until);
  }
}
