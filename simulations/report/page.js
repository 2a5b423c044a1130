"use strict";
/* Fills the plots for the replay that is looked at, thins them for the time that is shown, and sets the theme. */

const $ = (id) => document.getElementById(id);
const page = JSON.parse($("page-data").textContent);
const ROWS = 100, MS = 1000;

/* ---- theme ---------------------------------------------------------------------------------------------- */

const system = matchMedia("(prefers-color-scheme: dark)");
let choice = "auto";

function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

const CHROME = {
  Axis: () => ({
    axis_line_color: token("rule"), major_tick_line_color: token("rule"), minor_tick_line_color: null,
    major_label_text_color: token("muted"), axis_label_text_color: token("muted"), axis_label_text_font_style: "normal",
    major_label_text_font: token("sans"), axis_label_text_font: token("sans"),
  }),
  Grid: () => ({ grid_line_color: token("rule"), grid_line_alpha: 0.7 }),
};

function paint(model) {
  for (const [type, style] of Object.entries(CHROME)) {
    if (model.type.endsWith(type)) model.setv(style());
  }
  const role = model.tags && model.tags[0];
  if (!role) return;
  const color = token(role);
  for (const property of ["line_color", "fill_color"]) {
    if (property in model.properties) model[property] = color;
  }
  if (role === "frame") model.setv({ fill_alpha: 0.12, line_width: 1 });
}

function dress(root) {
  const dark = choice === "dark" || (choice === "auto" && system.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
  }
  if (root) root.roots().forEach((plot) => plot.references().forEach(paint));
}

/* ---- data ----------------------------------------------------------------------------------------------- */

const opened = new Map();

/* One replay, unpacked once: times in ms, every series as Float64Array with NaN for "nothing". */
function open(index) {
  if (!opened.has(index)) opened.set(index, unpack(index));
  return opened.get(index);
}

async function unpack(index) {
  const bytes = Uint8Array.from(atob($(`case-${index}`).textContent), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const raw = await new Response(stream).json();
  const steps = raw.kept || Array.from({ length: raw.steps }, (_, step) => step);
  const series = { t: Float64Array.from(steps, (step) => MS * (raw.start_s + step * raw.step_s)) };
  for (const [name, values] of Object.entries(raw.series)) {
    series[name] = Float64Array.from(values, (value) => (value === null ? NaN : value));
  }
  series.objective_s = new Float64Array(steps.length).fill(page.cases[index].objective_s);
  return { ...raw, series, from: MS * raw.start_s, to: MS * (raw.start_s + raw.steps * raw.step_s) };
}

function firstAt(sorted, value) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1; else high = middle;
  }
  return low;
}

/* Indices between two times; where there are more than pixels, the smallest and largest of `key` in each stretch. */
function thin(series, key, from, to, pixels) {
  const first = Math.max(0, firstAt(series.t, from) - 1);
  const last = Math.min(series.t.length, firstAt(series.t, to) + 1);
  const stretch = Math.max(1, Math.floor((last - first) / pixels));
  const kept = [];
  for (let start = first; start < last; start += stretch) {
    const end = Math.min(start + stretch, last);
    if (stretch <= 2) {
      for (let index = start; index < end; index++) kept.push(index);
      continue;
    }
    let low = start, high = start;
    for (let index = start + 1; index < end; index++) {
      if (!(series[key][index] >= series[key][low])) low = index;
      if (!(series[key][index] <= series[key][high])) high = index;
    }
    kept.push(...(low === high ? [low] : [Math.min(low, high), Math.max(low, high)]));
  }
  return kept;
}

function pick(series, columns, indices) {
  return Object.fromEntries(columns.map((name) => [name, Float64Array.from(indices, (index) => series[name][index])]));
}

/* ---- words ---------------------------------------------------------------------------------------------- */

/* Clock times of a trace are its local time read as UTC; a trace without a clock counts days from its start. */
function timeText(ms, clock) {
  const at = new Date(ms);
  const time = at.toISOString().slice(11, 19);
  if (!clock) return `day ${Math.floor(ms / 86_400_000) + 1}, ${time}`;
  const day = at.toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" });
  return `${day}, ${time}`;
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/* ---- the page ------------------------------------------------------------------------------------------- */

async function start() {
  dress();
  const roots = page.plots.document.roots.map((root) => root.id);
  const item = { docid: "report", roots: Object.fromEntries(Object.entries(page.plots.roots).map(([name, id]) => [id, name])), root_ids: roots };
  await Bokeh.embed.embed_items({ report: page.plots.document }, [item]);
  const plots = Bokeh.documents[0];
  const model = (name) => plots.get_model_by_name(name);
  const window_ = model("window");
  const view = { index: 0, data: null, fleets: [], rows: [], shown: ROWS };

  document.querySelectorAll("[data-theme-choice]").forEach((button) => button.addEventListener("click", () => {
    choice = button.dataset.themeChoice;
    dress(plots);
  }));
  system.addEventListener("change", () => dress(plots));
  dress(plots);
  if (matchMedia("(pointer: coarse)").matches) {
    plots.roots().forEach((plot) => { if (plot.name !== "overview") plot.toolbar.active_drag = null; });
  }

  /* -- legends: a click hides what the entry names -- */

  for (const [name, keys] of Object.entries(page.plots.legends)) {
    if (!keys.length) continue;
    const legend = element("div", undefined, "legend");
    for (const { label, role, sign, models } of keys) {
      const key = element("button"), mark = element("span", sign);
      key.type = "button";
      key.setAttribute("aria-pressed", "true");
      mark.setAttribute("aria-hidden", "true");
      mark.style.color = `var(--${role})`;
      key.append(mark, ` ${label}`);
      key.addEventListener("click", () => {
        const shown = key.getAttribute("aria-pressed") !== "true";
        key.setAttribute("aria-pressed", String(shown));
        models.forEach((id) => { plots.get_model_by_id(id).visible = shown; });
      });
      legend.append(key);
    }
    $(name).before(legend);
  }

  /* -- time -- */

  function draw() {
    const { start, end } = window_;
    const pixels = Math.max(300, $("overview").clientWidth);
    for (const panel of page.panels) {
      const columns = ["t", ...panel.columns];
      model(`data-${panel.name}`).data = pick(view.data.series, columns, thin(view.data.series, panel.key, start, end, pixels));
    }
    view.fleets.forEach((fleet, number) => {
      const source = model(`data-fleet-${number}`);
      if (source) source.data = fleet ? pick(fleet.series, ["t", "held"], thin(fleet.series, "held", start, end, pixels)) : { t: [], held: [] };
    });
    const clock = page.cases[view.index].clock;
    $("shown").textContent = `${timeText(start, clock)} to ${timeText(end, clock)}`;
    if ($("in-view").checked) list();
  }

  let waiting = false;
  function drawSoon() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  }

  function show(from, to) {
    const { from: first, to: last } = view.data;
    const width = Math.min(to - from, last - first);
    const begin = Math.min(Math.max(from, first), last - width);
    window_.setv({ start: begin, end: begin + width });
  }

  function around(ms, width) { show(ms - width / 2, ms + width / 2); }

  /* The hour with the most misses, around the middle of them. */
  function worst() {
    const { t, missed_rps: missed } = view.data.series;
    let sum = 0, moment = 0, most = -1, at = t[0];
    for (let first = 0, last = 0; last < t.length; last++) {
      sum += missed[last];
      moment += missed[last] * (t[last] - t[0]);
      for (; t[last] - t[first] > 3600 * MS; first++) {
        sum -= missed[first];
        moment -= missed[first] * (t[first] - t[0]);
      }
      if (sum > most + 1e-9) { most = sum; at = t[0] + (sum > 0 ? moment / sum : 0); }
    }
    around(at, 3600 * MS);
  }

  function span(kind) {
    if (kind === "all") show(view.data.from, view.data.to);
    else if (kind === "worst") worst();
    else around((window_.start + window_.end) / 2, Number(kind) * MS);
  }

  window_.change.connect(drawSoon);
  addEventListener("resize", drawSoon);
  document.querySelectorAll("[data-span]").forEach((button) => button.addEventListener("click", () => span(button.dataset.span)));
  for (const name of [...page.panels.map((panel) => panel.name), "fleets"]) {
    const place = $(name);
    if (place) place.addEventListener("dblclick", () => span("all"));
  }

  /* -- decisions -- */

  function stage([name, serving, standby, reason], rules) {
    const line = element("li", undefined, rules ? "rules" : "");
    line.append(element("b", name), element("i", standby ? `${serving}+${standby}` : `${serving}`), element("span", reason));
    return line;
  }

  function row(change) {
    const line = element("tr");
    const when = element("td"), jump = element("button", timeText(change.at, page.cases[view.index].clock));
    jump.type = "button";
    jump.title = "Show this time in the plots";
    jump.addEventListener("click", () => { around(change.at, 1200 * MS); $("closeup").scrollIntoView({ behavior: "smooth" }); });
    when.append(jump);
    const moved = change.moved > 0 ? "up" : change.moved < 0 ? "down" : "";
    const arrow = { up: "▲ ", down: "▼ " }[moved] || "";
    const reasons = element("td"), stages = element("ol");
    const ruling = change.reasons.map(([name]) => name).lastIndexOf(change.ruled);
    change.reasons.forEach((reason, number) => stages.append(stage(reason, number === ruling)));
    reasons.append(stages);
    line.append(when, element("td", `${arrow}${change.serving}`, `number ${moved}`), element("td", change.standby, "number"), element("td", change.ruled), reasons);
    return line;
  }

  function list() {
    const words = $("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const { start, end } = window_;
    const inView = $("in-view").checked, sizes = $("sizes").checked;
    const found = view.rows.filter((change) =>
      (!sizes || change.moved !== 0) && (!inView || (change.at >= start && change.at <= end)) && words.every((word) => change.text.includes(word)));
    $("decision-rows").replaceChildren(...found.slice(0, view.shown).map(row));
    $("found").textContent = `${found.length.toLocaleString("en")} of ${view.rows.length.toLocaleString("en")}`;
    $("more").hidden = found.length <= view.shown;
  }

  function decisions() {
    view.rows = view.data.changes.map(([at, serving, standby, ruled, reasons, moved]) => {
      const text = `${serving} ${standby} ${ruled} ${reasons.flat().join(" ")}`.toLowerCase();
      return { at: at * MS, serving, standby, ruled, reasons, moved, text };
    });
    const { changes, changes_total: total } = view.data;
    $("decisions-note").textContent = changes.length < total
      ? `The ${changes.length.toLocaleString("en")} that moved the size most, of ${total.toLocaleString("en")} that changed the size or what ruled it. Replayed alone, this policy shows all.`
      : "Those that changed the size, or what ruled it. A click on a time shows it in the plots.";
    view.shown = ROWS;
    list();
  }

  $("find").addEventListener("input", () => { view.shown = ROWS; list(); });
  $("in-view").addEventListener("change", list);
  $("sizes").addEventListener("change", list);
  $("more").addEventListener("click", () => { view.shown += ROWS; list(); });

  /* -- which replay -- */

  function facts(index) {
    const replay = page.cases[index];
    if (!$("case-facts")) return;
    $("case-headline").textContent = replay.headline;
    $("case-facts").replaceChildren(...replay.facts.map(({ name, value, note, tone }) => {
      const fact = element("div", undefined, tone), text = element("dd", value);
      text.append(element("small", note));
      fact.append(element("dt", name), text);
      return fact;
    }));
  }

  function clocks(clock) {
    const day = clock ? "%a %d %b" : "day %-j";
    for (const plot of plots.roots()) {
      for (const tool of plot.toolbar.tools) {
        if (tool.type === "HoverTool") tool.tooltips = tool.tooltips.replace(/@t\{.*?\}/, `@t{${day}, %H:%M:%S}`);
      }
      for (const axis of plot.below) {
        if (axis.formatter.type !== "DatetimeTickFormatter") continue;
        axis.formatter.setv({ seconds: "%H:%M:%S", minsec: "%H:%M:%S", minutes: "%H:%M", hourmin: "%H:%M", hours: "%H:%M", days: day, months: day, years: day });
      }
    }
  }

  async function look(index) {
    const replay = page.cases[index];
    const same = (other) => ["trace", "workload", "routing", "seed"].every((word) => other[word] === replay[word]);
    const fleets = page.policies.map((policy) => page.cases.findIndex((other) => other.policy === policy && same(other)));
    const before = view.data;
    view.index = index;
    view.data = await open(index);
    view.fleets = page.policies.length > 1 ? await Promise.all(fleets.map((fleet) => (fleet < 0 ? null : open(fleet)))) : [];
    const { from, to, series } = view.data;
    clocks(replay.clock);
    facts(index);
    for (const button of document.querySelectorAll("[data-span]")) {
      const seconds = button.dataset.span === "worst" ? 3600 : Number(button.dataset.span);
      button.hidden = seconds * MS >= to - from;
    }
    const whole = thin(series, "requests_rps", from, to, 1200);
    model("data-overview").data = pick(series, ["t", "requests_rps"], whole);
    model("whole").setv({ start: from, end: to });
    if (before && before.from === from && before.to === to) draw(); else { show(from, to); draw(); }
    decisions();
  }

  const WORDS = [["trace", "Traffic"], ["workload", "Workload"], ["routing", "Routing"], ["policy", "Policy"], ["seed", "Seed"]];
  const selects = new Map();

  /* The replay that has the new choice and as many of the others as possible. */
  function nearest(word, value) {
    const now = page.cases[view.index];
    const fits = (other) => WORDS.filter(([key]) => key !== word && other[key] === now[key]).length;
    const candidates = page.cases.map((other, index) => [other, index]).filter(([other]) => String(other[word]) === value);
    return candidates.reduce((best, next) => (fits(next[0]) > fits(best[0]) ? next : best))[1];
  }

  for (const [word, title] of WORDS) {
    const values = [...new Set(page.cases.map((other) => String(other[word])))];
    if (values.length < 2) continue;
    const label = element("label", title), select = element("select");
    select.append(...values.map((value) => new Option(value, value)));
    select.addEventListener("change", async () => {
      await look(nearest(word, select.value));
      selects.forEach((other, key) => { other.value = String(page.cases[view.index][key]); });
    });
    label.append(select);
    selects.set(word, select);
    $("chooser").append(label);
  }
  $("chooser").hidden = selects.size === 0;
  await look(0);
  document.documentElement.dataset.ready = "yes";
}

start().catch((error) => {
  $("failure").textContent = `The plots could not be drawn: ${error.message}`;
  $("failure").hidden = false;
  throw error;
});
