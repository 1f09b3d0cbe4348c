/* The palette: Ctrl K, ⌘K or its button opens a dialog that finds pages, scopes and images. Without
   this script, the button is a link to a page. HTMX loads the results. */
(() => {
  "use strict";

  const dialog = document.getElementById("palette");
  const input = document.getElementById("palette-text");
  const results = document.getElementById("palette-results");
  const status = dialog.querySelector("[data-palette-status]");
  const options = () => [...results.querySelectorAll("[role=option]")];

  let activeIndex = -1;
  let shownText = null; // The text whose results are shown, or null.
  let opensFirstResult = false; // Whether Enter was pressed before the results arrived.
  const activate = (index) => {
    activeIndex = index;
    options().forEach((option, position) => {
      option.setAttribute("aria-selected", String(position === index));
    });
    const active = options()[index];
    if (!active) input.removeAttribute("aria-activedescendant");
    else {
      input.setAttribute("aria-activedescendant", active.id);
      active.scrollIntoView({ block: "nearest" });
    }
  };
  const openActive = () => {
    const active = options()[activeIndex];
    if (!active) return;
    dialog.close();
    active.click();
  };

  const open = () => {
    if (dialog.open) return;
    document.querySelectorAll("dialog[open]").forEach((other) => other.close());
    document.querySelectorAll("details[data-panel][open]").forEach((panel) => { panel.open = false; });
    dialog.showModal();
    input.select();
    shownText = null;
    htmx.trigger(input, "open");
  };
  document.querySelectorAll("[data-palette]").forEach((button) => {
    button.setAttribute("role", "button");
    button.setAttribute("aria-haspopup", "dialog");
    button.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      open();
    });
    button.addEventListener("keydown", (event) => {
      if (event.key !== " ") return;
      event.preventDefault();
      open();
    });
  });
  document.addEventListener("keydown", (event) => {
    const isShortcut = (event.ctrlKey !== event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k";
    if (!isShortcut) return;
    event.preventDefault();
    if (dialog.open) dialog.close();
    else open();
  });
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  results.addEventListener("click", (event) => {
    if (event.target.closest("a") && !event.ctrlKey && !event.metaKey && !event.shiftKey) dialog.close();
  });

  input.addEventListener("input", () => { opensFirstResult = false; });
  input.form.addEventListener("submit", (event) => event.preventDefault());
  input.addEventListener("keydown", (event) => {
    const count = options().length;
    if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      if (shownText === input.value) openActive();
      else opensFirstResult = true;
    } else if (event.key === "ArrowDown" && count) {
      event.preventDefault();
      activate((activeIndex + 1) % count);
    } else if (event.key === "ArrowUp" && count) {
      event.preventDefault();
      activate((activeIndex + count - 1) % count);
    }
  });

  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    if (detail.target !== results) return;
    shownText = new URLSearchParams(detail.pathInfo.finalRequestPath.split("?")[1]).get("q") ?? "";
    const count = options().length;
    results.querySelector("[role=listbox]")?.setAttribute("id", "palette-list");
    input.setAttribute("aria-expanded", String(count > 0));
    input.setAttribute("aria-controls", count ? "palette-list" : results.id);
    const number = count === 1 ? "1 result" : `${count || "No"} results`;
    const note = results.querySelector(".palette-none")?.textContent ?? "";
    status.textContent = note ? `${number}. ${note}` : number;
    activate(count ? 0 : -1);
    if (opensFirstResult && shownText === input.value) openActive();
    opensFirstResult = false;
  });
  // If the results cannot be loaded, the page behind the dialog says why, so close the dialog.
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    if (detail.elt === input && !detail.successful && detail.xhr.status !== 0) dialog.close();
  });
  document.addEventListener("htmx:sendError", ({ detail }) => {
    if (detail.elt === input) dialog.close();
  });
})();
