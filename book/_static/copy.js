// A button on every block of code that copies it. What code has printed gets none.
for (const block of document.querySelectorAll("div.highlight")) {
  if (block.closest(".cell_output")) continue;
  const code = block.querySelector("pre");
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "copy", textContent: "copy", title: "Copy this code" });
  button.addEventListener("click", async () => {
    const text = code.innerText.trimEnd();
    const said = await navigator.clipboard.writeText(text).then(() => "copied", () => "not allowed");
    button.textContent = said;
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
  block.append(button);
}
