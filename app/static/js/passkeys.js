// The passkey ceremonies of a browser: the server's options in, a credential as JSON out, one word for what went wrong.
//
//   import { addPasskey, usePasskey } from "/static/passkeys.js";
//   const credential = await usePasskey(options);  // throws a PasskeyError, whose `reason` a page turns into a way on

// cancelled: the person, or nothing they have fits; timeout; already: this device has one; unsupported: by browser or device;
// site: not for this address; replaced: another ceremony began; failed: all else.
const REASONS = {
  NotAllowedError: "cancelled",
  InvalidStateError: "already",
  NotSupportedError: "unsupported",
  ConstraintError: "unsupported",
  SecurityError: "site",
  AbortError: "replaced",
  TimeoutError: "timeout",
};

export class PasskeyError extends Error {
  constructor(reason, cause) {
    super(reason, { cause });
    this.name = "PasskeyError";
    this.reason = reason;
  }
}

export const isSupported = () => typeof window.PublicKeyCredential === "function" && Boolean(navigator.credentials);

// Whether passkeys can be offered where the username is typed.
export async function canAutofill() {
  return isSupported() && Boolean(await window.PublicKeyCredential.isConditionalMediationAvailable?.());
}

export function addPasskey(publicKey) {
  return run(publicKey, (signal) => navigator.credentials.create({ publicKey: creationOptions(publicKey), signal }));
}

// With `autofill` it waits, without a word, until the person chooses one where the username is typed.
export function usePasskey(publicKey, { autofill = false } = {}) {
  const mediation = autofill ? "conditional" : "optional";
  return run(publicKey, (signal) => navigator.credentials.get({ publicKey: requestOptions(publicKey), mediation, signal }));
}

// Tells the device that the server does not know a passkey (any more), where the browser can: it need not be offered again.
export async function forgetPasskey(rpId, credentialId) {
  await window.PublicKeyCredential?.signalUnknownCredential?.({ rpId, credentialId }).catch(() => {});
}

let waiting = null; // a page has one ceremony at a time: the next one takes the place of one that still waits

async function run(publicKey, ceremony) {
  if (!isSupported()) throw new PasskeyError("unsupported");
  waiting?.abort();
  const mine = new AbortController();
  const begun = performance.now();
  waiting = mine;
  try {
    const credential = await ceremony(mine.signal);
    if (!credential) throw new PasskeyError("cancelled");
    return toJson(credential);
  } catch (error) {
    if (error instanceof PasskeyError) throw error;
    // Browsers call it "not allowed" when time is over, so that pages don't learn what devices there are.
    const late = error.name === "NotAllowedError" && performance.now() - begun >= (publicKey.timeout ?? Infinity);
    throw new PasskeyError(late ? "timeout" : (REASONS[error.name] ?? "failed"), error);
  } finally {
    if (waiting === mine) waiting = null;
  }
}

// Browsers of before 2025 don't know how to read and write JSON, nor do some password managers that stand in for them.

function creationOptions(json) {
  if (window.PublicKeyCredential.parseCreationOptionsFromJSON) {
    return window.PublicKeyCredential.parseCreationOptionsFromJSON(json);
  }
  const user = { ...json.user, id: toBytes(json.user.id) };
  return { ...json, user, challenge: toBytes(json.challenge), excludeCredentials: json.excludeCredentials.map(descriptor) };
}

function requestOptions(json) {
  if (window.PublicKeyCredential.parseRequestOptionsFromJSON) {
    return window.PublicKeyCredential.parseRequestOptionsFromJSON(json);
  }
  return { ...json, challenge: toBytes(json.challenge), allowCredentials: json.allowCredentials.map(descriptor) };
}

const descriptor = (json) => ({ ...json, id: toBytes(json.id) });

function toJson(credential) {
  try {
    return credential.toJSON();
  } catch {
    const { response } = credential;
    const members = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
    const given = members.filter((name) => response[name]).map((name) => [name, toText(response[name])]);
    return {
      id: credential.id,
      rawId: toText(credential.rawId),
      type: credential.type,
      response: { ...Object.fromEntries(given), transports: response.getTransports?.() ?? [] },
      clientExtensionResults: credential.getClientExtensionResults(),
    };
  }
}

function toBytes(text) {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}

function toText(buffer) {
  const binary = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
