// Draw the mask: the query's latent, the first guess, what is drawn, and the mask that is read.

async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const near = Math.max(1, Math.round(20 * data.level)) / 20;
  const state = new State({ gap: data.gaps[0], step: 2, noise: 0, shots: 0, threshold: near });
  const told = (v) => data.episodes[v.gap];
  const row = (v) => told(v).noise[v.noise];
  const found = (v) => row(v).shots[v.shots];
  const score = (v) => iou(found(v).light.data, told(v).query.mask, v.threshold);
  const many = (v) => `${data.shots[v.shots]} support${data.shots[v.shots] > 1 ? "s" : ""}`;
  const noise = (i) => `${Math.round(100 * data.noise[i])} %`;

  const supports = canvas(state, "The supports with their masks", (context, width, height, c, v) => {
    const count = data.shots[v.shots], across = Math.ceil(Math.sqrt(count));
    const side = width / across;
    for (let i = 0; i < count; i += 1) {
      const { image, mask } = told(v).supports[i];
      context.save();
      context.translate((i % across) * side, Math.floor(i / across) * side);
      context.drawImage(image, 0, 0, side - 2, side - 2);
      outline(context, side - 2, side - 2, mask, c.mark);
      context.restore();
    }
  }, { caption: many });

  const shown = canvas(state, "The step that is chosen, decoded", (context, width, height, c, v) => {
    const pictures = [row(v).latent, found(v).guess, found(v).drawn];
    context.drawImage(pictures[v.step], 0, 0, width, height);
  }, { caption: (v) => data.steps[v.step] });

  const answer = canvas(state, "The query and the mask that is read",
    (context, width, height, c, v) => painted(context, width, height, {
      picture: told(v).query.image, mask: told(v).query.mask, threshold: v.threshold,
      probability: found(v).light.data, c,
    }), { caption: (v) => `IoU ${percent(score(v))}` });

  const words = telling(state, (v) => `${many(v)}, ${noise(v.noise)} noise, threshold `
    + `${v.threshold.toFixed(2)}: IoU ${percent(score(v))}. Shown: ${data.steps[v.step]}.`);
  return assemble(el, state, "Draw the mask", [
    [choice(state, "step", "step", data.steps.map((text, i) => [i, text])),
      choice(state, "shots", "shots", data.shots.map((count, i) => [i, String(count)])),
      choice(state, "gap", "gap", data.gaps.map((gap) => [gap, gap.replace("_", "-")]))],
    [slider(state, "noise", "noise", { max: data.noise.length - 1, show: noise }),
      slider(state, "threshold", "threshold", { min: 0.05, max: 0.95, step: 0.05,
        show: (x) => x.toFixed(2) })],
    [supports, shown, answer], [words], [legend(ANSWERS)]]);
}

export default { render };
