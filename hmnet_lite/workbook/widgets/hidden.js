// The hidden-state inspector: the recurrence h = exp(Δ A) h + Δ B u, run here, entry by entry.

/** What is read at each step: [scan, its step]; the support, if any, once or before every patch. */
function readingLine(given, patch, recap) {
  const count = (scan) => Array.from({ length: scan ? scan.u.shape[0] : 0 }, (_, i) => i);
  const line = [], [support, query] = [count(given.support), count(given.query)];
  const length = recap ? patch : query.length;
  for (let start = 0; start < query.length; start += length) {
    line.push(...support.map((i) => ["support", i]));
    line.push(...query.slice(start, start + length).map((i) => ["query", i]));
  }
  return line;
}

/** All states, (steps, channels · state). */
function recurrence(given, line, factor) {
  const [channels, entries] = given.A.shape, width = channels * entries;
  const states = new Float32Array(line.length * width), h = new Float64Array(width);
  line.forEach(([name, i], step) => {
    const { u, delta, B, order } = given[name];
    const [x, d, b] = [at(u, order.data[i]), at(delta, i), at(B, i)];
    for (let c = 0, j = 0; c < channels; c += 1) {
      const size = factor * d[c];
      for (let n = 0; n < entries; n += 1, j += 1) {
        h[j] = Math.exp(size * given.A.data[j]) * h[j] + size * b[n] * x[c];
      }
    }
    states.set(h, step * width);
  });
  return states;
}

async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const [channels, entries] = data.scans[0].A.shape, width = channels * entries;
  const first = data.start ?? data.scans[0].support.u.shape[0];
  const flat = channels === 1; // then a row holds the entries, and there is no picture
  const state = new State({ direction: 0, recap: true, power: 0, step: first, entry: [0, 0] });
  let known = {}; // what was computed last
  const found = (v) => {
    const key = `${v.direction} ${v.recap} ${v.power}`;
    if (known.key !== key) {
      const given = data.scans[v.direction], line = readingLine(given, data.patch, v.recap);
      known = { key, given, line, states: recurrence(given, line, 2 ** v.power) };
      known.largest = known.states.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-12);
    }
    return known;
  };
  const stepOf = (v) => Math.min(v.step, found(v).line.length);
  const after = found(state.values).states.subarray((first - 1) * width, first * width);
  const loudest = after.reduce((best, x, i) => (Math.abs(x) > Math.abs(after[best]) ? i : best), 0);
  state.values.entry = flat ? [0, loudest] : [loudest % entries, Math.floor(loudest / entries)];
  const chosen = ({ entry: [row, column] }) => (flat ? [column, 0] : [row, column]);
  const index = (v) => { const [n, c] = chosen(v); return c * entries + n; };
  const now = (v) => {
    const { given, line, states } = found(v), step = stepOf(v), [n, c] = chosen(v);
    const [name, i] = line[step - 1], { u, delta, B, C, order } = given[name];
    const size = 2 ** v.power * at(delta, i, c), begin = (step - 1) * width;
    const y = at(C, i).reduce((sum, weight, m) => sum + weight * states[begin + c * entries + m], 0);
    return { name, i, size, y, h: states[begin + index(v)],
      keeps: Math.exp(size * given.A.data[index(v)]), writes: size * at(B, i, n) * at(u, order.data[i], c) };
  };

  const frame = (context, x, y, w, h) => [[4, "#000000"], [2, "#ffffff"]].forEach(([line, stroke]) => {
    Object.assign(context, { lineWidth: line, strokeStyle: stroke });
    context.strokeRect(x + 1, y + 1, w - 2, h - 2);
  });
  const picture = (name) => canvas(state, `The ${name}; framed: the pixel that is read`,
    (context, w, h, c, v) => {
      context.drawImage(data[name].image, 0, 0, w, h);
      outline(context, w, h, data[name].mask, c.mark);
      const { name: read, i } = now(v);
      if (read !== name) return;
      const { order, size: [rows, columns] } = data.scans[v.direction][name];
      const [row, column] = [Math.floor(order.data[i] / columns), order.data[i] % columns];
      frame(context, (column * w) / columns, (row * h) / rows, w / columns, h / rows);
    }, { caption: (v) => (now(v).name === name ? `reading the ${name}` : name) });

  const [rows, columns] = flat ? [1, entries] : [entries, channels];
  const map = canvas(state, "The state: choose an entry by a click or with the arrow keys",
    (context, w, h, c, v) => {
      const { states, largest } = found(v), begin = (stepOf(v) - 1) * width;
      context.imageSmoothingEnabled = false;
      context.drawImage(raster(columns, rows, (i) => {
        const j = flat ? i : (i % channels) * entries + Math.floor(i / channels);
        const value = states[begin + j] / largest;
        return [...rgb(value < 0 ? c.negative : c.query), 255 * Math.cbrt(Math.abs(value))];
      }), 0, 0, w, h);
      const [row, column] = v.entry;
      const wide = Math.max(0, 12 - w / columns) / 2; // around a narrow entry, not over it
      frame(context, (column * w) / columns - wide, (row * h) / rows - wide, w / columns + 2 * wide,
        h / rows + 2 * wide);
    }, { aspect: flat ? 10 : 3.4, caption: `the state h, a column ${flat ? "an entry" : "a channel, "
      + "a row an entry"}: purple negative, orange positive, the fuller, the larger; click, or arrow keys` });
  choosing(map, state, "entry", [rows, columns]);

  const chart = canvas(state, "The life line of the chosen entry", (context, w, h, c, v) => {
    const { given, line, states } = found(v), life = line.map((_, t) => states[t * width + index(v)]);
    const [low, high] = [Math.min(0, ...life), Math.max(0, ...life)];
    const span = Math.max(high - low, 1e-9);
    const { px, py, box } = axes(context, w, h, c, { x: [0, line.length],
      y: [low - 0.05 * span, high + 0.05 * span], xlabel: "steps", ylabel: "h",
      marks: [0, low, high] });
    const steps = line.map(([name, i]) => at(given[name].delta, i, chosen(v)[1]));
    const tallest = Math.max(...steps) / (0.3 * (box[3] - box[1]));
    context.globalAlpha = 0.6;
    context.fillStyle = c.quiet;
    steps.forEach((d, t) => context.fillRect(px(t), box[3] - d / tallest, px(1) - px(0), d / tallest));
    context.globalAlpha = 0.25;
    context.fillStyle = c.support;
    const begins = line.map(([name, i], t) => (name === "support" && i === 0 ? t : -1)).filter((t) => t >= 0);
    for (const t of begins) context.fillRect(px(t), box[1], px(t + first) - px(t), box[3] - box[1]);
    context.globalAlpha = 1;
    Object.assign(context, { lineWidth: 2, strokeStyle: c.ink });
    context.beginPath();
    life.forEach((value, t) => context.lineTo(px(t + 1), py(value)));
    context.stroke();
    context.setLineDash([5, 4]);
    context.strokeRect(px(stepOf(v)), box[1], 0, box[3] - box[1]);
    context.setLineDash([]);
  }, { aspect: 3.8, caption: "Life line of the chosen entry; grey bars: Δ of its channel"
    + (flat ? "." : "; tinted: the support is being read.") });
  for (const figure of [map, chart]) figure.classList.add("live-wide");

  const words = telling(state, (v) => {
    const { name, i, size, h, y, keeps, writes } = now(v), [n, c] = chosen(v);
    const when = flat ? `step ${i + 1}` : `${name} pixel ${i + 1}`;
    return `Channel ${c + 1}, entry ${n + 1}, after ${when}: h = ${h.toPrecision(3)}. `
      + `This step's Δ is ${size.toPrecision(2)}: it keeps ${percent(keeps)} and writes ${writes.toPrecision(2)}. `
      + `The channel's output, without its skip: ${y.toPrecision(3)}.`;
  });
  const steps = readingLine(data.scans[0], data.patch, true).length;
  return assemble(el, state, flat ? "State stepper" : "Hidden-state inspector", [
    [choice(state, "direction", data.choice ?? "direction", data.directions.map((name, i) => [i, name])),
      ...(flat ? [] : [toggle(state, "recap", "read the support again before every patch")])],
    [player(state, "step", steps, { first: 1 }), slider(state, "step", "step", { min: 1, max: steps,
        show: (step) => String(stepOf({ ...state.values, step })) }),
      slider(state, "power", "all Δ", { min: -4, max: 4, step: 1,
        show: (x) => `× ${x < 0 ? `1/${2 ** -x}` : 2 ** x}` })],
    [map], [words], [chart], ...(flat ? [] : [[picture("support"), picture("query")]])]);
}

export default { render };
