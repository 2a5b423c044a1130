/* Which of the page's replays is looked at. */

const TRAFFIC = [["trace", "Traffic"], ["workload", "Workload"], ["routing", "Routing"], ["seed", "Seed"]];
const CHOICES = [...TRAFFIC, ["policy", "Policy"]];

class Chooser {
  constructor(chosen) {
    this.chosen = chosen;
    this.index = 0;
    this.selects = new Map();
    for (const [word, title] of CHOICES) this.offer(word, title);
    $("chooser").hidden = this.selects.size === 0;
  }

  offer(word, title) {
    const values = [...new Set(page.cases.map((replay) => String(replay[word])))];
    if (values.length < 2) return;
    const label = element("label", title), select = element("select");
    select.append(...values.map((value) => new Option(value, value)));
    select.addEventListener("change", () => this.choose(this.nearest(word, select.value)));
    label.append(select);
    this.selects.set(word, select);
    $("chooser").append(label);
  }

  choose(index) {
    this.index = index;
    this.selects.forEach((select, word) => { select.value = String(page.cases[index][word]); });
    this.describe(page.cases[index]);
    return this.chosen(index);
  }

  /* The replay that has the new choice and as many of the others as possible. */
  nearest(word, value) {
    const now = page.cases[this.index];
    const fit = (replay) => CHOICES.filter(([other]) => other !== word && replay[other] === now[other]).length;
    const candidates = [...page.cases.keys()].filter((index) => String(page.cases[index][word]) === value);
    return candidates.reduce((best, next) => (fit(page.cases[next]) > fit(page.cases[best]) ? next : best));
  }

  describe({ headline, facts }) {
    if (!$("case-facts")) return;
    $("case-headline").textContent = headline;
    $("case-facts").replaceChildren(...facts.map(({ name, value, note, tone }) => {
      const fact = element("div", undefined, tone), text = element("dd", value);
      text.append(element("small", note));
      fact.append(element("dt", name), text);
      return fact;
    }));
  }
}

/* For each policy its replay on the same traffic, or -1. */
function fleetsBeside(index) {
  if (page.policies.length < 2) return [];
  const same = (replay) => TRAFFIC.every(([word]) => replay[word] === page.cases[index][word]);
  return page.policies.map((policy) => page.cases.findIndex((replay) => replay.policy === policy && same(replay)));
}
