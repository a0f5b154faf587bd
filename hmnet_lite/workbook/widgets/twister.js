// Say it: another sentence, another mask; and what the twister does to its cube on the way.

async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const state = new State({ scene: 0, sentence: 0, block: 0, threshold: 0.5 });
  const told = (v) => data.scenes[v.scene].sentences[v.sentence];
  const score = (v) => iou(told(v).answer.data, told(v).mask, v.threshold);
  const blocks = told(state.values).cube.shape[0];

  const scene = canvas(state, "The scene, and a line around what the sentence names",
    (context, width, height, c, v) => {
      context.drawImage(data.scenes[v.scene].image, 0, 0, width, height);
      outline(context, width, height, told(v).mask, c.mark);
    }, { caption: "outlined: what the sentence names" });

  const answer = canvas(state, "The picture, and what the network takes the sentence to name",
    (context, width, height, c, v) => painted(context, width, height, {
      picture: data.scenes[v.scene].image, mask: told(v).mask, threshold: v.threshold,
      probability: told(v).answer.data, c,
    }), { caption: (v) => `“${told(v).text}”: IoU ${percent(score(v))}` });

  const cube = canvas(state, "The cube: a line for each part, a column for each step",
    (context, width, height, c, v) => {
      const { data: bytes, shape: [, steps, parts, rows, columns] } = told(v).cube;
      const [left, top] = [58, 22], gap = 4, size = rows * columns * 3;
      const [w, h] = [(width - left) / steps - gap, (height - top) / parts - gap];
      Object.assign(context, { fillStyle: c.quiet, imageSmoothingEnabled: false,
        font: `${Math.min(13, w / 6)}px sans-serif` });
      for (let step = 0; step < steps; step += 1) {
        const x = left + step * (w + gap);
        context.textAlign = "center";
        context.fillText(data.steps[step], x + w / 2, 14);
        for (let part = 0; part < parts; part += 1) {
          const y = top + part * (h + gap);
          const start = ((v.block * steps + step) * parts + part) * size;
          context.drawImage(raster(columns, rows, (i) => [
            ...bytes.subarray(start + 3 * i, start + 3 * i + 3), 255]), x, y, w, h);
          if (!step) {
            context.textAlign = "right";
            context.fillText(data.parts[part], left - 6, y + h / 2 + 4);
          }
        }
      }
    }, { caption: ({ block }) => `the cube of block ${block + 1}, its first three principal components` });
  cube.classList.add("live-full");

  const sentences = data.scenes.map(({ sentences: own }) =>
    choice(state, "sentence", "sentence", own.map(({ text }, i) => [i, text])));
  state.watch((v) => sentences.forEach((node, i) => { node.hidden = i !== v.scene; }));
  const words = telling(state, (v) =>
    `“${told(v).text}”: IoU ${percent(score(v))}. Block ${v.block + 1} is shown.`);
  const number = (count) => Array.from({ length: count }, (_, i) => [i, String(i + 1)]);
  return assemble(el, state, "Say it", [
    [choice(state, "scene", "scene", number(data.scenes.length)),
      choice(state, "block", "block", number(blocks))],
    sentences,
    [slider(state, "threshold", "threshold", { min: 0.05, max: 0.95, step: 0.05, show: (x) => x.toFixed(2) })],
    [scene, answer, cube], [words], [legend(ANSWERS)]]);
}

export default { render };
