// What all live pictures share: data, theme, state, controls, canvases. Plain JavaScript, no build
// step. A topic's module follows this text and ends with `export default { render }`, the form that
// anywidget asks for; on a page without a kernel `mount` plays anywidget's part.

// ---- data: one gzipped block, a JSON tree whose arrays and pictures lie behind it --------------

const DTYPES = { uint8: Uint8Array, float32: Float32Array, float16: Uint16Array };

/** Bytes of `live.pack` → its tree; arrays as {data, shape}, pictures as ImageBitmaps. */
async function unpack(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const block = await new Response(stream).arrayBuffer();
  const start = new DataView(block).getUint32(0, true);
  const tree = JSON.parse(new TextDecoder().decode(new Uint8Array(block, 4, start - 4)));
  const open = async (node) => {
    if (Array.isArray(node)) return Promise.all(node.map(open));
    if (node === null || typeof node !== "object") return node;
    if (node.picture) {
      const [offset, length] = node.picture;
      return createImageBitmap(new Blob([new Uint8Array(block, start + offset, length)]));
    }
    if (node.array) {
      const [dtype, shape, offset] = node.array;
      const count = shape.reduce((a, b) => a * b, 1);
      const data = new DTYPES[dtype](block, start + offset, count);
      return { data: dtype === "float16" ? halves(data) : data, shape };
    }
    const pairs = Object.entries(node).map(async ([name, value]) => [name, await open(value)]);
    return Object.fromEntries(await Promise.all(pairs));
  };
  return open(tree);
}

/** float16 as its bits → Float32Array. */
function halves(bits) {
  return Float32Array.from(bits, (h) => {
    const sign = h >> 15 ? -1 : 1, exponent = (h >> 10) & 31, fraction = h & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
  });
}

/** array[i, j, …]: a number, or a flat view of what is left of the axes. */
function at({ data, shape }, ...index) {
  const size = shape.slice(index.length).reduce((a, b) => a * b, 1);
  const first = index.reduce((sum, i, axis) => sum * shape[axis] + i, 0) * size;
  return index.length === shape.length ? data[first] : data.subarray(first, first + size);
}

const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

// ---- elements, state, controls ------------------------------------------------------------------

/** A DOM element: tag, attributes (`text`, `on…` handlers among them), children. */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

/** Values that controls set and pictures show; many changes in one frame are drawn once. */
class State {
  constructor(values) {
    Object.assign(this, { values, watchers: [], since: 0 });
  }
  watch(draw) {
    this.watchers.push(draw);
  }
  set(changes) {
    Object.assign(this.values, changes);
    if (this.since) return;
    this.since = performance.now();
    requestAnimationFrame(() => this.draw());
  }
  draw() {
    const { since } = this;
    this.since = 0;
    for (const draw of this.watchers) draw(this.values);
    if (since && this.root) this.root.dataset.milliseconds = (performance.now() - since).toFixed(1);
  }
}

let made = 0; // groups of radio buttons need names of their own

/** One of several options, as radio buttons: `options` are [value, text]. */
function choice(state, key, label, options) {
  const name = `live-${Math.random().toString(36).slice(2)}-${(made += 1)}`;
  const inputs = options.map(([value]) =>
    make("input", { type: "radio", name, onchange: () => state.set({ [key]: value }) }));
  state.watch((values) => inputs.forEach((input, i) => {
    input.checked = options[i][0] === values[key];
  }));
  return make("fieldset", { class: "live-choice" }, make("legend", { text: label }),
    ...inputs.map((input, i) => make("label", {}, input, make("span", { text: options[i][1] }))));
}

/** A slider; `show` turns its value into text. Returns its label, which holds it. */
function slider(state, key, label, { min = 0, max, step = 1, show = String }) {
  const input = make("input", { type: "range", min, max, step, "aria-label": label,
    oninput: () => state.set({ [key]: Number(input.value) }) });
  const output = make("output", {});
  state.watch((values) => {
    input.value = values[key];
    output.textContent = show(values[key]);
    input.setAttribute("aria-valuetext", output.textContent);
  });
  return make("label", { class: "live-slider" }, make("span", { text: label }), input, output);
}

/** On or off. */
function toggle(state, key, label) {
  const input = make("input", { type: "checkbox", onchange: () => state.set({ [key]: input.checked }) });
  state.watch((values) => { input.checked = values[key]; });
  return make("label", { class: "live-toggle" }, input, make("span", { text: label }));
}

/** A button that moves a value from `first` to the last, and stops when pressed again. */
function player(state, key, last, { first = 0, milliseconds = 40, step = 1 } = {}) {
  let timer = 0;
  const button = make("button", { type: "button", class: "live-play", text: "▶ play" });
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    button.textContent = "▶ play";
  };
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (state.values[key] >= last) state.set({ [key]: first });
    button.textContent = "❚❚ stop";
    timer = setInterval(() => {
      if (!button.isConnected || state.values[key] >= last) return stop();
      state.set({ [key]: Math.min(last, state.values[key] + step) });
    }, milliseconds);
  });
  return button;
}

/** A line of text that screen readers are told when it changes. */
function telling(state, words) {
  const node = make("p", { class: "live-telling", role: "status", "aria-live": "polite" });
  state.watch((values) => {
    const text = words(values);
    if (node.textContent !== text) node.textContent = text;
  });
  return node;
}

/** Lines of shares: `rows(values)` gives [name, [[part, share in [0, 1], kind], …], note]. */
function bars(state, rows) {
  const node = make("div", { class: "live-bars" });
  state.watch((values) => node.replaceChildren(...rows(values).map(([name, parts, note = ""]) => {
    const spoken = parts.map(([part, share]) => `${part} ${percent(share)}`).join(", ");
    const pieces = parts.filter(([, share]) => share > 0).map(([part, share, kind]) => {
      const text = share > 0.09 ? percent(share) : "";
      return make("span", { class: `live-${kind}`, style: `flex-grow:${share}`,
        title: `${part}: ${percent(share)}`, text });
    });
    return make("div", { class: "live-bar", role: "img", "aria-label": `${name}: ${spoken}. ${note}` },
      make("b", { text: name }), make("div", {}, ...pieces), make("small", { text: note }));
  })));
  return node;
}

/** What the kinds of `bars` mean: [kind, text], …. */
function legend(entries) {
  return make("p", { class: "live-legend", "aria-hidden": "true" }, ...entries.map(([kind, text]) =>
    make("span", {}, make("i", { class: `live-${kind}` }), text)));
}

// ---- canvases -----------------------------------------------------------------------------------

const pen = new OffscreenCanvas(1, 1).getContext("2d");
/** A colour as #rrggbb, however CSS spells it (white, #fff, rgb()). */
const hex = (colour) => { pen.fillStyle = colour; return pen.fillStyle; };

/** Colours of the page: those of `live.css`, as the theme has them now. */
function colours(root) {
  const style = getComputedStyle(root);
  const [r, g, b] = style.backgroundColor.match(/[\d.]+/g).map(Number);
  root.toggleAttribute("data-dark", 0.3 * r + 0.6 * g + 0.1 * b < 128);
  const named = ["ink", "paper", "quiet", "line", "support", "query", "mark", "hit", "false",
    "negative", "rest"];
  return Object.fromEntries(named.map((n) => [n, hex(style.getPropertyValue(`--live-${n}`))]));
}

/** A canvas as sharp as the screen: draw(context, width, height, colours), sizes in CSS pixels. */
function canvas(state, label, draw, { aspect = 1, caption = "" } = {}) {
  const node = make("canvas", { role: "img", "aria-label": label, style: `aspect-ratio:${aspect}` });
  const paint = () => {
    const { width, height } = node.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    const sizes = [width, height].map((side) => Math.max(1, Math.round(side * ratio)));
    if (!width || !state.root) return;
    if (node.width !== sizes[0]) node.width = sizes[0];
    if (node.height !== sizes[1]) node.height = sizes[1];
    const context = node.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = "13px sans-serif";
    draw(context, width, height, colours(state.root), state.values);
  };
  state.watch(paint);
  new ResizeObserver(paint).observe(node);
  const below = typeof caption === "string" ? make("figcaption", { text: caption })
    : make("figcaption", {});
  if (typeof caption === "function") state.watch((v) => { below.textContent = caption(v); });
  return make("figure", { class: "live-figure" }, node, below);
}

/** Let a figure's canvas choose a cell of `size` [rows, columns], by pointer and arrow keys. */
function choosing(figure, state, key, [rows, columns]) {
  const node = figure.querySelector("canvas");
  const choose = (row, column) => state.set({ [key]: [
    Math.max(0, Math.min(rows - 1, row)), Math.max(0, Math.min(columns - 1, column))] });
  const point = (event) => {
    const box = node.getBoundingClientRect();
    choose(Math.floor(((event.clientY - box.top) / box.height) * rows),
      Math.floor(((event.clientX - box.left) / box.width) * columns));
  };
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  node.tabIndex = 0;
  node.setAttribute("role", "application");
  node.classList.add("live-choosing");
  node.addEventListener("pointerdown", (event) => {
    node.setPointerCapture(event.pointerId);
    point(event);
  });
  node.addEventListener("pointermove", (event) => event.buttons && point(event));
  node.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const [row, column] = state.values[key];
    choose(row + move[0], column + move[1]);
  });
  return figure;
}

/** A small canvas filled pixel by pixel: paint(i) gives [r, g, b, alpha], each 0 to 255. */
function raster(columns, rows, paint) {
  const small = new OffscreenCanvas(columns, rows);
  const image = new ImageData(columns, rows);
  for (let i = 0; i < columns * rows; i += 1) image.data.set(paint(i), 4 * i);
  small.getContext("2d").putImageData(image, 0, 0);
  return small;
}

const rgb = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
const greys = new WeakMap();

/** The picture without its colours, kept: maps are laid over it. */
function grey(bitmap) {
  if (!greys.has(bitmap)) {
    const copy = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = copy.getContext("2d");
    context.drawImage(bitmap, 0, 0);
    const image = context.getImageData(0, 0, copy.width, copy.height);
    for (let i = 0; i < image.data.length; i += 4) {
      const mean = (image.data[i] + image.data[i + 1] + image.data[i + 2]) / 3;
      image.data.fill(mean, i, i + 3);
    }
    context.putImageData(image, 0, 0);
    greys.set(bitmap, copy);
  }
  return greys.get(bitmap);
}

/** A pale grey picture with a map of uint8 over it: the more, the fuller the colour. */
function heat(context, width, height, { picture, values, size: [rows, columns], colour, paper }) {
  context.fillStyle = paper;
  context.fillRect(0, 0, width, height);
  context.globalAlpha = 0.5;
  context.drawImage(grey(picture), 0, 0, width, height);
  context.globalAlpha = 1;
  const over = raster(columns, rows, (i) => [...rgb(colour), 0.95 * values[i]]);
  context.imageSmoothingEnabled = false;
  context.drawImage(over, 0, 0, width, height);
  context.imageSmoothingEnabled = true;
}

const borders = new WeakMap();

/** The border of where `mask` {data, shape} is 1, yellow in a black casing. */
function outline(context, width, height, mask, colour) {
  const [rows, columns] = mask.shape;
  if (!borders.has(mask)) {
    const path = new Path2D();
    const set = (r, c) => r >= 0 && c >= 0 && r < rows && c < columns && mask.data[r * columns + c] === 1;
    for (let r = 0; r <= rows; r += 1) {
      for (let c = 0; c <= columns; c += 1) {
        if (set(r, c) !== set(r - 1, c)) { path.moveTo(c, r); path.lineTo(c + 1, r); }
        if (set(r, c) !== set(r, c - 1)) { path.moveTo(c, r); path.lineTo(c, r + 1); }
      }
    }
    borders.set(mask, path);
  }
  context.save();
  context.scale(width / columns, height / rows);
  context.lineCap = "round";
  for (const [pixels, stroke] of [[4, "#000000"], [1.8, colour]]) {
    context.lineWidth = (pixels * columns) / width;
    context.strokeStyle = stroke;
    context.stroke(borders.get(mask));
  }
  context.restore();
}

// ---- life ---------------------------------------------------------------------------------------

/** Put a widget together: `parts` is a list of rows, each a list of nodes. */
function assemble(el, state, name, rows) {
  const root = make("section", { class: "live", role: "group", "aria-label": name,
    "data-lm-suppress-shortcuts": "true" }); // JupyterLab's word for: keys typed here are ours
  for (const nodes of rows) root.append(make("div", { class: "live-row" }, ...nodes));
  for (const kind of ["keydown", "keyup", "keypress"]) {
    root.addEventListener(kind, (event) => event.stopPropagation());
  }
  el.replaceChildren(root);
  state.root = root;
  const again = () => state.draw();
  const themes = new MutationObserver(again);
  for (const node of [document.documentElement, document.body]) {
    themes.observe(node, { attributes: true, attributeFilter: ["class", "data-theme", "data-jp-theme-light"] });
  }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", again);
  again();
  return () => { themes.disconnect(); dark.removeEventListener("change", again); };
}

/** Bring to life every picture on this page that waits for `key`, from data in base64. */
function mount(key, render, base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const model = { get: (name) => (name === "data" ? bytes : undefined) };
  for (const el of document.querySelectorAll(`[data-live="${key}"]:not([data-alive])`)) {
    el.dataset.alive = "";
    render({ model, el });
  }
}

// ---- answers ------------------------------------------------------------------------------------

/** Intersection over union of where `probability` (uint8) is above a threshold and a mask is 1. */
function iou(probability, mask, threshold) {
  let both = 0, either = 0;
  for (let i = 0; i < probability.length; i += 1) {
    if (mask.data[i] === 255) continue;
    const found = probability[i] > 255 * threshold, truth = mask.data[i] === 1;
    both += found && truth;
    either += found || truth;
  }
  return either ? both / either : 1;
}

/** An answer over its picture: hits, false alarms and missed pixels in the figures' colours. */
function painted(context, width, height, { picture, probability, mask, threshold, c }) {
  const [rows, columns] = mask.shape;
  const tints = [c.hit, c.false, c.mark].map((colour) => [...rgb(colour), 185]);
  context.fillStyle = c.paper;
  context.fillRect(0, 0, width, height);
  context.globalAlpha = 0.6;
  context.drawImage(grey(picture), 0, 0, width, height);
  context.globalAlpha = 1;
  const nothing = [0, 0, 0, 0];
  context.drawImage(raster(columns, rows, (i) => {
    const found = probability[i] > 255 * threshold, truth = mask.data[i];
    return truth === 255 || !(found || truth) ? nothing : tints[found ? (truth ? 0 : 1) : 2];
  }), 0, 0, width, height);
}

const ANSWERS = [["hit", "found"], ["false", "false alarm"], ["miss", "missed"]];

// ---- charts -------------------------------------------------------------------------------------

/** Draw axes; of `marks` too close to each other the first. Gives functions to pixels, and the box. */
function axes(context, width, height, c, { x, y, xlabel, ylabel, marks = [0, 0.5, 1] }) {
  const box = [60, 8, width - 14, height - 34]; // left, top, right, bottom
  const px = (v) => box[0] + ((v - x[0]) / (x[1] - x[0])) * (box[2] - box[0]);
  const py = (v) => box[3] - ((v - y[0]) / (y[1] - y[0])) * (box[3] - box[1]);
  Object.assign(context, { fillStyle: c.quiet, strokeStyle: c.line, lineWidth: 1, textAlign: "right" });
  for (const [i, mark] of marks.entries()) {
    if (marks.slice(0, i).some((other) => Math.abs(py(other) - py(mark)) < 14)) continue;
    context.fillText(String(Number(mark.toPrecision(3))).replace("-", "−"), box[0] - 6, py(mark) + 4);
    context.strokeRect(box[0], py(mark), box[2] - box[0], 0);
  }
  Object.assign(context, { textAlign: "center" }).fillText(xlabel, (box[0] + box[2]) / 2, height - 6);
  for (const end of x) context.fillText(String(end), px(end), box[3] + 15);
  context.save();
  context.translate(11, (box[1] + box[3]) / 2);
  context.rotate(-Math.PI / 2);
  context.fillText(ylabel, 0, 0);
  context.restore();
  return { px, py, box };
}
