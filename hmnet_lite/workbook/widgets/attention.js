// Scan as attention: choose an output and see how it weighs the inputs, beside attention.

const boxed = (context, ...box) => [[5, "#000000"], [2.5, "#ffffff"]].forEach(([line, stroke]) => {
  Object.assign(context, { lineWidth: line, strokeStyle: stroke });
  context.strokeRect(...box);
});

/** Let the pointer choose without being pressed, too: a row or pixel is shown while it is pointed at. */
function hovering(figure) {
  const node = figure.querySelector("canvas");
  node.addEventListener("pointermove", (event) => {
    if (event.buttons || event.pointerType !== "mouse" || !event.isTrusted) return;
    const { pointerId, clientX, clientY } = event;
    node.dispatchEvent(new PointerEvent("pointermove", { pointerId, clientX, clientY, buttons: 1 }));
  });
  return figure;
}

/** A sequence: matrices side by side, their row below. */
function ofSequence(data, el) {
  const names = Object.keys(data.matrices), [steps] = data.matrices[names[0]].shape;
  const state = new State({ row: [Math.floor((2 * steps) / 3), 0] });
  const row = (v, name) => at(data.matrices[name], v.row[0]);
  const largest = names.map((name) => data.matrices[name].data.reduce((m, x) => Math.max(m, Math.abs(x)), 0));
  const tint = (c, value) => [...rgb(value < 0 ? c.negative : c.query), 255 * Math.sqrt(Math.abs(value))];
  const pictures = names.map((name, k) => hovering(choosing(canvas(state,
    `Matrix of: ${name}; choose a row by pointing or with the arrow keys`, (context, w, h, c, v) => {
      context.imageSmoothingEnabled = false;
      context.drawImage(raster(steps, steps, (i) => tint(c, data.matrices[name].data[i] / largest[k])), 0, 0, w, h);
      Object.assign(context, { lineWidth: 1.5, strokeStyle: c.ink }); // around the row, not on it
      context.strokeRect(1, (v.row[0] * h) / steps - 1.5, w - 2, h / steps + 3);
    }, { caption: `${name}: a row an output, a column an input` }), state, "row", [steps, 1])));
  const signs = legend([["query", "positive"], ["negative", "negative; the fuller, the larger"]]);
  const charts = names.map((name) => {
    const chart = canvas(state, `The chosen row of: ${name}`, (context, w, h, c, v) => {
      const values = [...row(v, name)], low = Math.min(0, ...values), high = Math.max(1e-9, ...values);
      const { py, box } = axes(context, w, h, c, { x: [1, steps], y: [low, high], xlabel: "input",
        ylabel: "weight", marks: [0, low, high] });
      const wide = (box[2] - box[0]) / steps;
      values.forEach((value, s) => {
        context.fillStyle = value < 0 ? c.negative : c.query;
        context.fillRect(box[0] + (s + 0.1) * wide, Math.min(py(0), py(value)), 0.8 * wide, Math.abs(py(value) - py(0)));
      });
    }, { aspect: 5, caption: (v) => `${name}: how output ${v.row[0] + 1} weighs the inputs` });
    chart.classList.add("live-wide");
    return chart;
  });
  const words = telling(state, (v) => `Output ${v.row[0] + 1} of ${steps}. ` + names.map((name) => {
    const values = [...row(v, name)].map(Math.abs);
    const total = values.reduce((sum, x) => sum + x, 0), most = values.indexOf(Math.max(...values));
    return `${name}: most from input ${most + 1}, ${percent(total ? values[most] / total : 0)} of all weights`;
  }).join("; ") + ".");
  return assemble(el, state, "A scan's rows and attention's", [pictures, [signs], [words], ...charts.map((x) => [x])]);
}

/** A picture: the weights of the chosen pixel as maps. */
function ofPicture(data, el) {
  const size = data.sizes.query, last = data.ways.length - 1;
  const state = new State({ way: last - 1, pixel: data.start });
  const output = ({ pixel }) => pixel[0] * size[1] + pixel[1];
  const share = (v, way, part) => at(data.shares, way, output(v), part);
  const map = (kind, wayOf, caption) => canvas(state, `${caption(state.values)}: the fuller, the larger the weight`,
    (context, w, h, c, v) => {
      const { image, mask } = kind === "query" ? data.shown : data.given;
      heat(context, w, h, { picture: image, size: data.sizes[kind], paper: c.paper,
        colour: kind === "query" ? c.query : c.support, values: at(data[kind], wayOf(v), output(v)) });
      outline(context, w, h, mask, c.mark);
      if (kind !== "query") return;
      boxed(context, (v.pixel[1] * w) / size[1], (v.pixel[0] * h) / size[0], w / size[1], h / size[0]);
    }, { caption });
  const ways = [(v) => v.way, () => last];
  const rows = ways.map((wayOf) => {
    const maps = [hovering(choosing(map("query", wayOf, (v) =>
      `${data.ways[wayOf(v)]}${data.support ? ", the query" : ""}`), state, "pixel", size))];
    if (data.support) maps.unshift(map("support", wayOf, (v) => `${data.ways[wayOf(v)]}, the support`));
    return maps;
  });
  const words = telling(state, (v) => `Output of row ${v.pixel[0] + 1}, column ${v.pixel[1] + 1}. `
    + [v.way, last].map((way) => `${data.ways[way]}: ${percent(share(v, way, 0))} on the pixel itself`
      + (data.support ? `, ${percent(share(v, way, 1))} on the support` : "")).join("; ") + ".");
  return assemble(el, state, "Scan as attention", [
    [choice(state, "way", "scan", data.ways.slice(0, last).map((name, i) => [i, name.replace("scan ", "")]))],
    ...(data.support ? rows : [rows.flat()]), [words],
    [legend([["query", "weight on the query's pixels: the fuller, the larger"],
      ...(data.support ? [["support", "on the support's"]] : []), ["outline", "the thing"]])]]);
}

async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  return data.matrices ? ofSequence(data, el) : ofPicture(data, el);
}

export default { render };
