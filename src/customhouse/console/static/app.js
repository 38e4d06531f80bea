// What every page needs: times as how long ago, and the keyboard. No page depends on it to be read.

const STEPS = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [Infinity, 86400, "d"]];

/** Say how long ago a moment was, in one unit. */
export function ago(moment, now = Date.now()) {
  const seconds = Math.round((now - moment) / 1000);
  if (seconds < 0) return "in the future";
  if (seconds < 2) return "now";
  const [, unit, name] = STEPS.find(([bound]) => seconds < bound);
  return `${Math.floor(seconds / unit)} ${name} ago`;
}

/** Rewrite every `<time data-ago>` below a node. */
export function tellTimes(root = document) {
  for (const time of root.querySelectorAll("time[data-ago]")) {
    const moment = Date.parse(time.dateTime);
    if (!Number.isNaN(moment)) time.textContent = ago(moment);
  }
}

const typing = (target) => target.closest?.("input, textarea, select, [contenteditable]");
const rows = () => [...document.querySelectorAll("[data-rows] > tr, [data-rows] > li")].filter((row) => row.offsetParent);

/** Select a row of the page's list; the one that is selected says so to everybody. */
export function select(row) {
  for (const other of rows()) other.removeAttribute("aria-current");
  if (!row) return;
  row.setAttribute("aria-current", "true");
  row.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && typing(event.target)) return event.target.blur();
  if (typing(event.target)) return;
  const all = rows();
  const at = all.findIndex((row) => row.hasAttribute("aria-current"));
  if (event.key === "/") {
    const filter = document.querySelector("[data-filter]");
    if (filter) { event.preventDefault(); filter.focus(); filter.select?.(); }
  } else if (event.key === "j") select(all[Math.min(at + 1, all.length - 1)]);
  else if (event.key === "k") select(all[Math.max(at - 1, 0)]);
  else if (event.key === "Enter" && at >= 0 && !event.target.closest("a, button")) all[at].querySelector("a")?.click();
});

document.addEventListener("htmx:afterSwap", (event) => tellTimes(event.target));
tellTimes();
setInterval(tellTimes, 5000);
