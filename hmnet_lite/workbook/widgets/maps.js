// Walk the network: click a box of the map and see its maps, its shape and what it costs.

const FIELD = [100, 42];

async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const { boxes, arrows, maps, pictures } = data, names = Object.keys(boxes);
  const parts = names.filter((name) => boxes[name].shape);
  const state = new State({ stop: "block 2", map: 0 });
  const mapsOf = (stop) => Object.keys(maps[stop] ?? { [stop]: null });
  const mapOf = (v) => maps[v.stop]?.[mapsOf(v.stop)[v.map]];
  state.watch((v) => { if (v.map >= mapsOf(v.stop).length) v.map = 0; });
  const whole = (key) => parts.reduce((sum, name) => sum + boxes[name][key], 0);
  const count = (n) => n.toLocaleString("en");

  const chart = canvas(state, "Map of the network; the boxes are chosen below, or by a click",
    (context, w, h, c, v) => {
      const unit = w / FIELD[0];
      const kinds = { given: [c.paper, 1], frozen: [c.line, 0.7], computed: [c.query, 0.3], trained: [c.support, 0.3] };
      Object.assign(context, { strokeStyle: c.quiet, fillStyle: c.quiet, lineWidth: 1.3 });
      for (const corners of arrows) {
        context.beginPath();
        for (const [x, y] of corners) context.lineTo(x * unit, y * unit);
        context.stroke();
        const [[px, py], [x, y]] = corners.slice(-2), angle = Math.atan2(y - py, x - px);
        context.beginPath();
        for (const turn of [0, 2.6, -2.6]) {
          const far = turn ? 7 : 0;
          context.lineTo(x * unit + far * Math.cos(angle + turn), y * unit + far * Math.sin(angle + turn));
        }
        context.fill();
      }
      const letters = Math.max(10, Math.min(13, w / 62));
      Object.assign(context, { textAlign: "center", font: `${letters}px sans-serif` });
      for (const [name, { box, kind }] of Object.entries(boxes)) {
        const [x, y, width, height] = box.map((n) => n * unit), [fill, alpha] = kinds[kind];
        context.fillStyle = c.paper;
        context.fillRect(x, y, width, height);
        Object.assign(context, { globalAlpha: alpha, fillStyle: fill });
        context.fillRect(x, y, width, height);
        Object.assign(context, { globalAlpha: 1, fillStyle: c.ink, strokeStyle: name === v.stop ? c.ink : c.quiet,
          lineWidth: name === v.stop ? 3.5 : 1 });
        context.strokeRect(x, y, width, height);
        const lines = name.startsWith("block") ? [name, name === "block 1" ? "self" : "hybrid"] : [name];
        context.save();
        context.translate(x + width / 2, y + height / 2);
        if (lines.some((line) => context.measureText(line).width > width - 4)) context.rotate(-Math.PI / 2);
        lines.forEach((line, i) => context.fillText(line, 0, 4 + 1.25 * letters * (i - (lines.length - 1) / 2)));
        context.restore();
      }
    }, { aspect: FIELD[0] / FIELD[1] });
  chart.classList.add("live-wide");
  const node = chart.querySelector("canvas");
  node.style.cursor = "pointer";
  node.addEventListener("click", (event) => {
    const { left, top, width } = node.getBoundingClientRect();
    const [x, y] = [event.clientX - left, event.clientY - top].map((n) => (n * FIELD[0]) / width);
    const hit = names.find((name) => {
      const [l, t, w, h] = boxes[name].box;
      return x >= l && x <= l + w && y >= t && y <= t + h;
    });
    if (hit) state.set({ stop: hit, map: 0 });
  });

  const shown = canvas(state, "What the chosen box gives", (context, w, h, c, v) => {
    const map = mapOf(v), of = pictures[map?.of ?? v.stop];
    if (!map) context.drawImage(of.image, 0, 0, w, h);
    else {
      const { values: { data: values, shape: [rows, columns, three] } } = map;
      context.imageSmoothingEnabled = false;
      context.drawImage(raster(columns, rows, three
        ? (i) => [...values.subarray(3 * i, 3 * i + 3), 255]
        : (i) => [values[i], values[i], values[i], 255]), 0, 0, w, h);
      context.imageSmoothingEnabled = true;
    }
    outline(context, w, h, of.mask, c.mark);
  }, { caption: (v) => (!mapOf(v) ? `${v.stop}, the thing outlined` : mapsOf(v.stop)[v.map]
    + (mapOf(v).values.shape.length === 3 ? ": three principal components as colours" : ": white is 1")) });

  const chips = names.map((name) => choice(state, "map", "map", mapsOf(name).map((title, i) => [i, title])));
  state.watch((v) => chips.forEach((chip, i) => {
    chip.hidden = names[i] !== v.stop || mapsOf(names[i]).length === 1;
  }));
  const costs = bars(state, ({ stop }) => [["trained", "trained numbers", count], ["frozen", "frozen numbers", count],
    ["operations", "operations", (n) => `${count(Number((n / 1e6).toFixed(1)))} M`],
    ["seconds", "time", (n) => `${(1000 * n).toFixed(1)} ms`]].map(([key, title, show]) => {
    const own = boxes[stop][key] ?? 0, share = own / whole(key);
    return [title, [[stop, share, "ink"], ["all other boxes", 1 - share, "rest"]], `${show(own)} of ${show(whole(key))} (${percent(share)})`];
  }));
  const words = telling(state, ({ stop }) => {
    const { text, kind, shape } = boxes[stop];
    return `${stop}, ${kind}${shape ? `, gives ${shape.join(" × ")}` : ""}. ${text}`;
  });
  const side = make("div", { style: "flex:1 1 340px;align-self:flex-start" }, ...chips, costs);
  return assemble(el, state, "Walk the network", [[chart],
    [legend(["frozen", "computed", "trained"].map((kind) => [kind, kind]))],
    [choice(state, "stop", "box", names.map((name) => [name, name]))], [words], [shown, side],
    [legend([["ink", "the chosen box's share"], ["rest", "all other boxes"], ["outline", "the thing"]])]]);
}

export default { render };
