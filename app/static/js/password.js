// Password fields: a button that shows what was typed, and the server's verdict on a new one. Pages work without either.

const PAUSE = 250; // ms of silence before the server is asked

function addReveal(holder) {
  const input = holder.querySelector("input");
  const button = document.createElement("button");
  const said = document.createElement("span");
  button.type = "button";
  button.className = "reveal";
  button.textContent = holder.dataset.show;
  button.setAttribute("aria-controls", input.id);
  button.setAttribute("aria-describedby", labelOf(input).id);
  said.className = "unseen";
  said.setAttribute("role", "status");
  const set = (shown) => {
    input.type = shown ? "text" : "password";
    button.textContent = shown ? holder.dataset.hide : holder.dataset.show;
  };
  button.addEventListener("click", () => {
    set(input.type === "password");
    said.textContent = input.type === "text" ? holder.dataset.shown : holder.dataset.hidden;
  });
  input.form.addEventListener("submit", () => set(false)); // else the browser would not offer to keep it
  holder.append(button, said);
}

function labelOf(input) {
  const label = input.labels[0];
  label.id ||= `${input.id}-label`;
  return label;
}

function addVerdict(input) {
  const box = document.getElementById(`${input.id}-verdict`);
  const text = box.querySelector("p");
  const form = input.form;
  let timer = 0;
  let asked = 0;

  async function ask() {
    const number = ++asked;
    const value = (name) => form.elements.namedItem(name)?.value ?? "";
    const body = JSON.stringify({
      form_token: value("form_token"),
      password: input.value,
      username: value("username"),
      email: value("email"),
    });
    try {
      const headers = { "Content-Type": "application/json" };
      const answer = await fetch(input.dataset.verdict, { method: "POST", headers, body, credentials: "same-origin" });
      const verdict = answer.ok ? await answer.json() : null;
      if (number !== asked) return; // something newer was typed
      box.hidden = verdict === null || input.value === "";
      if (box.hidden) return;
      box.dataset.level = String(verdict.level);
      text.textContent = verdict.text;
    } catch {
      box.hidden = true; // no verdict now: the form says what is wrong when it is sent
    }
  }

  input.addEventListener("input", () => {
    clearTimeout(timer);
    asked += 1;
    if (input.value === "") box.hidden = true;
    else timer = setTimeout(ask, PAUSE);
  });
}

document.querySelectorAll(".secret").forEach(addReveal);
document.querySelectorAll("input[data-verdict]").forEach(addVerdict);
