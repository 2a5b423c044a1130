/* The plots over time: one window for all, and what they draw in it. */

class TimePlots {
  constructor(plots, changed) {
    this.plots = plots;
    this.changed = changed;
    this.window = this.model("window");
    this.replay = null;
    this.fleets = [];
    this.clock = false;
    this.waiting = false;
    this.window.change.connect(() => this.drawSoon());
    addEventListener("resize", () => this.drawSoon());
    for (const each of document.querySelectorAll("[data-span]")) {
      each.addEventListener("click", () => this.span(each.dataset.span));
    }
    for (const name of ["fleets", ...page.panels.map((panel) => panel.name)]) {
      if ($(name)) $(name).addEventListener("dblclick", () => this.span("all"));
    }
    this.leaveTouchToScrolling();
    for (const [name, keys] of Object.entries(page.plots.legends)) {
      if (keys.length) $(name).before(this.legend(keys));
    }
  }

  model(name) {
    return this.plots.get_model_by_name(name);
  }

  leaveTouchToScrolling() {
    if (!matchMedia("(pointer: coarse)").matches) return;
    for (const plot of this.plots.roots()) {
      if (plot.name !== "overview") plot.toolbar.active_drag = null;
    }
  }

  /* A click on an entry hides what it names. */
  legend(keys) {
    const made = element("div", undefined, "legend");
    for (const { label, role, sign, models } of keys) {
      const key = button(), mark = element("span", sign);
      mark.setAttribute("aria-hidden", "true");
      mark.style.color = `var(--${role})`;
      key.setAttribute("aria-pressed", "true");
      key.append(mark, ` ${label}`);
      key.addEventListener("click", () => {
        const shown = key.getAttribute("aria-pressed") !== "true";
        key.setAttribute("aria-pressed", String(shown));
        for (const id of models) this.plots.get_model_by_id(id).visible = shown;
      });
      made.append(key);
    }
    return made;
  }

  /* Another replay; the time that is shown stays where it has the same length. */
  take(replay, fleets, clock) {
    const same = this.replay && this.replay.from === replay.from && this.replay.to === replay.to;
    Object.assign(this, { replay, fleets, clock });
    const { from, to, series } = replay;
    for (const each of document.querySelectorAll("[data-span]")) {
      const seconds = each.dataset.span === "worst" ? 3600 : Number(each.dataset.span);
      each.hidden = seconds * MS >= to - from;
    }
    this.setClock();
    this.model("data-overview").data = pick(series, ["t", "requests_rps"], thin(series, "requests_rps", from, to, 1200));
    this.model("whole").setv({ start: from, end: to });
    if (!same) this.show(from, to);
    this.draw();
  }

  setClock() {
    const day = this.clock ? "%a %d %b" : "day %-j";
    const [exact, short] = ["%H:%M:%S", "%H:%M"];
    const formats = { seconds: exact, minsec: exact, minutes: short, hourmin: short, hours: short, days: day, months: day, years: day };
    for (const plot of this.plots.roots()) {
      for (const { formatter } of plot.below) {
        if (formatter.type === "DatetimeTickFormatter") formatter.setv(formats);
      }
      for (const tool of plot.toolbar.tools) {
        if (tool.type === "HoverTool") tool.tooltips = tool.tooltips.replace(/@t\{.*?\}/, `@t{${day}, ${exact}}`);
      }
    }
  }

  draw() {
    const { start, end } = this.window;
    const pixels = Math.max(300, $("overview").clientWidth);
    const cut = ({ series }, key, columns) => pick(series, ["t", ...columns], thin(series, key, start, end, pixels));
    for (const { name, key, columns } of page.panels) this.model(`data-${name}`).data = cut(this.replay, key, columns);
    this.fleets.forEach((fleet, number) => {
      this.model(`data-fleet-${number}`).data = fleet ? cut(fleet, "held", ["held"]) : { t: [], held: [] };
    });
    $("shown").textContent = `${timeText(start, this.clock)} to ${timeText(end, this.clock)}`;
    this.changed();
  }

  drawSoon() {
    if (this.waiting || !this.replay) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  show(from, to) {
    const width = Math.min(to - from, this.replay.to - this.replay.from);
    const start = Math.min(Math.max(from, this.replay.from), this.replay.to - width);
    this.window.setv({ start, end: start + width });
  }

  around(ms, seconds) {
    this.show(ms - (seconds * MS) / 2, ms + (seconds * MS) / 2);
  }

  span(kind) {
    if (kind === "all") this.show(this.replay.from, this.replay.to);
    else if (kind === "worst") this.around(worstMoment(this.replay.series), 3600);
    else this.around((this.window.start + this.window.end) / 2, Number(kind));
  }
}
