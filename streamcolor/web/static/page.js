// The page: a tile for each camera, one of them large, numbers once a second.
import { Player } from "./player.js";

const POLL = 1000; // ms
const RECENT = 10; // polls over which a delay is taken

const grid = document.getElementById("grid");
const summary = document.getElementById("summary");
const back = document.getElementById("back");
const template = document.getElementById("tile");
const tiles = new Map(); // by the camera's name

class Tile {
  constructor(name) {
    this.name = name;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.element.dataset.name = name;
    this.part("h2").textContent = name;
    this.part(".open").setAttribute("aria-label", `Show ${name} large`);
    this.part(".open").onclick = () => { location.hash = encodeURIComponent(name); };
    this.part(".split").oninput = (event) => this.element.style.setProperty("--split", `${event.target.value}%`);
    this.player = new Player(new URL(`video/${encodeURIComponent(name)}`, location.href), this.part("video"));
    this.delays = [];
    this.running = this.seen = false;
    observer.observe(this.element);
  }

  part(selector) { return this.element.querySelector(selector); }

  show(feed, bounds) {
    this.running = feed.state !== "off";
    this.element.className = ["tile", feed.state, ...(this.element.classList.contains("large") ? ["large"] : [])].join(" ");
    this.part(".state").textContent = feed.state;
    this.part(".state").title = feed.error ?? "";
    this.part(".fps").textContent = feed.fps?.toFixed(1) ?? "–";
    this.part(".delay").textContent = this.recentDelay(feed.delays, bounds);
    this.part(".drops").textContent = feed.dropped ?? "–";
    this.part(".reconnects").textContent = feed.reconnects ?? "–";
    this.part(".notice").textContent = notice(feed, this.player.unsupported);
    if (feed.state === "live" && this.player.late()) this.doubt("no video", "no video comes: this picture is old");
    this.decide();
  }

  // A picture that stands still must not look like a live one.
  doubt(word, text) {
    this.element.classList.remove("live");
    this.element.classList.add("stale");
    this.part(".state").textContent = word;
    this.part(".notice").textContent = text;
  }

  // The delay below which 95 % of the latest frames stayed: the counts since the start are too old to tell.
  recentDelay(counts, bounds) {
    if (!counts) return "–";
    this.delays.push(counts);
    if (this.delays.length > RECENT || counts.some((count, i) => count < this.delays[0][i])) this.delays.shift();
    const recent = counts.map((count, i) => count - (this.delays.length > 1 ? this.delays[0][i] : 0));
    const wanted = 0.95 * recent.reduce((sum, count) => sum + count, 0);
    if (!wanted) return "–";
    let reached = 0;
    const place = recent.findIndex((count) => (reached += count) >= wanted);
    const words = (seconds) => (seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds} s`);
    return place < bounds.length ? `≤ ${words(bounds[place])}` : `> ${words(bounds.at(-1))}`;
  }

  // Only what can be seen is fetched: sixteen cameras on a phone would be a pity.
  decide() {
    if (this.running && this.seen && !document.hidden) this.player.start();
    else this.player.stop();
  }

  remove() {
    observer.unobserve(this.element);
    this.player.stop();
    this.element.remove();
  }
}

const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const tile = tiles.get(entry.target.dataset.name);
    if (!tile) continue;
    tile.seen = entry.isIntersecting;
    tile.decide();
  }
}, { rootMargin: "100px" });

function notice(feed, unsupported) {
  if (unsupported) return `this browser cannot show ${unsupported}`;
  const ago = feed.age == null ? "" : `, last picture ${Math.round(feed.age)} s ago`;
  const texts = { off: "switched off", connecting: "connecting…", lost: `no signal${ago}`, denied: `wrong password${ago}` };
  return texts[feed.state] ?? "";
}

function chooseLarge() {
  const name = decodeURIComponent(location.hash.slice(1));
  grid.classList.toggle("single", tiles.has(name));
  back.hidden = !tiles.has(name);
  for (const [each, tile] of tiles) tile.element.classList.toggle("large", each === name);
}

function showAll({ feeds, bounds }) {
  for (const [name, tile] of tiles) {
    if (feeds.some((feed) => feed.name === name)) continue;
    tile.remove();
    tiles.delete(name);
  }
  for (const feed of feeds) {
    if (!tiles.has(feed.name)) {
      tiles.set(feed.name, new Tile(feed.name));
      grid.append(tiles.get(feed.name).element);
    }
    tiles.get(feed.name).show(feed, bounds);
  }
  chooseLarge();
  const live = feeds.filter((feed) => feed.state === "live").length;
  summary.textContent = feeds.length ? `${live} of ${feeds.length} live` : "no cameras yet";
  summary.classList.remove("broken");
}

async function poll() {
  try {
    const answer = await fetch("api/feeds", { signal: AbortSignal.timeout(5000) });
    if (answer.status === 401) location.assign("login");
    else if (answer.ok) showAll(await answer.json());
    else throw new Error(answer.statusText);
  } catch {
    summary.textContent = "the server does not answer; trying again…";
    summary.classList.add("broken");
    for (const tile of tiles.values()) tile.doubt("unknown", "no connection to the server: this picture is old");
  }
  setTimeout(poll, document.hidden ? 5 * POLL : POLL);
}

back.onclick = () => { location.hash = ""; };
addEventListener("hashchange", chooseLarge);
addEventListener("keydown", (event) => { if (event.key === "Escape") location.hash = ""; });
document.addEventListener("visibilitychange", () => { for (const tile of tiles.values()) tile.decide(); });
poll();
