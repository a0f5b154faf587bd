// The fusion comparer: two fusions of one query, features as colours in one basis.

async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const [, count, rows, columns] = data.colours.shape;
  const state = new State({ episode: 0, left: 0, right: data.fusions.length - 1, view: "colours",
    pixel: data.start });
  const cell = ({ pixel }) => pixel[0] * columns + pixel[1];
  const cosines = (v, side) => at(data.cosine, v[side], v.episode);
  const mean = (v, side, kind) => {
    const part = at(data.part, v.episode), found = [...cosines(v, side)].filter((_, i) => part[i] === kind);
    return found.reduce((sum, x) => sum + x, 0) / Math.max(1, found.length);
  };
  const apart = (v, side) => mean(v, side, 1) - mean(v, side, 0);

  const chosen = (context, w, h, { pixel: [row, column] }) => [[5, "#000000"], [2.5, "#ffffff"]].forEach(
    ([line, stroke]) => {
      Object.assign(context, { lineWidth: line, strokeStyle: stroke });
      context.strokeRect((column * w) / columns, (row * h) / rows, w / columns, h / rows);
    });

  const query = choosing(canvas(state, "The query: choose a pixel by a click or with the arrow keys",
    (context, w, h, c, v) => {
      const { image, mask } = data.query[v.episode];
      context.drawImage(image, 0, 0, w, h);
      outline(context, w, h, mask, c.mark);
      chosen(context, w, h, v);
    }, { caption: "query: click, or arrow keys" }), state, "pixel", [rows, columns]);

  const map = (side) => choosing(canvas(state, `The ${side} fusion's features, a pixel each; click or arrow keys`,
    (context, w, h, c, v) => {
      const { image, mask } = data.query[v.episode];
      const colours = at(data.colours, v[side], v.episode), values = cosines(v, side);
      context.drawImage(grey(image), 0, 0, w, h);
      context.imageSmoothingEnabled = false;
      context.drawImage(raster(columns, rows, v.view === "colours"
        ? (i) => [...colours.subarray(3 * i, 3 * i + 3), 255]
        : (i) => [...rgb(values[i] < 0 ? c.negative : c.support), 255 * Math.min(1, Math.abs(values[i]))]),
      0, 0, w, h);
      context.imageSmoothingEnabled = true;
      outline(context, w, h, mask, c.mark);
      chosen(context, w, h, v);
    }, { caption: (v) => `${data.fusions[v[side]]}${v.view === "colours" ? "" : ": blue 1, violet −1"}` }),
  state, "pixel", [rows, columns]);

  /** Pixels in the plane of the first two components, which are their red and green. */
  const plane = (side) => canvas(state, `The ${side} fusion's pixels in the plane of the first two components`,
    (context, w, h, c, v) => {
      const share = (k) => percent(data.explained[k]);
      const { px, py } = axes(context, w, h, c, { x: [0, 255], y: [0, 255], marks: [0, 255],
        xlabel: `component 1 (red), ${share(0)}`, ylabel: `component 2 (green), ${share(1)}` });
      const colours = at(data.colours, v[side], v.episode), part = at(data.part, v.episode);
      const dot = (red, green, size, fill) => {
        context.fillStyle = fill;
        context.beginPath();
        context.arc(px(red), py(green), size, 0, 2 * Math.PI);
        context.fill();
      };
      for (const [kind, fill] of [[0, c.rest], [1, c.query]]) {
        for (let i = 0; i < part.length; i += 1) {
          if (part[i] === kind) dot(colours[3 * i], colours[3 * i + 1], 2.5, fill);
        }
      }
      const [red, green] = at(data.support, v.episode), own = colours.subarray(3 * cell(v));
      dot(red, green, 7, c.support);
      dot(own[0], own[1], 7, c.ink);
      dot(own[0], own[1], 5, `rgb(${own[0]}, ${own[1]}, ${own[2]})`);
    }, { aspect: 1.15, caption: (v) => `${data.fusions[v[side]]}: cosine with the support's mean, `
      + `thing ${mean(v, side, 1).toFixed(2)}, rest ${mean(v, side, 0).toFixed(2)}` });

  const kinds = { 0: "beside the thing", 1: "on the thing", 255: "on its edge" };
  const words = telling(state, (v) => `Row ${v.pixel[0] + 1}, column ${v.pixel[1] + 1}, `
    + `${kinds[at(data.part, v.episode)[cell(v)]]}. Cosine with the support's mean: `
    + ["left", "right"].map((side) => `${data.fusions[v[side]]} ${cosines(v, side)[cell(v)].toFixed(2)}`).join(", ")
    + `. Thing minus rest: ${["left", "right"].map((side) => apart(v, side).toFixed(2)).join(", ")}.`);
  const planes = ["left", "right"].map(plane);
  for (const figure of planes) figure.classList.add("live-full");
  const names = data.fusions.map((name, i) => [i, name]);
  return assemble(el, state, "Fusion comparer", [
    [...(count > 1 ? [choice(state, "episode", "episode", data.episodes.map((name, i) => [i, name]))] : []),
      choice(state, "view", "shown as", [["colours", "colours"], ["cosine", "cosine with the support"]])],
    [choice(state, "left", "left", names)], [choice(state, "right", "right", names)],
    [query, map("left"), map("right")], planes, [words],
    [legend([["query", "the thing"], ["rest", "the rest"], ["support", "the support's mean"],
      ["ink", "around the chosen pixel"], ["outline", "the thing's outline"]])]]);
}

export default { render };
