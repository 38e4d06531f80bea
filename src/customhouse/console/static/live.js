// The Live page: new events come by themselves, unless somebody reads; filters apply as one types.

const MOST = 100; // rows per column on the page, and per column while it holds
const AGAIN_MS = 5000;
const page = document.querySelector("#live");
const columns = ["good", "bad"];
const byId = (id) => document.getElementById(id);
const list = (column) => page.querySelector(`[data-rows="${column}"]`);
const number = new Intl.NumberFormat("en-GB");

let stream = null;
let paused = false;
let hovering = false;
let waiting = { good: [], bad: [] };
let lost = { good: 0, bad: 0 };
let counts = { good: 0, bad: 0, unseen: { good: 0, bad: 0 }, gone: 0 };
let since = new Date();

const chosen = () => page.querySelector("[data-rows] > [aria-current]");
const holds = () => paused || hovering || Boolean(chosen());

/** Turn the markup of rows (made and escaped by the server) into list items. */
function items(markup, fresh) {
  const template = document.createElement("template");
  template.innerHTML = markup.join("");
  const found = [...template.content.querySelectorAll("li")];
  if (fresh) for (const item of found) item.classList.add("fresh");
  return found;
}

/** Put rows, oldest first, on top of a column, and let go of what is too old. */
function put(column, markup) {
  if (!markup.length) return;
  const target = list(column);
  target.prepend(...items(markup, true).reverse());
  while (target.children.length > MOST) target.lastElementChild.remove();
}

function tell() {
  const state = byId("state");
  const held = waiting.good.length + waiting.bad.length + lost.good + lost.bad;
  const open = stream?.readyState === EventSource.OPEN;
  const mark = holds() ? ["wait", "◐", "Holding still."] : open ? ["good", "●", "Live."] : ["wait", "◐", "Connecting …"];
  state.className = `tone ${mark[0]}`;
  state.innerHTML = "";
  const shape = document.createElement("span");
  shape.ariaHidden = "true";
  shape.textContent = mark[1];
  state.append(shape, ` ${mark[2]}`);
  const clock = since.toISOString().slice(11, 19);
  let words = `${number.format(counts.good)} good and ${number.format(counts.bad)} bad since ${clock} UTC.`;
  if (counts.gone) words += ` ${number.format(counts.gone)} went by unread.`;
  byId("came").textContent = words;
  byId("held").textContent = held ? `${number.format(held)} more came meanwhile` : "";
  for (const column of columns) {
    const unseen = counts.unseen[column];
    page.querySelector(`[data-hidden="${column}"]`).textContent = unseen ? `${number.format(unseen)} more came by too fast to show` : "";
  }
}

/** Show what was held, as far as it was kept. */
function release() {
  if (holds()) return tell();
  for (const column of columns) {
    put(column, waiting[column]);
    counts.unseen[column] += lost[column];
  }
  waiting = { good: [], bad: [] };
  lost = { good: 0, bad: 0 };
  tell();
}

function came(event) {
  const said = JSON.parse(event.data);
  if (page.classList.contains("is-empty")) {
    page.classList.remove("is-empty");
    byId("first")?.remove();
  }
  for (const column of columns) {
    const rows = said[column];
    counts[column] += rows.length + said.hidden[column];
    counts.unseen[column] += said.hidden[column];
    waiting[column].push(...rows);
    const over = waiting[column].length - MOST;
    if (over > 0) {
      waiting[column].splice(0, over);
      lost[column] += over;
    }
  }
  counts.gone += said.gone;
  release();
}

function trouble(words) {
  const place = byId("trouble");
  place.textContent = words ? `▲ ${words}. customhouse doctor tells more.` : "";
  place.hidden = !words;
}

/** Say why a stream was not opened, and try again later. */
async function refused(mine) {
  let words = "The console does not answer; trying again";
  try {
    const answer = await fetch("/live/stream", { method: "HEAD" });
    if (answer.status === 503) words = "So many people watch already that nobody more can; trying again";
    else if (answer.status === 401 || answer.redirected) words = "You are signed out; load this page again";
  } catch { /* the words say it */ }
  trouble(words);
  setTimeout(() => mine === stream && open(), AGAIN_MS);
}

/** Open the stream from a place on; a browser goes on by itself after a break, unless it was refused. */
function open() {
  stream?.close();
  const query = new URLSearchParams(page.dataset.query);
  query.set("after", page.dataset.place);
  const mine = new EventSource(`/live/stream?${query}`);
  stream = mine;
  mine.addEventListener("open", () => { trouble(""); tell(); });
  mine.addEventListener("rows", (event) => {
    page.dataset.place = event.lastEventId || page.dataset.place;
    came(event);
  });
  mine.addEventListener("anew", () => load(page.dataset.query)); // the console was started again meanwhile
  mine.addEventListener("trouble", (event) => trouble(JSON.parse(event.data).words));
  mine.addEventListener("error", () => {
    tell();
    if (mine.readyState === EventSource.CLOSED && mine === stream) refused(mine);
  });
}

/** Load the page for a filter and take over its lists: what is shown is what the address says. */
let asked = 0;
const sorted = (query) => [...new URLSearchParams(query)].sort().join("&");
async function filter() {
  const fields = [...new FormData(byId("filters"))].filter(([, text]) => text.trim());
  const query = new URLSearchParams(fields).toString();
  if (sorted(query) !== sorted(page.dataset.query)) await load(query);
}

async function load(query) {
  const mine = ++asked;
  const address = query ? `/live?${query}` : "/live";
  const answer = await fetch(address, { headers: { accept: "text/html" } });
  const other = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = other.querySelector("#live");
  if (mine !== asked || !fresh) return;
  history.replaceState(null, "", address);
  for (const part of ["#lists", ".bar .tabs", "#narrow", ".exports"]) page.querySelector(part).replaceWith(fresh.querySelector(part));
  for (const hidden of byId("person").querySelectorAll("input[type=hidden]:not([name=_proof])")) hidden.remove();
  byId("person").append(...fresh.querySelectorAll("#person input[type=hidden]:not([name=_proof])"));
  page.dataset.query = fresh.dataset.query;
  page.dataset.place = fresh.dataset.place;
  waiting = { good: [], bad: [] };
  lost = { good: 0, bad: 0 };
  counts = { good: 0, bad: 0, unseen: { good: 0, bad: 0 }, gone: 0 };
  since = new Date();
  listen();
  open();
  tell();
}

/** Hold still while the mouse is over the lists. */
function listen() {
  byId("lists").addEventListener("mouseenter", () => { hovering = true; tell(); });
  byId("lists").addEventListener("mouseleave", () => { hovering = false; release(); });
}

function pause() {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  release();
}

async function copy(button) {
  const code = byId(button.dataset.copy);
  let done = false;
  try {
    await navigator.clipboard.writeText(code.textContent);
    done = true;
  } catch {
    getSelection().selectAllChildren(code); // no clipboard without https: one key is left to press
  }
  button.textContent = done ? "Copied" : "Selected: press Ctrl-C";
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

let later = 0;
document.documentElement.classList.add("scripted");
byId("pause").hidden = false;
byId("pause").addEventListener("click", pause);
byId("filters").addEventListener("input", () => { clearTimeout(later); later = setTimeout(filter, 200); });
byId("filters").addEventListener("submit", (event) => { event.preventDefault(); filter(); });
page.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea, select")) return;
  if (event.key === "p") pause();
  if (event.key === "Escape") chosen()?.removeAttribute("aria-current");
  if (["j", "k", "Escape"].includes(event.key)) queueMicrotask(release);
});
listen();
open();
tell();
