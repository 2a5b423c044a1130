/* Light or dark, as the system says or a person chooses. Colours stand in the style sheet; plots take them from there. */

class Theme {
  constructor() {
    this.choice = "auto";
    this.system = matchMedia("(prefers-color-scheme: dark)");
    this.plots = null;
    this.buttons = document.querySelectorAll("[data-theme-choice]");
    this.system.addEventListener("change", () => this.apply());
    for (const each of this.buttons) {
      each.addEventListener("click", () => {
        this.choice = each.dataset.themeChoice;
        this.apply();
      });
    }
  }

  apply() {
    const dark = this.choice === "dark" || (this.choice === "auto" && this.system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    for (const each of this.buttons) each.setAttribute("aria-pressed", String(each.dataset.themeChoice === this.choice));
    if (this.plots) this.plots.roots().forEach((plot) => plot.references().forEach((model) => this.paint(model)));
  }

  paint(model) {
    if (model.type.endsWith("Axis")) model.setv(this.axis());
    if (model.type === "Grid") model.setv({ grid_line_color: this.token("rule"), grid_line_alpha: 0.7 });
    const role = model.tags && model.tags[0];
    if (!role) return;
    for (const property of ["line_color", "fill_color"]) {
      if (property in model.properties) model[property] = this.token(role);
    }
    if (role === "frame") model.setv({ fill_alpha: 0.12, line_width: 1 });
  }

  axis() {
    const [rule, muted, sans] = [this.token("rule"), this.token("muted"), this.token("sans")];
    return {
      axis_line_color: rule, major_tick_line_color: rule, minor_tick_line_color: null,
      major_label_text_color: muted, major_label_text_font: sans,
      axis_label_text_color: muted, axis_label_text_font: sans, axis_label_text_font_style: "normal",
    };
  }

  token(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }
}
