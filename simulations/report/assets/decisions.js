/* The table of decisions: found by words, by whether the size changed, by the time that is shown. */

const ROWS = 100;

class Decisions {
  constructor(plots) {
    this.plots = plots;
    this.rows = [];
    this.shown = ROWS;
    $("find").addEventListener("input", () => this.listAgain());
    $("in-view").addEventListener("change", () => this.listAgain());
    $("sizes").addEventListener("change", () => this.listAgain());
    $("more").addEventListener("click", () => {
      this.shown += ROWS;
      this.list();
    });
  }

  take({ changes, changes_total: total }, clock) {
    this.clock = clock;
    this.rows = changes.map(([at, serving, standby, ruled, reasons, moved]) => {
      const text = `${serving} ${standby} ${ruled} ${reasons.flat().join(" ")}`.toLowerCase();
      return { at: at * MS, serving, standby, ruled, reasons, moved, text };
    });
    $("decisions-note").textContent = changes.length < total
      ? `The ${count(changes.length)} that moved the size most, of ${count(total)} that changed the size or what ruled it. Replayed alone, this policy shows all.`
      : "Those that changed the size, or what ruled it. A click on a time shows it in the plots.";
    this.listAgain();
  }

  windowChanged() {
    if ($("in-view").checked) this.listAgain();
  }

  listAgain() {
    this.shown = ROWS;
    this.list();
  }

  list() {
    const found = this.found();
    $("decision-rows").replaceChildren(...found.slice(0, this.shown).map((change) => this.row(change)));
    $("found").textContent = `${count(found.length)} of ${count(this.rows.length)}`;
    $("more").hidden = found.length <= this.shown;
  }

  found() {
    const words = $("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [sizes, inView] = [$("sizes").checked, $("in-view").checked];
    const { start, end } = this.plots.window;
    return this.rows.filter(({ moved, at, text }) =>
      (!sizes || moved !== 0) && (!inView || (at >= start && at <= end)) && words.every((word) => text.includes(word)));
  }

  row(change) {
    const moved = change.moved > 0 ? "up" : change.moved < 0 ? "down" : "";
    const arrow = { up: "▲ ", down: "▼ " }[moved] || "";
    const line = element("tr");
    line.append(
      this.when(change.at),
      element("td", `${arrow}${change.serving}`, `number ${moved}`),
      element("td", change.standby, "number"),
      element("td", change.ruled),
      this.reasons(change),
    );
    return line;
  }

  when(at) {
    const place = element("td"), jump = button(timeText(at, this.clock));
    jump.title = "Show this time in the plots";
    jump.addEventListener("click", () => {
      this.plots.around(at, 1200);
      $("closeup").scrollIntoView({ behavior: "smooth" });
    });
    place.append(jump);
    return place;
  }

  reasons({ reasons, ruled }) {
    const place = element("td"), stages = element("ol");
    const ruling = reasons.map(([name]) => name).lastIndexOf(ruled);
    reasons.forEach(([name, serving, standby, reason], number) => {
      const stage = element("li", undefined, number === ruling ? "rules" : "");
      const size = standby ? `${serving}+${standby}` : `${serving}`;
      stage.append(element("b", name), element("i", size), element("span", reason));
      stages.append(stage);
    });
    place.append(stages);
    return place;
  }
}
