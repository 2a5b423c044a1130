/* Puts the parts together. */

async function drawnPlots() {
  const { document: drawing, roots } = page.plots;
  const places = Object.fromEntries(Object.entries(roots).map(([name, id]) => [id, name]));
  const item = { docid: "report", roots: places, root_ids: drawing.roots.map((root) => root.id) };
  await Bokeh.embed.embed_items({ report: drawing }, [item]);
  return Bokeh.documents[0];
}

async function start() {
  const theme = new Theme();
  theme.apply();
  theme.plots = await drawnPlots();
  theme.apply();
  const plots = new TimePlots(theme.plots, () => decisions.windowChanged());
  const decisions = new Decisions(plots);
  const chooser = new Chooser(async (index) => {
    const [replay, ...fleets] = await Promise.all([index, ...fleetsBeside(index)].map((each) => (each < 0 ? null : open(each))));
    if (chooser.index !== index) return; // another was chosen in the meantime
    const { clock } = page.cases[index];
    plots.take(replay, fleets, clock);
    decisions.take(replay, clock);
  });
  await chooser.choose(0);
  document.documentElement.dataset.ready = "yes";
}

start().catch((error) => {
  $("failure").textContent = `The plots could not be drawn: ${error.message}`;
  $("failure").hidden = false;
  throw error;
});
