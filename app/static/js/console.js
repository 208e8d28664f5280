// The console: what htmx fetches is HTML of our own server, "/" leads to the search, a box for all boxes of a list.

// htmx makes elements of text. Text may become HTML here and nothing else: no script, no address of one (docs/adr/0021).
globalThis.trustedTypes?.createPolicy("default", { createHTML: (text) => text });

const typing = "input, select, textarea, [contenteditable]";

document.addEventListener("keydown", (event) => {
  const search = document.querySelector("[data-search]");
  if (event.key === "/" && search && !event.ctrlKey && !event.metaKey && !event.altKey && !event.target.closest(typing)) {
    event.preventDefault();
    search.focus();
    search.select();
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-check-all]")) {
    for (const box of event.target.form.querySelectorAll('input[type="checkbox"][name="user"]')) box.checked = event.target.checked;
  }
});
