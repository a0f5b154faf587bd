// The recap player: an entry of the state, read literally above and by h = P h + H_S below.

/** What is done to an entry, step by step: [what, its step, keep, write]. */
function stepsOf({ steps, map, patch }, entry, literal) {
  const count = (name) => Array.from({ length: steps[name].shape[0] }, (_, i) =>
    [name, i, at(steps[name], i, 0, entry), at(steps[name], i, 1, entry)]);
  const line = [], [support, query] = [count("support"), count("query")];
  const recap = literal ? support : [["recap", 0, at(map, 0, entry), at(map, 1, entry)]];
  for (let t = 0; t < query.length; t += patch) line.push(...recap, ...query.slice(t, t + patch));
  return line;
}

async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const M = data.steps.query.shape[0], small = data.steps.support.shape[0];
  const lines = data.entries.map((_, entry) => [true, false].map((literal) => {
    let h = 0;
    return stepsOf(data, entry, literal).map(([name, i, keep, write]) => {
      const before = h;
      h = keep * h + write;
      return { name, i, keep, write, before, h };
    });
  }));
  const last = lines[0][0].length;
  const state = new State({ entry: Math.floor(data.entries.length / 2), step: small });
  /** Where the affine line is when the literal one has taken `step` steps. */
  const affineStep = ({ step }) => {
    const rounds = Math.floor((step - 1) / (small + data.patch));
    const within = step - rounds * (small + data.patch);
    return rounds * (1 + data.patch) + 1 + Math.max(0, within - small);
  };
  const now = (v) => lines[v.entry][0][v.step - 1];

  const picture = (name) => canvas(state, `The ${name}; framed: the pixel that is read`,
    (context, w, h, c, v) => {
      context.drawImage(data[name].image, 0, 0, w, h);
      outline(context, w, h, data[name].mask, c.mark);
      const read = now(v), [rows, columns] = data.sizes[name];
      if (read.name !== name) return;
      const pixel = data.orders[name].data[read.i];
      for (const [line, stroke] of [[5, "#000000"], [2.5, "#ffffff"]]) {
        Object.assign(context, { lineWidth: line, strokeStyle: stroke });
        context.strokeRect(((pixel % columns) * w) / columns, (Math.floor(pixel / columns) * h) / rows,
          w / columns, h / rows);
      }
    }, { caption: (v) => (now(v).name === name ? `${name}: read now` : name) });

  const chart = (which, title) => {
    const figure = canvas(state, title, (context, w, h, c, v) => {
      const line = lines[v.entry][which], values = lines[v.entry][0].map((x) => x.h);
      const low = Math.min(0, ...values), high = Math.max(0, ...values);
      const { px, py, box } = axes(context, w, h, c, { x: [0, line.length], y: [low, high],
        xlabel: "steps", ylabel: "h", marks: [0, low, high] });
      context.fillStyle = c.support;
      context.globalAlpha = 0.25;
      line.forEach(({ name }, t) => {
        if (name !== "query") context.fillRect(px(t), box[1], px(t + 1) - px(t), box[3] - box[1]);
      });
      context.globalAlpha = 1;
      const step = which ? affineStep(v) : v.step;
      for (const [from, to, alpha] of [[0, line.length, 0.3], [0, step, 1]]) {
        Object.assign(context, { globalAlpha: alpha, lineWidth: 2, strokeStyle: c.ink });
        context.beginPath();
        context.moveTo(px(from), py(0));
        line.slice(from, to).forEach((x, t) => context.lineTo(px(t + 1), py(x.h)));
        context.stroke();
      }
      context.beginPath();
      context.arc(px(step), py(line[step - 1].h), 5, 0, 2 * Math.PI);
      Object.assign(context, { globalAlpha: 1, fillStyle: c.false });
      context.fill();
    }, { aspect: 4.6, caption: title });
    figure.classList.add("live-wide");
    return figure;
  };
  const literal = chart(0, `literal: ${last} steps, each a pixel (tinted: of the support)`);
  const affine = chart(1, `affine: ${lines[0][1].length} steps; a recap is one of them (tinted), `
    + `after ${small} steps that read the support once`);

  const words = telling(state, (v) => {
    const { name, i, before, h } = now(v), other = lines[v.entry][1][affineStep(v) - 1];
    const [P, H_S] = [0, 1].map((k) => at(data.map, k, v.entry).toPrecision(3));
    const reads = `Step ${v.step}: the literal line reads ${name} pixel ${i + 1}, h = ${h.toPrecision(3)}. `;
    return reads + (name === "support" && i < small - 1
      ? `The affine line is done: h = ${P} × ${other.before.toPrecision(3)} + ${H_S} = ${other.h.toPrecision(3)}.`
      : `The affine line: h = ${other.h.toPrecision(3)}.`);
  });
  const entries = data.entries.map(([c, n], i) =>
    [i, `P = ${at(data.map, 0, i).toFixed(2)} (channel ${c + 1}, entry ${n + 1})`]);
  return assemble(el, state, "Recap player", [
    [choice(state, "entry", "a recap keeps", entries)],
    [player(state, "step", last, { first: 1 }), slider(state, "step", "step", { min: 1, max: last })],
    [literal], [affine], [words], [picture("support"), picture("query")]]);
}

export default { render };
