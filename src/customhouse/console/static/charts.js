// Charts: thin lines from zero, gaps as gaps, the last value beside each line's name, as wide as their place.

const REFRESH = 5000;
const LINES = 6;
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const COLOURS = ["--info", "--again", "--good", "--wait", "--bad", "--quiet"];
const shown = new Map();

const short = (value) =>
  value === null || value === undefined ? "–"
    : Math.abs(value) >= 10000 ? Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value)
      : Intl.NumberFormat("en", { maximumFractionDigits: Math.abs(value) < 10 ? 1 : 0 }).format(value);

/** Put the names of the lines and their last values above a chart. */
function label(figure, names, lines) {
  const list = figure.querySelector(".lines");
  list.replaceChildren(...names.map((name, at) => {
    const item = document.createElement("li");
    const mark = document.createElement("i");
    mark.className = `line-${at}`;
    const last = [...lines[name]].reverse().find((value) => value !== null);
    item.append(mark, `${name} ${short(last)}`);
    return item;
  }));
}

const two = (number) => String(number).padStart(2, "0");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Say a moment on the axis, in UTC: seconds only where they matter, the day where it begins. */
function moment(seconds, step) {
  const at = new Date(seconds * 1000);
  if (step >= 86400 || (at.getUTCHours() === 0 && at.getUTCMinutes() === 0 && at.getUTCSeconds() === 0)) {
    return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;
  }
  const clock = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
  return step < 60 ? `${clock}:${two(at.getUTCSeconds())}` : clock;
}

/** Return the places of values that stand alone between gaps: no line leads to them, so they get a point. */
function alone(values) {
  const known = (value) => value !== null && value !== undefined;
  return [...values.keys()].filter((at) => known(values[at]) && !known(values[at - 1]) && !known(values[at + 1]));
}

function options(figure, names) {
  const soft = style("--soft"), line = style("--line");
  const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  return {
    width: figure.querySelector(".plot").clientWidth, height: 160,
    legend: { show: false }, cursor: { y: false, points: { size: 5 } },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    scales: { x: { range: () => figure.span }, y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [{ ...axis, size: 28, space: 72, values: (_plot, ticks, _axis, _space, step) => ticks.map((tick) => moment(tick, step)) }, { ...axis, size: 48, values: (_plot, ticks) => ticks.map(short) }],
    series: [{}, ...names.map((_, at) => ({ stroke: style(COLOURS[at]), width: 1.25, points: { show: true, size: 4, filter: (plot, series) => alone(plot.data[series]) } }))],
  };
}

async function draw(figure) {
  const answer = await fetch(figure.dataset.chart, { headers: { accept: "application/json" } });
  if (!answer.ok) return;
  const { from, to, times, lines } = await answer.json();
  figure.span = [from, to];
  const names = Object.keys(lines).slice(0, LINES);
  label(figure, names, lines);
  const data = [times, ...names.map((name) => lines[name])];
  const known = shown.get(figure);
  if (known && known.names.join() === names.join()) return known.plot.setData(data);
  known?.plot.destroy();
  const place = figure.querySelector(".plot");
  if (times.length < 2) { place.textContent = "not enough has been measured yet"; return; }
  place.replaceChildren();
  shown.set(figure, { names, plot: new uPlot(options(figure, names), data, place) });
}

const figures = [...document.querySelectorAll("[data-chart]")];
const refresh = () => document.hidden || Promise.allSettled(figures.map(draw));
const sized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const known = shown.get(target.closest("figure"));
    if (known && target.clientWidth) known.plot.setSize({ width: target.clientWidth, height: 160 });
  }
});
for (const figure of figures) sized.observe(figure.querySelector(".plot"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const { plot } of shown.values()) plot.destroy();
  shown.clear();
  refresh();
});
document.addEventListener("visibilitychange", refresh);
refresh();
setInterval(refresh, REFRESH);
