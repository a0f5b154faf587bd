// The training film: masks while networks were trained, and the loss with a cursor.

async function render({ model, el }) {
  const data = await unpack(model.get("data")), last = data.percents.length - 1;
  const state = new State({ moment: last, threshold: 0.5 });
  const score = (v, name, i) => iou(data.answers[name][v.moment][i].data, data.query[i].mask, v.threshold);

  const rows = data.networks.map((name) => data.query.map(({ image, mask }, i) => canvas(state,
    `${name}, ${data.titles[i]}`, (context, w, h, c, v) => painted(context, w, h, { picture: image, mask,
      probability: data.answers[name][v.moment][i].data, threshold: v.threshold, c }),
    { caption: (v) => `${name}, ${data.titles[i]}: IoU ${percent(score(v, name, i))}` })));

  const dashes = [[], [7, 4], [2, 3]];
  const paler = (colour) => `rgb(${rgb(colour).map((x) => Math.round(0.65 * x + 0.35 * 255))})`;
  const chart = canvas(state, "The loss of each network over its training", (context, w, h, c, v) => {
    const top = Math.max(...data.networks.map((name) => Math.max(...data.losses[name].data)));
    const { px, py, box } = axes(context, w, h, c, { x: [0, 100], y: [0, top], xlabel: "percent of the training",
      ylabel: "loss", marks: [0, top, top / 2] });
    context.textAlign = "right";
    data.networks.forEach((name, k) => {
      const loss = data.losses[name].data, own = data.colours[k], line = box[1] + 10 + 17 * k;
      Object.assign(context, { lineWidth: 2, fillStyle: c.ink,
        strokeStyle: state.root.hasAttribute("data-dark") ? paler(own) : own });
      context.setLineDash(dashes[k % 3]);
      context.beginPath();
      loss.forEach((value, i) => context.lineTo(px((100 * (i + 0.5)) / loss.length), py(value)));
      context.moveTo(box[2] - 36, line - 4); // and its name
      context.lineTo(box[2] - 6, line - 4);
      context.stroke();
      context.fillText(name, box[2] - 42, line);
    });
    context.setLineDash([5, 4]);
    context.strokeStyle = c.ink;
    context.strokeRect(px(data.percents[v.moment]), box[1], 0, box[3] - box[1]);
    context.setLineDash([]);
  }, { aspect: 4.5, caption: "Loss of the training batches, each point the mean of the steps around it." });
  chart.classList.add("live-wide");

  const words = telling(state, (v) => `${data.percents[v.moment]} % of the training done. `
    + data.networks.map((name) => {
      const all = data.query.map((_, i) => score(v, name, i));
      return `${name}: mean IoU ${percent(all.reduce((a, b) => a + b, 0) / all.length)}`;
    }).join("; ") + ".");
  return assemble(el, state, "Training film", [
    [player(state, "moment", last, { milliseconds: 500 }),
      slider(state, "moment", "training done", { max: last, show: (k) => `${data.percents[k]} %` }),
      slider(state, "threshold", "threshold", { min: 0.05, max: 0.95, step: 0.05, show: (x) => x.toFixed(2) })],
    ...rows, [words], [chart], [legend(ANSWERS)]]);
}

export default { render };
