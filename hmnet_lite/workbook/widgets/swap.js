// Swap the support: which network listens to what its mixer is shown?

async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const state = new State({ gap: data.gaps[0], shown: 0, threshold: 0.5 });
  const scores = ({ gap, shown, threshold }) => data.networks.map((name) =>
    iou(data.answers[name][gap][shown].data, data.query[gap].mask, threshold));

  const support = canvas(state, "The support that the mixer is shown", (context, width, height, c, v) => {
    context.fillStyle = c.line;
    context.fillRect(0, 0, width, height);
    const given = data.supports[v.gap][v.shown];
    if (!given) return;
    context.drawImage(given.image, 0, 0, width, height);
    outline(context, width, height, given.mask, c.mark);
  }, { caption: ({ shown }) => `at the mixer: ${shown === 2 ? "no" : data.shown[shown]} support` });

  const answers = data.networks.map((name, i) => canvas(state, `Answer of: ${name}`,
    (context, width, height, c, v) => painted(context, width, height, {
      picture: data.query[v.gap].image, mask: data.query[v.gap].mask, threshold: v.threshold,
      probability: data.answers[name][v.gap][v.shown].data, c,
    }), { caption: (v) => `${name}: IoU ${percent(scores(v)[i])}` }));

  const words = telling(state, (v) => `Mixer shown: ${data.shown[v.shown]}. `
    + scores(v).map((score, i) => `${data.networks[i]}: IoU ${percent(score)}`).join("; ") + ".");
  return assemble(el, state, "Swap the support", [
    [choice(state, "shown", "support at the mixer", data.shown.map((text, i) => [i, text])),
      choice(state, "gap", "gap", data.gaps.map((gap) => [gap, gap.replace("_", "-")]))],
    [slider(state, "threshold", "threshold", { min: 0.05, max: 0.95, step: 0.05,
      show: (x) => x.toFixed(2) })],
    [support, ...answers], [words], [legend(ANSWERS)]]);
}

export default { render };
