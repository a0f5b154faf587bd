// Mask it yourself: mark a thing, find it elsewhere. The kernel encodes and answers.

const PIECE = 1e6; // bytes of one message: photographs come in several

async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const begin = "Drag a box around the thing in the first picture, or paint it.";
  const state = new State({ example: 0, tool: "box", threshold: 0.5, said: begin });
  const queries = [], gallery = make("div", { class: "live-row" });
  let support, mask, box, asked = 0, wait = 0;

  const show = (picture) => {
    clearTimeout(wait);
    asked += 1; // an answer on its way is of another support
    support = picture;
    mask = new Uint8Array(picture.image.width * picture.image.height);
    box = null;
    for (const query of queries) query.answer = null;
    drawing.querySelector("canvas").style.aspectRatio = picture.image.width / picture.image.height;
    state.set({ said: begin });
  };
  const ask = () => {
    clearTimeout(wait);
    state.set({});
    if (!mask.includes(1)) return;
    asked += 1;
    wait = setTimeout(() => model.send({ kind: "mask", number: asked }, undefined, [mask.slice().buffer]), 80);
  };
  const send = async (role, files) => {
    for (const file of files) {
      state.set({ said: `Reading ${file.name} …` });
      const bytes = await file.arrayBuffer();
      for (let at = 0; at < Math.max(1, bytes.byteLength); at += PIECE) {
        const last = at + PIECE >= bytes.byteLength;
        model.send({ kind: "upload", role, name: file.name, last }, undefined, [bytes.slice(at, at + PIECE)]);
      }
    }
  };

  // ---- marking -----------------------------------------------------------------------------
  const drawing = canvas(state, "The support: drag a box, or move it with the arrow keys and size it with shift",
    (context, w, h, c) => {
      if (!support) return;
      context.drawImage(support.image, 0, 0, w, h);
      const { width, height } = support.image, tint = [...rgb(c.mark), 130], none = [0, 0, 0, 0];
      context.drawImage(raster(width, height, (i) => (mask[i] ? tint : none)), 0, 0, w, h);
    }, { caption: () => `mark the thing: ${support ? support.name : ""}` });
  const node = drawing.querySelector("canvas");
  const fill = () => {
    const { width, height } = support.image, [x0, y0, x1, y1] = box;
    mask.fill(0);
    for (let y = Math.max(0, Math.floor(y0 * height)); y < Math.min(height, Math.ceil(y1 * height)); y += 1) {
      mask.fill(1, y * width + Math.max(0, Math.floor(x0 * width)), y * width + Math.min(width, Math.ceil(x1 * width)));
    }
  };
  const paint = ([px, py]) => {
    const { width, height } = support.image, r = 0.035 * Math.max(width, height);
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        if ((x - px * width) ** 2 + (y - py * height) ** 2 <= r * r) mask[y * width + x] = 1;
      }
    }
  };
  const place = (event) => {
    const { left, top, width, height } = node.getBoundingClientRect();
    return [(event.clientX - left) / width, (event.clientY - top) / height];
  };
  let from = null;
  const drag = (event) => {
    if (!from) return;
    const to = place(event);
    if (state.values.tool === "brush") paint(to);
    else {
      box = [0, 1].map((k) => Math.min(from[k], to[k])).concat([0, 1].map((k) => Math.max(from[k], to[k])));
      fill();
    }
    state.set({});
  };
  Object.assign(node, { tabIndex: 0 });
  node.setAttribute("role", "application");
  node.classList.add("live-choosing");
  node.addEventListener("pointerdown", (event) => {
    node.setPointerCapture(event.pointerId);
    from = place(event);
    drag(event);
  });
  node.addEventListener("pointermove", drag);
  node.addEventListener("pointerup", () => { from = null; ask(); });
  const moves = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
  node.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const [x0, y0, x1, y1] = box ?? [0.3, 0.3, 0.7, 0.7], [dx, dy] = move.map((d) => 0.02 * d);
    const moved = box && !event.shiftKey;
    box = [moved ? x0 + dx : x0, moved ? y0 + dy : y0,
      box ? Math.max(x0 + 0.04, x1 + dx) : x1, box ? Math.max(y0 + 0.04, y1 + dy) : y1];
    fill();
    ask();
  });

  // ---- answers -----------------------------------------------------------------------------
  const add = (query) => {
    queries.push(query);
    const { width, height } = query.image, none = [0, 0, 0, 0];
    const share = (v) => query.answer.reduce((sum, p) => sum + (p > 255 * v.threshold), 0) / query.answer.length;
    query.words = (v) => `${query.name}: ${query.answer ? `${percent(share(v))} found` : "not asked yet"}`;
    gallery.append(canvas(state, `What is found in: ${query.name}`, (context, w, h, c, v) => {
      context.drawImage(query.answer ? grey(query.image) : query.image, 0, 0, w, h);
      if (!query.answer) return;
      const tint = [...rgb(c.hit), 150];
      context.drawImage(raster(width, height, (i) => (query.answer[i] > 255 * v.threshold ? tint : none)), 0, 0, w, h);
    }, { aspect: width / height, caption: query.words }));
  };
  model.on("msg:custom", async (told, buffers) => {
    const got = buffers?.length ? await unpack(buffers[0]) : {};
    if (told.kind === "trouble") state.set({ said: told.text });
    else if (told.kind === "answers" && told.number === asked) {
      got.answers.forEach((answer, i) => { queries[i].answer = answer.data; });
      state.set({ said: "" });
    } else if (told.kind === "picture" && told.role === "support") {
      show({ name: told.name, image: got.image });
      state.set({ example: null }); // none of them: each can be chosen again
    }
    else if (told.kind === "picture") {
      add({ name: told.name, image: got.image });
      state.set({ said: `${told.name} is there.` });
      ask();
    }
  });

  const file = (label, role) => make("label", { class: "live-toggle" }, make("span", { text: label }),
    make("input", { type: "file", accept: "image/*,.heic,.heif", multiple: role === "query", "aria-label": label,
      onchange: (event) => send(role, event.target.files) }));
  const examples = choice(state, "example", "support", data.supports.map(({ name }, i) => [i, name]));
  examples.addEventListener("change", () => {
    model.send({ kind: "example", index: state.values.example });
    show(data.supports[state.values.example]);
  });
  const clear = make("button", { type: "button", class: "live-play", text: "clear",
    onclick: () => { show(support); } });
  for (const query of data.queries) add(query);
  show(data.supports[0]);
  const words = telling(state, (v) => v.said || `${queries.map((q) => q.words(v)).join("; ")}.`);
  return assemble(el, state, "Mask it yourself", [
    [examples, file("or a picture of yours", "support")],
    [choice(state, "tool", "mark with", [["box", "a box"], ["brush", "a brush"]]), clear,
      slider(state, "threshold", "threshold", { min: 0.05, max: 0.95, step: 0.05, show: (x) => x.toFixed(2) })],
    [drawing, gallery], [words], [file("look in more pictures", "query")], [legend([["hit", "found"]])]]);
}

export default { render };
