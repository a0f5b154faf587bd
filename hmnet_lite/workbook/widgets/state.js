// The forgetting explorer: whose memory the state is, step by step.

async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const [rows, columns] = data.size, steps = rows * columns;
  const state = new State({ name: data.names[0], direction: 0, ratio: data.ratios.length - 1,
    step: Math.floor(steps / 3) });
  const memory = ({ name, ratio }) => data.memory[name][ratio];
  const lines = (v) => ["support", "query"].map((kind) => at(memory(v)[kind], v.direction));
  const share = (v) => {
    const [support, query] = lines(v).map((line) => line[v.step - 1]);
    return support / (support + query);
  };

  const support = canvas(state, "The support", (context, width, height, c, { name }) => {
    context.drawImage(data.support[name].image, 0, 0, width, height);
    outline(context, width, height, data.support[name].mask, c.mark);
  }, { caption: "support, as the mixer sees it" });

  const query = canvas(state, "The query: bright what has been read, framed what is read now",
    (context, width, height, c, v) => {
      const { image, mask } = data.query[v.name], order = at(data.orders[v.ratio], v.direction);
      const w = width / columns, h = height / rows, { patch } = memory(v);
      context.drawImage(image, 0, 0, width, height);
      const late = new Set(order.subarray(v.step));
      const fresh = new Set(patch ? order.subarray(Math.floor((v.step - 1) / patch) * patch, v.step) : []);
      const veil = [...rgb(c.paper), 190], recent = [...rgb(c.query), 110];
      context.imageSmoothingEnabled = false;
      context.drawImage(raster(columns, rows, (i) =>
        late.has(i) ? veil : fresh.has(i) ? recent : [0, 0, 0, 0]), 0, 0, width, height);
      context.imageSmoothingEnabled = true;
      outline(context, width, height, mask, c.mark);
      const now = order[v.step - 1];
      for (const [line, stroke] of [[5, "#000000"], [2.5, "#ffffff"]]) {
        context.lineWidth = line;
        context.strokeStyle = stroke;
        context.strokeRect((now % columns) * w, Math.floor(now / columns) * h, w, h);
      }
    }, { caption: (v) => (memory(v).patch ? "query: tinted since the last recap, veiled not yet read"
      : "query: veiled not yet read") });

  const chart = canvas(state, "Parts of the state along the scan", (context, width, height, c, v) => {
    const [support, query] = lines(v), { cosine, at: when } = memory(v);
    const top = Math.max(...support.map((s, i) => s + query[i]));
    const { px, py, box } = axes(context, width, height, c, { x: [0, steps], y: [0, 1.05 * top],
      xlabel: "query pixels read", ylabel: "size", marks: [0, 1, top] });
    const area = (low, high, colour) => {
      context.beginPath();
      high.forEach((value, i) => context.lineTo(px(i + 1), py(value)));
      for (let i = low.length - 1; i >= 0; i -= 1) context.lineTo(px(i + 1), py(low[i]));
      context.fillStyle = colour;
      context.fill();
    };
    area(support.map(() => 0), support, c.support);
    area(support, support.map((s, i) => s + query[i]), c.query);
    const measured = at(cosine, v.direction);
    for (const [line, stroke] of [[5, c.paper], [2.5, c.ink]]) {
      Object.assign(context, { lineWidth: line, strokeStyle: stroke });
      context.beginPath();
      measured.forEach((value, i) => context.lineTo(px(when.data[i]), py(value * top)));
      context.stroke();
    }
    context.setLineDash([5, 4]);
    context.lineWidth = 2;
    context.strokeStyle = c.ink;
    context.strokeRect(px(v.step), box[1], 0, box[3] - box[1]);
    context.setLineDash([]);
  }, { aspect: 3.2, caption: "Areas: size of the support's part of the state, 1 right after the support, and the query's on top. "
    + "Line: the paper's measure, the largest cosine with a support pixel's writing (0 below, 1 on top)." });
  chart.classList.add("live-wide");
  const canvasOf = chart.querySelector("canvas");
  const move = (event) => {
    const { left, width } = canvasOf.getBoundingClientRect();
    const step = Math.round(((event.clientX - left - 60) / (width - 74)) * steps);
    state.set({ step: Math.max(1, Math.min(steps, step)) });
  };
  canvasOf.addEventListener("pointerdown", (event) => { canvasOf.setPointerCapture(event.pointerId); move(event); });
  canvasOf.addEventListener("pointermove", (event) => event.buttons && move(event));

  const words = telling(state, (v) => `After ${v.step} of ${steps} pixels ${percent(share(v))} of the `
    + `state is the support's${memory(v).patch && (v.step - 1) % memory(v).patch === 0
      ? "; the support was read just before" : ""}.`);
  const ratios = data.ratios.map((r, i) => [i, r > 1 ? `before each patch, α = ${r}` : "once"]);
  return assemble(el, state, "Forgetting explorer", [
    [choice(state, "name", "episode", data.names.map((name) => [name, name])),
      choice(state, "ratio", "support read", ratios),
      choice(state, "direction", "direction", data.directions.map((name, i) => [i, name]))],
    [player(state, "step", steps, { first: 1 }), slider(state, "step", "pixels read", { min: 1, max: steps })],
    [support, query], [words], [chart],
    [legend([["support", "the support's part"], ["query", "the query's part"]])]]);
}

export default { render };
