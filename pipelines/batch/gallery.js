"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
const rows = [...document.querySelectorAll(".body .row")];
const cellAt = (row, column) => rows[row] && rows[row].children[column + 1];
const place = (cell) => [Number(cell.dataset.r), Number(cell.dataset.c)];
let engine = -1;

// A pair's results by the chosen engine, or all of them.
const shown = (row, column) => data.cells[row][column].filter((one) => one.v && (engine < 0 || one.e === engine));
const isVideo = (link) => /\.(mp4|webm|mov)$/i.test(link);

function fill(cell) {
  const [row, column] = place(cell), found = shown(row, column);
  const refusal = data.cells[row][column].find((one) => one.r);
  stop(cell);
  cell.replaceChildren();
  cell.classList.toggle("bad", !found.length && Boolean(refusal));
  const name = `${data.sources[row].name} by ${data.drivers[column].name}`;
  cell.setAttribute("aria-label", found.length || !refusal ? name : `${name}, refused: ${refusal.r}`);
  if (found.length) {
    const picture = new Image();
    picture.loading = "lazy";
    picture.decoding = "async";
    picture.alt = "";
    picture.src = found[0].p;
    cell.append(picture);
    if (found.length > 1) cell.append(Object.assign(document.createElement("b"), { textContent: found.length }));
  } else if (refusal) {
    cell.title = refusal.r;
    cell.append(Object.assign(document.createElement("span"), { textContent: refusal.r }));
  }
}

// Cells get their posters when they come near the screen, and lose their videos when they leave it.
const near = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting && !target.dataset.full) {
      target.dataset.full = "1";
      for (const cell of target.querySelectorAll(".cell")) fill(cell);
    } else if (!isIntersecting) {
      for (const cell of target.querySelectorAll(".cell")) stop(cell);
    }
  }
}, { root: document.querySelector("main"), rootMargin: "400px" });
rows.forEach((row) => near.observe(row));

function video(link) {
  const player = document.createElement("video");
  Object.assign(player, { src: link, muted: true, loop: true, playsInline: true, preload: "auto" });
  return player;
}

function play(cell) {
  if (!cell || cell.querySelector("video")) return null;
  const found = shown(...place(cell));
  if (!found.length || !isVideo(found[0].v)) return null;
  const player = video(found[0].v);
  cell.append(player);
  return player;
}

function stop(cell) {
  for (const player of cell.querySelectorAll("video")) {
    player.pause();
    player.removeAttribute("src");
    player.load();
    player.remove();
  }
}

// The first video leads; others that drift from it by more than two frames are put right.
function together(players, lead = players[0]) {
  const ready = players.map((one) => new Promise((done) => {
    if (one.readyState >= 2) done(); else one.addEventListener("loadeddata", done, { once: true });
    one.addEventListener("error", done, { once: true });
  }));
  Promise.all(ready).then(() => {
    for (const one of players) { one.currentTime = 0; one.play().catch(() => {}); }
    const follow = () => {
      if (!lead.isConnected) return;
      for (const one of players) {
        if (one !== lead && one.duration && Math.abs(one.currentTime - (lead.currentTime % one.duration)) > 0.08) one.currentTime = lead.currentTime % one.duration;
        if (one.paused !== lead.paused) lead.paused ? one.pause() : one.play().catch(() => {});
      }
      setTimeout(follow, 250);
    };
    follow();
  });
}

let line = [];
function playLine(cells) {
  const same = line.length && line[0] === cells[0];
  line.forEach(stop);
  line = [];
  if (same) return;
  line = cells.filter((cell) => {
    const box = cell.getBoundingClientRect();
    return box.right > 0 && box.left < innerWidth && box.bottom > 0 && box.top < innerHeight;
  });
  line.forEach(stop);
  const players = line.map(play).filter(Boolean);
  if (players.length) together(players);
}

const body = document.querySelector(".body");
body.addEventListener("pointerover", (event) => {
  const cell = event.target.closest(".cell");
  if (cell && event.pointerType === "mouse" && !still && !line.includes(cell)) {
    const player = play(cell);
    if (player) player.play().catch(() => {});
  }
});
body.addEventListener("pointerout", (event) => {
  const cell = event.target.closest(".cell");
  if (cell && !cell.contains(event.relatedTarget) && !line.includes(cell)) stop(cell);
});
document.querySelector(".grid").addEventListener("click", (event) => {
  const cell = event.target.closest(".cell"), side = event.target.closest(".side"), top = event.target.closest(".top");
  if (cell) open(...place(cell));
  else if (side) playLine([...rows[side.dataset.r].querySelectorAll(".cell")]);
  else if (top) playLine(rows.map((_, row) => cellAt(row, Number(top.dataset.c))));
});
body.addEventListener("keydown", (event) => {
  const cell = event.target.closest(".cell");
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!cell || !step) return;
  const [row, column] = place(cell), next = cellAt(row + step[0], column + step[1]);
  if (next && next.matches(".cell")) { next.focus(); next.scrollIntoView({ block: "nearest", inline: "nearest" }); event.preventDefault(); }
});

const view = byId("view");
let at = [0, 0];
function figure(caption, link, poster) {
  const box = document.createElement("figure");
  if (link) box.append(isVideo(link) ? video(link) : Object.assign(new Image(), { src: link, alt: caption }));
  else if (poster) box.append(Object.assign(new Image(), { src: poster, alt: caption }));
  box.append(Object.assign(document.createElement("figcaption"), { textContent: caption }));
  return box;
}

// What a result is called: by its engine, and by its file where that is not enough.
function called(one, found) {
  const name = data.engines[one.e] || "result", file = decodeURIComponent(one.v.split("/").pop());
  return found.filter((other) => other.e === one.e).length > 1 ? `${name}, ${file}` : name;
}

function compare(one, other) {
  const box = document.createElement("figure"), stack = document.createElement("div"), slider = document.createElement("input");
  stack.className = "ab";
  const media = [one, other].map((item) => (isVideo(item.v) ? video(item.v) : Object.assign(new Image(), { src: item.v, alt: "" })));
  media[1].className = "over";
  stack.append(...media, document.createElement("i"));
  Object.assign(slider, { type: "range", min: 0, max: 100, value: 50 });
  slider.setAttribute("aria-label", "where the one ends and the other begins");
  slider.addEventListener("input", () => stack.style.setProperty("--cut", `${slider.value}%`));
  box.append(stack, slider, Object.assign(document.createElement("figcaption"), { textContent: `left: ${called(one, [one, other])}; right: ${called(other, [one, other])}` }));
  return box;
}

function open(row, column) {
  at = [row, column];
  const source = data.sources[row], driver = data.drivers[column], found = shown(row, column);
  const views = [figure(`source: ${source.name}`, isVideo(source.link) ? "" : source.link, source.poster), figure(`driver: ${driver.name}`, driver.link, driver.poster)];
  if (found.length === 2) views.push(compare(...found));
  else views.push(...found.map((one) => figure(called(one, found), one.v, one.p)));
  for (const one of data.cells[row][column]) if (one.r) views.push(figure(`refused: ${one.r}`));
  byId("title").textContent = `${source.name} by ${driver.name}`;
  byId("views").replaceChildren(...views);
  if (!view.open) view.showModal();
  const players = [...view.querySelectorAll("video")];
  if (players.length) {
    const lead = players[players.length - 1];
    lead.controls = !lead.closest(".ab");
    lead.muted = false;
    together(players, lead);
  }
}
function close() {
  view.querySelectorAll("video").forEach((one) => one.pause());
  byId("views").replaceChildren();
  const cell = cellAt(...at);
  if (cell) cell.focus();
}
function move(rowStep, columnStep) {
  const row = at[0] + rowStep, column = at[1] + columnStep;
  if (data.cells[row] && data.cells[row][column]) open(row, column);
}
view.addEventListener("close", close);
view.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (step && event.target.type !== "range") { move(...step); event.preventDefault(); }
});
byId("close").addEventListener("click", () => view.close());
byId("before").addEventListener("click", () => move(0, -1));
byId("after").addEventListener("click", () => move(0, 1));
byId("engine").addEventListener("change", (event) => {
  engine = Number(event.target.value);
  for (const row of rows) if (row.dataset.full) row.querySelectorAll(".cell").forEach(fill);
});
