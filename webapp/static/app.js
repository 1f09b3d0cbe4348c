/* The little that the pages do by themselves. Every page works without it. */
(() => {
  "use strict";

  // Before the first paint: the theme of the system, unless the person chose one.
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const applyTheme = () => {
    if (root.dataset.theme === "system") root.dataset.bsTheme = dark.matches ? "dark" : "light";
  };
  applyTheme();
  dark.addEventListener("change", applyTheme);

  const each = (within, selector, act) => {
    if (within.matches?.(selector)) act(within);
    within.querySelectorAll(selector).forEach(act);
  };

  // Times in the reader's own zone; the server's UTC text serves those without JavaScript.
  const UNITS = [["year", 31557600], ["month", 2629800], ["week", 604800], ["day", 86400], ["hour", 3600], ["minute", 60]];
  const ago = (instant) => {
    const seconds = (instant - Date.now()) / 1000;
    const [unit, length] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
    return new Intl.RelativeTimeFormat(undefined, { numeric: "auto" }).format(Math.round(seconds / length), unit);
  };
  const showTime = (time) => {
    const instant = new Date(time.dateTime);
    time.title = instant.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
    if (time.dataset.relative === undefined) {
      time.textContent = instant.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    } else {
      time.textContent = ago(instant);
      time.dataset.absolute = instant.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
      time.tabIndex = 0;
    }
  };

  // Toasts: put in again once the page stands, so that the live region announces them.
  const showToast = (toast) => {
    const close = toast.querySelector("[data-dismiss]");
    close.hidden = false;
    close.addEventListener("click", () => toast.remove());
  };
  const announce = (text) => {
    const toast = document.createElement("div");
    toast.className = "toast show toast-danger";
    const body = document.createElement("div");
    body.className = "toast-body";
    const words = document.createElement("span");
    words.textContent = text;
    const close = document.createElement("button");
    close.type = "button";
    close.className = "btn-close";
    close.dataset.dismiss = "";
    close.setAttribute("aria-label", "Dismiss");
    body.append(words, close);
    toast.append(body);
    document.getElementById("toasts").append(toast);
    prepare(toast);
  };

  const enableCopy = (button) => {
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
        button.classList.add("copied");
        button.setAttribute("aria-label", "Copied");
        setTimeout(() => button.classList.remove("copied"), 2000);
      } catch {
        announce("The browser does not allow copying here. Select the text instead.");
      }
    });
  };

  // Beside each id of a list: a list has many, so the button is made here.
  const addCopy = (id) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-icon btn-sm btn-ghost-secondary copy";
    button.dataset.copy = id.textContent;
    button.setAttribute("aria-label", `Copy ${id.textContent}`);
    button.title = "Copy";
    const symbol = document.getElementById("copy-symbol");
    button.append(symbol.content.cloneNode(true));
    id.append(" ", button);
    enableCopy(button);
  };

  // The versions of the chosen family only, and the free fields only for "other".
  const enableOs = (fieldset) => {
    const family = fieldset.querySelector("[name=os_family]");
    const version = fieldset.querySelector("[name=os_version]");
    const groups = [...version.querySelectorAll("optgroup")];
    const loose = [...version.querySelectorAll("option")].filter((o) => !o.value.includes("|"));
    const show = (name, visible) => {
      fieldset.querySelector(`#field-${name}`).hidden = !visible;
    };
    const update = () => {
      const label = family.selectedOptions[0]?.textContent;
      const chosen = version.value;
      version.replaceChildren(
        ...loose.slice(0, 1),
        ...groups.filter((g) => g.label === label).flatMap((g) => [...g.querySelectorAll("option")].map((o) => o.cloneNode(true))),
        ...loose.slice(1),
      );
      version.value = chosen;
      if (version.selectedIndex < 0) version.selectedIndex = 0;
      const other = family.value === "other";
      if (other) version.value = "other";
      show("os_version", !other);
      show("os_family_other", other);
      show("os_version_other", other || version.value === "other");
    };
    family.addEventListener("change", update);
    version.addEventListener("change", update);
    update();
  };

  const enableMenuFilter = (input) => {
    input.parentElement.hidden = false;
    const panel = input.closest(".menu");
    input.addEventListener("input", () => {
      const words = input.value.trim().toLowerCase();
      const items = [...panel.querySelectorAll("li")];
      items.forEach((item) => { item.hidden = !item.textContent.toLowerCase().includes(words); });
      panel.querySelector(".menu-none").hidden = items.some((item) => !item.hidden);
    });
  };

  // Fields that are asked for only while a select of the form has a certain value.
  const enableWhen = (part) => {
    const select = part.closest("form").elements[part.dataset.when];
    const update = () => { part.hidden = select.value !== part.dataset.is; };
    select.addEventListener("change", update);
    update();
  };

  // A long list, searched by typing. Without this it is a plain select, which works as well.
  const enableFilter = (select) => {
    const options = [...select.options].filter((o) => o.value);
    if (options.length < 2) return;
    const input = document.createElement("input");
    input.type = "search";
    input.className = "form-control mb-1";
    input.placeholder = "Type to search";
    input.autocomplete = "off";
    input.setAttribute("aria-label", `Search: ${select.dataset.filtered}`);
    input.setAttribute("aria-controls", select.id);
    const count = document.createElement("p");
    count.className = "form-hint mb-1";
    count.setAttribute("role", "status");
    select.before(input, count);
    select.size = Math.min(8, options.length);
    const names = options.map((o) => o.textContent.toLowerCase());
    const update = () => {
      const words = input.value.toLowerCase().split(/\s+/);
      const chosen = select.value;
      const found = options.filter((_, at) => words.every((word) => names[at].includes(word)));
      select.replaceChildren(...found);
      select.value = found.some((o) => o.value === chosen) ? chosen : "";
      count.textContent = `${found.length} of ${options.length}`;
    };
    input.addEventListener("input", update);
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") event.preventDefault();
      if (event.key !== "ArrowDown" || !select.options.length) return;
      event.preventDefault();
      if (select.selectedIndex < 0) select.selectedIndex = 0;
      select.focus();
    });
    update();
  };

  // Reorder by dragging; the buttons beside each entry do the same.
  const enableDragging = (list) => {
    let dragged = null;
    list.addEventListener("dragstart", (event) => {
      dragged = event.target.closest("li");
      event.dataTransfer.effectAllowed = "move";
    });
    list.addEventListener("dragover", (event) => {
      const over = event.target.closest("li");
      if (!dragged || !over || over === dragged) return;
      event.preventDefault();
      const below = event.clientY > over.getBoundingClientRect().top + over.offsetHeight / 2;
      list.insertBefore(dragged, below ? over.nextSibling : over);
    });
    list.addEventListener("drop", (event) => event.preventDefault());
    list.addEventListener("dragend", () => {
      const position = [...list.children].indexOf(dragged);
      htmx.ajax("POST", list.dataset.sortable, {
        target: "#bookmark-settings", swap: "outerHTML",
        values: { path: dragged.dataset.path, position },
      });
      dragged = null;
    });
  };

  // Once for each element: the page's own load and HTMX's first one both come here.
  const prepared = new WeakSet();
  const once = (act) => (element) => {
    if (prepared.has(element)) return;
    prepared.add(element);
    act(element);
  };
  const prepare = (within) => {
    each(within, "time[datetime]", once(showTime));
    each(within, ".toast", once(showToast));
    each(within, "[data-copies]", once(addCopy));
    each(within, "[data-copy]", once(enableCopy));
    each(within, "[data-os]", once(enableOs));
    each(within, "[data-menu-filter]", once(enableMenuFilter));
    each(within, "[data-sortable]", once(enableDragging));
    each(within, "[data-when]", once(enableWhen));
    each(within, "[data-filtered]", once(enableFilter));
  };

  // A button that waits says so. It stays focusable, so that a screen reader keeps its place.
  const busy = (button) => {
    button.dataset.idle = button.innerHTML;
    button.textContent = button.dataset.busy;
    button.classList.add("btn-loading-text");
    button.setAttribute("aria-busy", "true");
  };
  const idle = (button) => {
    if (button.dataset.idle === undefined) return;
    button.innerHTML = button.dataset.idle;
    delete button.dataset.idle;
    button.removeAttribute("aria-busy");
  };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.confirm && !confirm(form.dataset.confirm)) {
      event.preventDefault();
      return;
    }
    if (form.dataset.once !== undefined) {
      if (form.dataset.sent) { event.preventDefault(); return; }
      form.dataset.sent = "yes";
      form.querySelectorAll("[data-busy]").forEach(busy);
    }
  });
  // Back from the next page: the form may be sent again.
  window.addEventListener("pageshow", () => {
    document.querySelectorAll("form[data-sent]").forEach((form) => {
      delete form.dataset.sent;
      form.querySelectorAll("[data-busy]").forEach(idle);
    });
  });

  document.addEventListener("click", (event) => {
    document.querySelectorAll("details[data-panel][open]").forEach((panel) => {
      if (!panel.contains(event.target)) panel.open = false;
    });
    // CANCEL while NEXT waits: give up the look-up and stay.
    const cancel = event.target.closest("[data-abort]");
    const form = cancel && document.querySelector(cancel.dataset.abort);
    if (form?.classList.contains("htmx-request")) {
      event.preventDefault();
      htmx.trigger(form, "htmx:abort");
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    document.querySelectorAll("details[data-panel][open]").forEach((panel) => {
      panel.open = false;
      panel.querySelector("summary").focus();
    });
  });
  document.addEventListener("toggle", (event) => {
    if (!event.target.matches?.("details[data-panel]") || !event.target.open) return;
    event.target.querySelector("[data-menu-filter]")?.focus();
  }, true);

  document.addEventListener("htmx:beforeRequest", (event) => each(event.target, "[data-busy]", busy));
  document.addEventListener("htmx:afterRequest", (event) => each(event.target, "[data-busy]", idle));
  // What the cloud offers comes in while somebody may be choosing or typing: that stays, and a
  // list that is open is left alone.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const config = event.detail.requestConfig;
    if (config.elt.id !== "live") return;
    const located = document.getElementById("located");
    const active = document.activeElement;
    if (!located || (located.contains(active) && active.options?.length > 1)) {
      event.detail.shouldSwap = false;
      return;
    }
    config.given = [...located.querySelectorAll("[name]")].map((each) => [each.name, each.value]);
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const located = document.getElementById("located");
    (event.detail.requestConfig.given ?? []).forEach(([name, value]) => {
      const now = located.querySelector(`[name="${name}"]`);
      if (value && now && (!now.options || [...now.options].some((o) => o.value === value))) now.value = value;
    });
  });
  document.addEventListener("htmx:load", (event) => prepare(event.target));
  document.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    announce(status === 404
      ? "That is not there any more. Reload the page."
      : `The server could not do that (${status}). Reload the page and try again.`);
  });
  document.addEventListener("htmx:sendError", () => announce("No connection to the server. Check the network and try again."));
  document.addEventListener("DOMContentLoaded", () => {
    const region = document.getElementById("toasts");
    const waiting = [...region.children];
    waiting.forEach((toast) => toast.remove());
    prepare(document);
    setTimeout(() => waiting.forEach((toast) => { region.append(toast); prepare(toast); }), 150);
  });
})();
