// The Quarantine pages: choosing lines, steps that show only their own fields, and a check that ends with the next edit.
// Everything here is a comfort; without it the pages do the same.

const FIELDS = { set: ["path", "value"], rename: ["path", "value"], convert: ["path", "type"], remove: ["path"], name: ["value"], "": [] };

/** Show of a step only what its verb needs. */
function fit(select) {
  const wanted = FIELDS[select.value] ?? [];
  const step = select.closest("fieldset");
  for (const name of ["path", "type", "value"]) {
    const field = step.querySelector(`.${name}`);
    if (field) field.hidden = !wanted.includes(name);
  }
}

for (const select of document.querySelectorAll("[data-step]")) {
  fit(select);
  select.addEventListener("change", () => fit(select));
}

document.addEventListener("change", (event) => {
  if (!event.target.matches?.("[data-all]")) return;
  for (const box of event.target.closest("table").querySelectorAll("tbody input[type=checkbox]")) box.checked = event.target.checked;
});

// What was checked is what is replayed: with the next edit, or another step, the answer and its button go.
document.addEventListener("input", (event) => {
  const form = event.target.closest?.("form[data-clears]");
  const told = form && document.querySelector(form.dataset.clears);
  if (told) told.replaceChildren();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "x" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input:not([type=checkbox]), textarea, select")) return;
  const box = document.querySelector("[data-rows] > [aria-current] input[type=checkbox]");
  if (box) box.checked = !box.checked;
});
