// The gap dial: guess where the thing is, then see what methods say.

async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const size = [32, 32];
  const state = new State({ gap: data.gaps[0], guess: [16, 16], answers: false });
  const scores = ({ gap }) => data.methods.map((name) =>
    iou(data.answers[name][gap].data, data.query[gap].mask, 0.5));
  const hit = ({ gap, guess }) => {
    const { data: mask, shape } = data.query[gap].mask;
    const [row, column] = guess.map((g, i) => Math.floor(((g + 0.5) / size[i]) * shape[i]));
    return mask[row * shape[1] + column] === 1;
  };

  const support = canvas(state, "The support, with a line around one thing", (context, width, height, c, v) => {
    const { image, mask } = data.support[v.gap];
    context.drawImage(image, 0, 0, width, height);
    outline(context, width, height, mask, c.mark);
  }, { caption: ({ gap }) => `support, drawn by ${data.styles[gap][0]}` });

  const query = canvas(state, "The query: point at the thing by a click or with the arrow keys",
    (context, width, height, c, v) => {
      const { image, mask } = data.query[v.gap];
      context.drawImage(image, 0, 0, width, height);
      if (v.answers) outline(context, width, height, mask, c.mark);
      const [y, x] = v.guess.map((g, i) => ((g + 0.5) / size[i]) * [height, width][i]);
      for (const [line, stroke] of [[6, "#000000"], [3, "#ffffff"]]) {
        Object.assign(context, { lineWidth: line, strokeStyle: stroke });
        context.beginPath();
        context.arc(x, y, 9, 0, 2 * Math.PI);
        context.stroke();
      }
    }, { caption: ({ gap }) => `query, drawn by ${data.styles[gap][1]}: where is it?` });
  choosing(query, state, "guess", size);

  const answers = data.methods.map((name, i) => canvas(state, `Answer of: ${name}`,
    (context, width, height, c, v) => {
      const { image, mask } = data.query[v.gap];
      const probability = data.answers[name][v.gap].data;
      if (v.answers) painted(context, width, height, { picture: image, mask, threshold: 0.5, probability, c });
      else {
        Object.assign(context, { fillStyle: c.line, textAlign: "center" });
        context.fillRect(0, 0, width, height);
        context.fillStyle = c.quiet;
        context.fillText("guess first", width / 2, height / 2);
      }
    }, { caption: (v) => (v.answers ? `${name}: IoU ${percent(scores(v)[i])}` : name) }));

  const words = telling(state, (v) => (v.answers
    ? `Your point is ${hit(v) ? "on the thing" : "beside the thing"}. `
      + `${scores(v).map((score, i) => `${data.methods[i]}: IoU ${percent(score)}`).join("; ")}.`
    : "Point at the thing in the query, then show the answers."));
  return assemble(el, state, "Gap dial", [
    [choice(state, "gap", "gap", data.gaps.map((gap) => [gap, gap.replace("_", "-")])),
      toggle(state, "answers", "show the answers")],
    [support, query], [words], answers, [legend(ANSWERS)]]);
}

export default { render };
