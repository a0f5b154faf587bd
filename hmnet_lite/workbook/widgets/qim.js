// The pixel inspector: who wrote a query pixel's output.

const WRITERS = [["support", "support"], ["own pixel", "own"], ["other query FG", "other"],
  ["query BG", "rest"]];
const VIEWS = [[0, "all"], [1, "→"], [2, "↓"], [3, "←"], [4, "↑"]];

async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const [network] = data.networks;
  const [gap] = data.gaps;
  const state = new State({ network, gap, path: "SRM", view: 0, pixel: data.start,
    block: Object.keys(data.blocks[network][gap])[0] });

  const blockOf = ({ network, gap, block }) => {
    const all = data.blocks[network][gap];
    return all[block] ?? Object.values(all)[0];
  };
  const pathOf = (values) => blockOf(values)[values.path] ?? blockOf(values).SRM;
  const viewOf = (values, path) => Math.min(values.view, path.support.shape[0] - 1);
  const cell = ({ pixel }, path) => pixel[0] * path.size[1] + pixel[1];
  const supportOf = ({ network, gap }) => data.pictures[gap][data.shown[network]];

  const support = canvas(state, "Support: the bluer, the more it wrote into the chosen output",
    (context, width, height, c, values) => {
      const path = pathOf(values), { image, mask } = supportOf(values);
      heat(context, width, height, { picture: image, size: path.support_size, colour: c.support,
        paper: c.paper, values: at(path.support, viewOf(values, path), cell(values, path)) });
      outline(context, width, height, mask, c.mark);
    }, { caption: ({ network }) => `support${data.shown[network] === "zoomed"
      ? " (cut to the box of its class, as the mixer sees it)" : ""}: the bluer, the more it wrote` });

  const query = canvas(state, "Query: choose a pixel by a click or with the arrow keys",
    (context, width, height, c, values) => {
      const path = pathOf(values), { image, mask } = data.pictures[values.gap].query;
      heat(context, width, height, { picture: image, size: path.query_size, colour: c.query,
        paper: c.paper, values: at(path.query, viewOf(values, path), cell(values, path)) });
      outline(context, width, height, mask, c.mark);
      const [rows, columns] = path.size, [row, column] = values.pixel;
      const box = [column * width / columns, row * height / rows, width / columns, height / rows];
      for (const [line, stroke] of [[5, "#000000"], [2.5, "#ffffff"]]) {
        context.lineWidth = line;
        context.strokeStyle = stroke;
        context.strokeRect(...box);
      }
    }, { caption: "query: the more orange, the more it wrote; click, or arrow keys" });
  const size = pathOf(state.values).size;
  choosing(query, state, "pixel", size);

  const both = bars(state, (values) => Object.entries(blockOf(values)).map(([name, path]) => {
    const shares = at(path.shares, cell(values, path)), skip = at(path.skip, cell(values, path));
    return [name, WRITERS.map(([part, kind], i) => [part, shares[i], kind]),
      `beside it the skip D u, which passes the state by: ${skip.toFixed(skip < 0.1 ? 3 : 2)} times these`];
  }));
  const words = telling(state, (values) => {
    const path = pathOf(values), [row, column] = values.pixel;
    const shares = at(path.shares, cell(values, path));
    return `Row ${row + 1}, column ${column + 1} of ${size.join(" × ")}, ${values.path}: `
      + `${percent(shares[0])} of what it hears is the support's.`;
  });

  const labels = (names) => names.map((name) => [name, name.replace("_", "-")]);
  const blocks = Object.keys(data.blocks[network][gap]);
  const first = [choice(state, "gap", "gap", labels(data.gaps))];
  if (data.networks.length > 1) first.unshift(choice(state, "network", "network", labels(data.networks)));
  if (blocks.length > 1) first.push(choice(state, "block", "hybrid block", labels(blocks)));
  const paths = [["SRM", "SRM"], ["QIM", "QIM"]];
  const second = [choice(state, "path", "path", paths), choice(state, "view", "direction (of SRM)", VIEWS)];
  return assemble(el, state, "Pixel inspector", [first, second, [support, query], [words], [both],
    [legend([...WRITERS.map(([part, kind]) => [kind, part]), ["outline", "the thing"]])]]);
}

export default { render };
