// Signing in and calling the API. The access token lives in this module alone, for 15 minutes; the refresh token is a cookie that
// no script can read ("transport": "cookie"). Nothing is in localStorage, so there is nothing to steal from it.

const server = document.querySelector('meta[name="authkeep"]').content;
let accessToken = null;

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? "The server can't be reached");
    this.status = status;
    this.code = body.code ?? "unavailable";
  }
}

async function send(method, path, body, token) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token) headers["Authorization"] = `Bearer ${token}`;
  // "include": the refresh token's cookie is Authkeep's, and this page is of another origin of the same site.
  const answer = await fetch(server + path, { method, headers, credentials: "include", body: body && JSON.stringify(body) });
  const text = await answer.text();
  const said = text ? JSON.parse(text) : {};
  if (!answer.ok) throw new Problem(answer.status, said);
  return said;
}

function keep(tokens) {
  accessToken = tokens.access_token;
}

// A recovery code is longer than the six digits of an app.
const methodOf = (code) => (code.replaceAll(" ", "").length === 6 ? "totp" : "recovery");

// `askCode` is called where the account has a second factor.
export async function signIn(username, password, askCode) {
  const said = await send("POST", "/auth/login", { username, password, transport: "cookie" });
  if (said.status === "mfa_enrolment_required") throw new Problem(401, { detail: "Add a second factor at /account/sign-in first" });
  if (said.status !== "mfa_required") return keep(said);
  const code = await askCode();
  keep(await send("POST", `/auth/login/${methodOf(code)}`, { attempt: said.attempt, code, transport: "cookie" }));
}

// One tab at a time. Two at once would do no harm: the second gets the same successor, for ten seconds.
async function refresh() {
  await navigator.locks.request("authkeep-refresh", async () => {
    keep(await send("POST", "/auth/refresh", { transport: "cookie" }));
  });
}

// At the start of the page: whether the browser still holds a session.
export async function resume() {
  try {
    await refresh();
    return true;
  } catch (problem) {
    if (problem.status === 401 || problem.status === 422) return false;
    throw problem;
  }
}

export async function call(method, path, body) {
  try {
    return await send(method, path, body, accessToken);
  } catch (problem) {
    if (problem.code !== "token_invalid") throw problem;
    await refresh(); // it expired; if the session ended, this says so
    return send(method, path, body, accessToken);
  }
}

// For what wants a fresh proof: asks for it when the server says so, and then only. Who has a second factor gives its code too.
export async function callWithProof(method, path, askProof) {
  try {
    return await call(method, path);
  } catch (problem) {
    if (problem.code !== "insufficient_user_authentication") throw problem;
    const { password, code } = await askProof();
    const second = code && { [methodOf(code) === "totp" ? "code" : "recovery_code"]: code };
    keep(await call("POST", "/auth/reauthenticate", { password, ...second }));
    return call(method, path);
  }
}

export async function signOut() {
  await send("POST", "/auth/logout", {}, accessToken);
  accessToken = null;
}
