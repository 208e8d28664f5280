// What is to be seen. All that has to do with signing in is in authkeep.js.

import { call, callWithProof, resume, signIn, signOut } from "./authkeep.js";

const $ = (id) => document.getElementById(id);

function say(words) {
  $("message").textContent = words;
}

function showSignIn() {
  $("account").hidden = true;
  $("sign-in").hidden = false;
}

async function showAccount() {
  const me = await call("GET", "/auth/me");
  $("name").textContent = me.display_name ?? me.username; // textContent: a name may be <script>
  $("sign-in").hidden = true;
  $("account").hidden = false;
}

// Whatever a button starts ends in words; a session that is over ends at the form.
function onDoing(target, event, act) {
  target.addEventListener(event, async (happened) => {
    happened.preventDefault();
    say("");
    try {
      await act(happened);
    } catch (problem) {
      if (problem.code === "token_invalid" || problem.code === "unauthenticated") showSignIn();
      say(problem.message);
    }
  });
}

// What is typed into a dialog, by the names of its fields.
function ask(dialog) {
  const form = dialog.querySelector("form");
  form.reset();
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(Object.fromEntries(new FormData(form))), { once: true }));
}

onDoing($("sign-in"), "submit", async ({ target }) => {
  await signIn(target.username.value, target.password.value, async () => (await ask($("step"))).code);
  target.reset();
  await showAccount();
});

onDoing($("rename"), "submit", async ({ target }) => {
  await call("PATCH", "/auth/me", { display_name: target.display_name.value || null });
  await showAccount();
  say("Saved");
});

onDoing($("export"), "click", async () => {
  const document = await callWithProof("GET", "/auth/me/export", () => ask($("prove")));
  say(`${document.data.events.length} events, ${document.data.sessions.length} sessions`);
});

onDoing($("sign-out"), "click", async () => {
  await signOut();
  showSignIn();
  say("Signed out");
});

if (await resume()) await showAccount();
else showSignIn();
