// Forms that are sent with what a passkey made or signed. The server gives the options, passkeys.js does the ceremony, and each
// way it can fail has a sentence in the page. Without script the forms stay hidden, and the page says why.

import { addPasskey, canAutofill, isSupported, PasskeyError, usePasskey } from "./passkeys.js";

const RENEW = 0.8; // of a challenge's life: then one that still waits to be filled in is replaced
let turn = 0; // whatever was asked for last is what the page does; a slow answer for something before is dropped
let renewal = 0;

class Overtaken extends Error {}

async function optionsFor(form, mine) {
  // A mail address is not sent: passkeys are listed by username alone.
  const named = document.getElementById(form.dataset.named ?? "")?.value.trim() ?? "";
  const body = JSON.stringify(named === "" || named.includes("@") ? {} : { username: named });
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(form.dataset.options, { method: "POST", headers, body, credentials: "same-origin" });
  if (mine !== turn) throw new Overtaken();
  if (!answer.ok) throw new PasskeyError(answer.status === 429 ? "busy" : answer.status < 500 ? "stale" : "failed");
  return (await answer.json()).public_key;
}

function say(form, reason) {
  for (const text of form.parentElement.querySelectorAll("[data-reason]")) text.hidden = text.dataset.reason !== reason;
}

function send(form, credential) {
  form.elements.namedItem("credential").value = JSON.stringify(credential);
  form.submit();
}

async function onSubmit(event, form) {
  event.preventDefault();
  clearTimeout(renewal);
  const mine = ++turn;
  say(form, "");
  try {
    const options = await optionsFor(form, mine);
    send(form, await (form.dataset.passkey === "add" ? addPasskey(options) : usePasskey(options)));
  } catch (error) {
    if (mine !== turn) return;
    say(form, error instanceof PasskeyError ? error.reason : "failed");
    if ("autofill" in form.dataset) waitForChoice(form);
  }
}

// Nobody asked for this, so nothing is said when it fails.
async function waitForChoice(form) {
  const mine = ++turn;
  try {
    const options = await optionsFor({ dataset: { options: form.dataset.options } }, mine);
    renewal = setTimeout(() => whenSeen(() => mine === turn && waitForChoice(form)), options.timeout * RENEW);
    send(form, await usePasskey(options, { autofill: true }));
  } catch {
    clearTimeout(mine === turn ? renewal : 0);
  }
}

function whenSeen(then) {
  if (document.visibilityState === "visible") then();
  else document.addEventListener("visibilitychange", then, { once: true });
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (isSupported()) {
    form.hidden = false;
    form.addEventListener("submit", (event) => onSubmit(event, form));
    if ("autofill" in form.dataset && (await canAutofill())) waitForChoice(form);
  } else if (!("autofill" in form.dataset)) say(form, "unsupported");
}
