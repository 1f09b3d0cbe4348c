/* Passkeys: ask the browser to create or to use a passkey, and send the result with the form.
   Without this script, the page says what to do instead. */
(() => {
  "use strict";

  // The server and the browser exchange bytes as URL-safe base64.
  const toBytes = (text) => Uint8Array.from(
    atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0),
  );
  const toText = (buffer) => {
    const characters = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte));
    return btoa(characters.join("")).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  };
  const withBytes = (credentials) => credentials?.map((each) => ({ ...each, id: toBytes(each.id) }));

  const create = (options) => navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: toBytes(options.challenge),
      user: { ...options.user, id: toBytes(options.user.id) },
      excludeCredentials: withBytes(options.excludeCredentials),
    },
  });
  const get = (options) => navigator.credentials.get({
    publicKey: {
      ...options,
      challenge: toBytes(options.challenge),
      allowCredentials: withBytes(options.allowCredentials),
    },
  });

  // Return the credential of the browser as JSON, for the form.
  const serializeCredential = ({ id, rawId, type, response }) => {
    const sent = { clientDataJSON: toText(response.clientDataJSON) };
    if (response.attestationObject) {
      sent.attestationObject = toText(response.attestationObject);
      sent.transports = response.getTransports?.() ?? [];
    } else {
      sent.authenticatorData = toText(response.authenticatorData);
      sent.signature = toText(response.signature);
      if (response.userHandle) sent.userHandle = toText(response.userHandle);
    }
    return JSON.stringify({ id, rawId: toText(rawId), type, response: sent });
  };

  const MESSAGES = {
    InvalidStateError: "This device already has a passkey for your account.",
    NotAllowedError: "No passkey was used. Try again, or use another method.",
    NotSupportedError: "This device doesn’t support passkeys that verify you. Use another device.",
    SecurityError: "Passkeys don’t work at this address. Check the address in your browser.",
  };
  const EXPIRED = "This page has expired. Reload it, and try again.";
  const BUSY = "The registry can’t do this at the moment. Try again in a minute.";

  const enable = (button) => {
    const form = button.form;
    const note = form.querySelector("[data-passkey-note]");
    // If the form has no submit button, the Enter key would submit the form without a passkey.
    form.addEventListener("submit", (event) => {
      if (form.querySelector("button:not([type=button])")) return;
      event.preventDefault();
      button.click();
    });
    if (!window.PublicKeyCredential || !window.isSecureContext) {
      note.textContent = "Passkeys don’t work here. They need HTTPS and a browser that supports passkeys.";
      return;
    }
    note.textContent = "";
    button.hidden = false;
    const use = async () => {
      const response = await fetch(button.dataset.passkey, {
        method: "POST",
        headers: { "X-CSRFToken": form.elements.csrf_token.value },
      });
      if (response.status === 429 || response.status >= 500) throw new Error(BUSY);
      const isJson = response.headers.get("Content-Type") === "application/json";
      if (!response.ok || !isJson) throw new Error(EXPIRED);
      const options = await response.json();
      return serializeCredential(await (options.user ? create(options) : get(options)));
    };
    // While a passkey is used, do not disable the button, because a disabled button loses the focus.
    let isBusy = false;
    const setBusy = (value) => {
      isBusy = value;
      if (value) button.setAttribute("aria-busy", "true");
      else button.removeAttribute("aria-busy");
    };
    button.addEventListener("click", async () => {
      if (isBusy) return;
      const name = form.elements.name;
      if (name instanceof HTMLInputElement && !name.value.trim()) {
        name.focus();
        note.textContent = "Enter a name first.";
        return;
      }
      setBusy(true);
      note.textContent = "";
      try {
        form.elements.passkey.value = await use();
        form.submit();
      } catch (error) {
        const network = error instanceof TypeError ? "The registry doesn’t respond. Try again." : "";
        note.textContent = MESSAGES[error.name] ?? (network || error.message);
      } finally {
        setBusy(false);
      }
    });
  };

  document.querySelectorAll("[data-passkey]").forEach(enable);
})();
