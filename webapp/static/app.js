/* Enhancements for every page. The pages also work without this script. */
(() => {
  "use strict";

  // Apply the theme of the system before the first paint, unless the person chose a theme.
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const applyTheme = () => {
    if (root.dataset.theme === "system") root.dataset.bsTheme = dark.matches ? "dark" : "light";
  };
  applyTheme();
  dark.addEventListener("change", applyTheme);

  const forEachMatch = (root, selector, action) => {
    if (root.matches?.(selector)) action(root);
    root.querySelectorAll(selector).forEach(action);
  };

  // Scroll the bookmarks bar, if necessary, so that the link to the current page is visible.
  const scrollBookmarks = (link) => {
    const bar = link.closest(".bookmarks");
    const hidden = link.parentElement.getBoundingClientRect().right - bar.getBoundingClientRect().right;
    if (hidden > 0) bar.scrollLeft += hidden;
  };

  // Show times in the reader's time zone. The HTML contains UTC times, for readers without
  // JavaScript.
  const UNITS = [["year", 31557600], ["month", 2629800], ["week", 604800], ["day", 86400], ["hour", 3600], ["minute", 60]];
  const relativeTime = (instant) => {
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
      time.textContent = relativeTime(instant);
      time.dataset.absolute = instant.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
      // In the list of images, the absolute time is shown while the row has the focus. So the time
      // needs no tab stop of its own.
      if (!time.closest(".images")) time.tabIndex = 0;
    }
  };

  // A page that sends a request every second can get the same error message each time. Show only
  // one toast with this message.
  const enableToast = (toast) => {
    for (const other of document.querySelectorAll(".toast")) {
      if (other !== toast && other.textContent === toast.textContent) other.remove();
    }
    const close = toast.querySelector("[data-dismiss]");
    close.hidden = false;
    close.addEventListener("click", () => {
      toast.remove();
      document.getElementById("main").focus({ preventScroll: true });
    });
    if (toast.matches(".toast-success")) removeLater(toast);
  };
  // A success message disappears after some seconds, but stays while a person points at it, has the
  // focus in it, or looks at another tab. Errors and warnings stay until a person closes them.
  const TOAST_SECONDS = 8;
  const TOAST_SECONDS_WITH_ACTION = 20;
  const removeLater = (toast) => {
    const seconds = toast.querySelector("a, form") ? TOAST_SECONDS_WITH_ACTION : TOAST_SECONDS;
    let timer;
    const update = () => {
      clearTimeout(timer);
      if (document.hidden || toast.matches(":hover, :focus-within")) return;
      timer = setTimeout(() => toast.remove(), seconds * 1000);
    };
    for (const type of ["pointerenter", "pointerleave", "focusin", "focusout"]) {
      // :hover and :focus-within change only after the event.
      toast.addEventListener(type, () => setTimeout(update));
    }
    document.addEventListener("visibilitychange", update);
    update();
  };
  const showError = (text) => {
    const toast = document.createElement("div");
    toast.className = "toast show toast-danger";
    const body = document.createElement("div");
    body.className = "toast-body";
    const message = document.createElement("span");
    message.textContent = text;
    const close = document.createElement("button");
    close.type = "button";
    close.className = "btn-close";
    close.dataset.dismiss = "";
    close.setAttribute("aria-label", "Dismiss");
    body.append(message, close);
    toast.append(body);
    document.getElementById("toasts").append(toast);
    enhance(toast);
  };

  const enableCopy = (button) => {
    let timer = 0;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
        button.classList.add("copied");
        button.dataset.label ??= button.getAttribute("aria-label");
        button.setAttribute("aria-label", "Copied");
        clearTimeout(timer);
        timer = setTimeout(() => {
          button.classList.remove("copied");
          button.setAttribute("aria-label", button.dataset.label);
        }, 2000);
      } catch {
        showError("Your browser doesn’t allow copying here. Select the text and copy it.");
      }
    });
  };

  // Add a copy button beside an ID. The HTML of a list contains no copy buttons, because a list has
  // many IDs.
  const addCopyButton = (id) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-icon btn-sm btn-ghost-secondary copy";
    const text = id.dataset.copyable || id.textContent;
    button.dataset.copy = text;
    button.setAttribute("aria-label", `Copy ${text}`);
    button.title = "Copy";
    if (id.closest(".images")) button.tabIndex = -1; // The key C copies the ID of the focused row.
    const icon = document.getElementById("copy-symbol");
    button.append(icon.content.cloneNode(true));
    id.append(" ", button);
    enableCopy(button);
  };

  // In the fields for an operating system, offer only the versions of the chosen family, and show
  // the text fields only for "other".
  const enableOsFields = (fieldset) => {
    const family = fieldset.querySelector("[name=os_family]");
    const version = fieldset.querySelector("[name=os_version]");
    const groups = [...version.querySelectorAll("optgroup")];
    const ungrouped = [...version.querySelectorAll("option")].filter((o) => !o.value.includes("|"));
    const show = (name, visible) => {
      fieldset.querySelector(`#field-${name}`).hidden = !visible;
    };
    const update = () => {
      const label = family.selectedOptions[0]?.textContent;
      const chosen = version.value;
      version.replaceChildren(
        ...ungrouped.slice(0, 1),
        ...groups.filter((g) => g.label === label).flatMap((g) => [...g.querySelectorAll("option")].map((o) => o.cloneNode(true))),
        ...ungrouped.slice(1),
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
    const items = [...panel.querySelectorAll("li")];
    const isMatch = (element) => element.textContent.toLowerCase().includes(input.value.trim().toLowerCase());
    input.addEventListener("input", () => {
      items.forEach((item) => { item.hidden = !isMatch(item); });
      panel.querySelector(".menu-none").hidden = items.some((item) => !item.hidden);
    });
    // If exactly one item matches, Enter opens it. An item can have two links: open the first link that
    // matches.
    input.addEventListener("keydown", (event) => {
      const matches = items.filter(isMatch);
      if (event.key !== "Enter" || event.isComposing || matches.length !== 1) return;
      event.preventDefault();
      const links = [...matches[0].querySelectorAll("a")];
      (links.find(isMatch) ?? links[0]).click();
    });
  };

  // Show a part of a form only while the select named by data-when has the value in data-is.
  const enableDependentFields = (part) => {
    const select = part.closest("form").elements[part.dataset.when];
    const update = () => { part.hidden = select.value !== part.dataset.is; };
    select.addEventListener("change", update);
    update();
  };

  // Add a filter field to a select, and show the select as a list. A person can already type in the
  // field while the list is loading.
  const enableSelectFilter = (select) => {
    const input = document.createElement("input");
    input.type = "search";
    input.className = "form-control mb-1";
    input.placeholder = "Type to search";
    input.autocomplete = "off";
    input.setAttribute("aria-label", `Search: ${select.dataset.filterLabel}`);
    input.setAttribute("aria-controls", select.id);
    const count = document.createElement("p");
    count.className = "form-hint mb-1";
    count.setAttribute("role", "status");
    select.before(input, count);
    let all = [];
    const update = () => {
      count.textContent = "";
      if (!all.length) {
        // There is nothing to choose: the select has one option, without a value. Do not select it.
        select.selectedIndex = -1;
        return;
      }
      const words = input.value.toLowerCase().split(/\s+/);
      const matches = (option) => words.every((word) => option.textContent.toLowerCase().includes(word));
      const found = all.filter(matches);
      // The chosen option stays in the list, even if it does not match.
      const chosen = all.find((option) => option.value === select.value);
      select.replaceChildren(...all.filter((option) => option === chosen || found.includes(option)));
      select.value = chosen?.value ?? "";
      count.textContent = `${found.length} of ${all.length}`;
    };
    const readOptions = () => {
      all = [...select.options].filter((option) => option.value);
      update();
      select.size = Math.max(2, Math.min(8, all.length));
    };
    const enterList = (event) => {
      event.preventDefault();
      if (!all.length || !select.options.length) return;
      if (select.selectedIndex < 0) select.selectedIndex = 0;
      select.focus();
    };
    input.addEventListener("input", update);
    input.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "Enter") enterList(event);
    });
    // Some browsers do not submit the form when a person presses Enter in a list.
    select.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.repeat) return;
      event.preventDefault();
      select.form.requestSubmit();
    });
    select.addEventListener("options", readOptions);
    readOptions();
  };

  // Reorder a list by dragging, or with the buttons beside each entry.
  const enableDragging = (list) => {
    let dragged = null;
    let saved = Promise.resolve();
    // Save the moves one after the other. A response does not replace the list, because the list
    // already shows the new order, and the person may have moved another bookmark meanwhile.
    const save = (item) => {
      const items = [...list.children];
      items.forEach((each, index) => {
        const [up, down] = each.querySelectorAll("[data-step] button");
        up.ariaDisabled = index === 0 ? "true" : null;
        down.ariaDisabled = index === items.length - 1 ? "true" : null;
      });
      const values = { path: item.dataset.path, position: items.indexOf(item) };
      const post = () => htmx.ajax("POST", list.dataset.sortable, { target: list, swap: "none", values });
      saved = saved.then(post, post);
    };
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
      save(dragged);
      dragged = null;
    });
    // Show the new order immediately, so that the next press of the button moves the bookmark further.
    // Move the neighbor instead of the bookmark, because an element that is moved loses the focus.
    list.addEventListener("submit", (event) => {
      const step = Number(event.target.dataset.step);
      if (!step) return;
      event.preventDefault();
      const item = event.target.closest("li");
      const neighbor = step > 0 ? item.nextElementSibling : item.previousElementSibling;
      if (!neighbor) return;
      if (step > 0) item.before(neighbor);
      else item.after(neighbor);
      save(item);
    });
  };

  // Enhance each element once, although DOMContentLoaded and HTMX's first load event both call
  // `enhance`.
  const enhanced = new WeakSet();
  const once = (action) => (element) => {
    if (enhanced.has(element)) return;
    enhanced.add(element);
    action(element);
  };
  const enhance = (root) => {
    forEachMatch(root, ".bookmarks [aria-current]", once(scrollBookmarks));
    forEachMatch(root, "time[datetime]", once(showTime));
    forEachMatch(root, ".toast", once(enableToast));
    forEachMatch(root, "[data-scripted]", once((element) => { element.hidden = false; }));
    forEachMatch(root, "[data-copyable]", once(addCopyButton));
    forEachMatch(root, "[data-copy]", once(enableCopy));
    forEachMatch(root, "form[data-keep]", once(restoreStoredEntries));
    forEachMatch(root, "[data-os]", once(enableOsFields));
    forEachMatch(root, "[data-menu-filter]", once(enableMenuFilter));
    forEachMatch(root, "[data-sortable]", once(enableDragging));
    forEachMatch(root, "[data-when]", once(enableDependentFields));
    forEachMatch(root, "[data-filter-label]", once(enableSelectFilter));
  };

  // Change the text of a button while its request is running. Do not disable the button, because a
  // disabled button loses the focus.
  const markBusy = (button) => {
    button.dataset.idle = button.innerHTML;
    button.textContent = button.dataset.busy;
    button.setAttribute("aria-busy", "true");
  };
  const markIdle = (button) => {
    if (button.dataset.idle === undefined) return;
    button.innerHTML = button.dataset.idle;
    delete button.dataset.idle;
    button.removeAttribute("aria-busy");
  };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.once !== undefined) {
      if (form.dataset.sent) { event.preventDefault(); return; }
      form.dataset.sent = "yes";
      if (event.submitter?.dataset.busy) markBusy(event.submitter);
    }
  });
  // If the browser's back button restores the page, allow its forms to be sent again.
  window.addEventListener("pageshow", () => {
    document.querySelectorAll("form[data-sent]").forEach((form) => {
      delete form.dataset.sent;
      form.querySelectorAll("[data-busy]").forEach(markIdle);
    });
  });

  // A swap can move a button after a person has pressed it with the mouse and before they release the
  // mouse. The browser then sends no click to the button, so click it here.
  let press = {};
  document.addEventListener("pointerdown", ({ target, button, clientX, clientY }) => {
    press = button === 0 ? { pressed: target.closest("button"), clientX, clientY } : {};
  });
  document.addEventListener("pointerup", ({ target, clientX, clientY }) => {
    const { pressed } = press;
    const isAtSamePlace = Math.hypot(clientX - press.clientX, clientY - press.clientY) < 4;
    if (pressed?.checkVisibility() && isAtSamePlace && !pressed.contains(target)) pressed.click();
    press = {};
  });

  document.addEventListener("click", (event) => {
    document.querySelectorAll("details[data-panel][open]").forEach((panel) => {
      if (!panel.contains(event.target)) panel.open = false;
    });
    // While a look-up is running, CANCEL aborts the look-up and does not leave the page.
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
  // When the focus moves to an element outside an open panel, close the panel.
  document.addEventListener("focusin", (event) => {
    document.querySelectorAll("details[data-panel][open]").forEach((panel) => {
      if (!panel.contains(event.target)) panel.open = false;
    });
  });
  document.addEventListener("toggle", (event) => {
    if (!event.target.matches?.("details[data-panel]") || !event.target.open) return;
    event.target.querySelector("[data-menu-filter]")?.focus();
  }, true);

  document.addEventListener("htmx:beforeRequest", (event) => forEachMatch(event.target, "[data-busy]", markBusy));
  document.addEventListener("htmx:afterRequest", (event) => forEachMatch(event.target, "[data-busy]", markIdle));

  // A swap must not lose what a person entered. These rules apply to every swap:
  // - A field that was edited while the request was running keeps its value.
  // - Outside the form that sent the request, a text field or select that was edited earlier also
  //   keeps its value. Exception: if a form sent the request and the response contains a value for
  //   the field, the field shows this value.
  // - A checkbox that was not changed while the request was running does not keep its value: the
  //   checkboxes of a list belong to the rows that are replaced.
  // - A select whose options are replaced keeps its selected option, even if the new options don't
  //   contain it.
  const valueOf = (field) => (/^(checkbox|radio)$/.test(field.type) ? field.checked : field.value);
  const editableFields = () => [...document.querySelectorAll("form [name]:not([type=hidden], [type=file], button)")]
    .concat([...document.querySelectorAll("[form][name]:not([type=hidden], button)")]);
  const isEdited = (field) => {
    if (field.options) return [...field.options].some((o) => o.selected !== o.defaultSelected);
    return !/^(checkbox|radio)$/.test(field.type) && field.value !== field.defaultValue;
  };
  const selectOption = (select, option) => {
    const same = [...select.options].find((o) => o.value === option.value) ?? select.appendChild(option.cloneNode(true));
    same.selected = true;
  };
  // Return the field that replaces `field`: the field with the same ID or, if `field` has no ID, with
  // the same name and value.
  const replacementOf = ({ field, action }) => {
    const found = field.id
      ? document.getElementById(field.id)
      : document.querySelector(`[name="${CSS.escape(field.name)}"][value="${CSS.escape(field.value)}"]`);
    return found && found !== field && found.type === field.type && found.form?.getAttribute("action") === action ? found : null;
  };
  const restoreEntry = (entry) => {
    const { field } = entry;
    const replacement = field.isConnected ? null : replacementOf(entry);
    if (!replacement || (entry.onlyIfEmpty && replacement.value)) return;
    if (field.options) selectOption(replacement, entry.option);
    else if (typeof entry.value === "boolean") replacement.checked = entry.value;
    else replacement.value = entry.value;
    updateUrl(replacement.form);
    if (!entry.caret) return;
    replacement.setSelectionRange(...entry.caret);
    // The person is still typing in this field, so no other element may take the focus.
    document.querySelectorAll("[autofocus]").forEach((element) => element.removeAttribute("autofocus"));
  };
  // Abort a GET request if a swap removes the element that sent the request. Otherwise, the response
  // could replace fields with the same ID in another form.
  const pendingGets = new WeakMap();
  document.addEventListener("htmx:beforeSend", (event) => {
    const { elt, xhr, requestConfig } = event.detail;
    if (requestConfig.verb === "get") pendingGets.set(elt, xhr);
  });
  document.addEventListener("htmx:beforeCleanupElement", (event) => {
    const xhr = pendingGets.get(event.target);
    if (xhr && xhr.readyState < XMLHttpRequest.DONE) xhr.abort();
  });
  const sentValues = new WeakMap();
  const entries = new WeakMap();
  document.addEventListener("htmx:beforeSend", (event) => {
    sentValues.set(event.detail.xhr, new Map(editableFields().map((field) => [field, valueOf(field)])));
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, requestConfig } = event.detail;
    const sent = sentValues.get(xhr) ?? new Map();
    const sender = requestConfig.elt.closest("form");
    const isEditedSince = (field) => sent.has(field) && sent.get(field) !== valueOf(field);
    const isEditedElsewhere = (field) => field.form !== sender && isEdited(field);
    entries.set(xhr, editableFields().filter((field) => isEditedSince(field) || isEditedElsewhere(field)).map((field) => ({
      field,
      onlyIfEmpty: sender !== null && !isEditedSince(field),
      action: field.form?.getAttribute("action"),
      value: valueOf(field),
      option: field.selectedOptions?.[0],
      caret: field === document.activeElement && field.selectionStart !== undefined && field.selectionStart !== null
        ? [field.selectionStart, field.selectionEnd] : null,
    })));
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const { xhr } = event.detail;
    entries.get(xhr)?.forEach(restoreEntry);
    entries.delete(xhr);
  });
  const optionsBeforeSwap = new Map();
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const { target } = event.detail;
    if (target.matches("select")) optionsBeforeSwap.set(target, target.selectedOptions[0]);
  });
  document.addEventListener("htmx:oobAfterSwap", (event) => {
    const { target } = event.detail;
    if (!optionsBeforeSwap.has(target)) return;
    const chosen = optionsBeforeSwap.get(target);
    optionsBeforeSwap.delete(target);
    // The swap of the options changes which option is selected. Select the chosen option again or, if
    // the person has chosen none, the default option.
    const options = [...target.options];
    selectOption(target, chosen?.value ? chosen : options.find((o) => o.defaultSelected) ?? options[0]);
    target.dispatchEvent(new Event("options"));
  });

  // A form with the method GET sends its text in the URL. Servers refuse long URLs, so do not send such
  // a form if its text is too long. Show an error at the longest field instead.
  const MAX_URL = 3500;
  const showTooLongError = (field) => {
    if (field.parentElement.querySelector(".too-long")) return;
    const message = document.createElement("div");
    message.className = "invalid-feedback d-block too-long";
    message.setAttribute("role", "alert");
    message.textContent = `This text is too long (${field.value.length.toLocaleString("en")} characters). Shorten it and try again.`;
    field.after(message);
    field.setAttribute("aria-invalid", "true");
    field.classList.add("is-invalid");
    field.focus();
    field.addEventListener("input", () => {
      message.remove();
      field.removeAttribute("aria-invalid");
      field.classList.remove("is-invalid");
    }, { once: true });
  };
  const isTooLong = (path, values) => path.length + new URLSearchParams(values).toString().length > MAX_URL;
  const longestField = (form) => [...form.elements].filter((field) => typeof field.value === "string" && field.type !== "hidden")
    .reduce((longest, field) => (field.value.length > longest.value.length ? field : longest));
  document.addEventListener("htmx:configRequest", (event) => {
    const { verb, path, formData, elt } = event.detail;
    if (verb !== "get" || !isTooLong(path, formData)) return;
    event.preventDefault();
    // For a background request, for example for suggestions, show no message.
    if (elt.matches("form")) showTooLongError(longestField(elt));
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "get" || form.matches("[hx-get]") || !isTooLong(form.action, new FormData(form))) return;
    event.preventDefault();
    showTooLongError(longestField(form));
  });

  // Keep the values of a form with data-page in the URL of the page, so that the browser's back button
  // and a reload show the values again.
  const updateUrl = (form) => {
    // After a person has pressed NEXT in New Image, the form is no longer on the page, and the URL is
    // the URL of the confirmation page.
    if (!form?.dataset.page || !form.isConnected) return;
    const values = [...new FormData(form)].filter(([, value]) => value);
    if (isTooLong(form.dataset.page, values)) return;
    history.replaceState(history.state, "", `${form.dataset.page}?${new URLSearchParams(values)}`);
  };
  document.addEventListener("change", (event) => updateUrl(event.target.form));
  // A text field sends the event `change` only when it loses the focus. So also update the URL while
  // the person types. Wait for a pause, because browsers limit how often a URL may change.
  let urlTimer;
  document.addEventListener("input", (event) => {
    clearTimeout(urlTimer);
    urlTimer = setTimeout(() => updateUrl(event.target.form), 150);
  });
  // Store the entries of a form with data-keep in sessionStorage, so that a reload and the browser's
  // back and forward buttons show the entries again. When HTMX opens a page, remove the entries that
  // were stored for the URL of that page.
  const storageKey = () => `entered ${location.pathname}${location.search}`;
  const fieldsOf = (form) => editableFields().filter((field) => field.form === form);
  const storeEntries = (form) => {
    if (form?.dataset.keep === undefined) return;
    sessionStorage.setItem(storageKey(), JSON.stringify(fieldsOf(form).map((field) => [field.name, valueOf(field)])));
  };
  const restoreStoredEntries = (form) => {
    const entered = new Map(JSON.parse(sessionStorage.getItem(storageKey()) ?? "[]"));
    fieldsOf(form).filter((field) => entered.has(field.name)).forEach((field) => {
      const value = entered.get(field.name);
      if (typeof value === "boolean") field.checked = value;
      else if (!field.options || [...field.options].some((o) => o.value === value)) field.value = value;
    });
  };
  for (const type of ["input", "change"]) {
    document.addEventListener(type, (event) => storeEntries(event.target.form));
  }
  // The attribute data-form of a link is the selector of a form. Add the credentials and the location
  // that are chosen in this form to the URL of the link.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-form]");
    const form = link && document.querySelector(link.dataset.form);
    if (!form) return;
    const url = new URL(link.href);
    for (const name of ["credentials", "location"]) {
      const value = form.elements[name]?.value;
      if (value) url.searchParams.set(name, value);
    }
    link.href = url;
  });
  document.addEventListener("htmx:pushedIntoHistory", () => sessionStorage.removeItem(storageKey()));
  document.addEventListener("htmx:beforeHistoryUpdate", (event) => {
    clearTimeout(urlTimer);
    updateUrl(document.querySelector("form[data-page]"));
    // An error response does not add an entry to the history.
    if (event.detail.xhr.status >= 400) event.detail.history.type = "replace";
  });
  // After the session has ended, the response to each request is a notice. Show the notice once, so
  // that a screen reader announces it once. Remove the notice when the person has signed in again.
  const sessionEnd = () => document.getElementById("session-end");
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status === 401 && sessionEnd().childElementCount) event.detail.shouldSwap = false;
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    event.detail.requestConfig.sessionHadEnded = sessionEnd().childElementCount > 0;
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const { xhr, requestConfig } = event.detail;
    if (requestConfig.sessionHadEnded && xhr.status >= 200 && xhr.status < 400) sessionEnd().replaceChildren();
  });
  // If the response to a failed request has the header HX-Reswap: none, it contains only a toast. This
  // toast replaces an earlier toast about an outage.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { detail } = event;
    if (detail.xhr.getResponseHeader("HX-Reswap") !== "none") return;
    document.querySelectorAll("[data-outage]").forEach((toast) => toast.remove());
    detail.shouldSwap = true;
    detail.isError = false;
  });
  // When a person selects a suggestion, the browser replaces the whole value of the field. So each
  // suggestion begins with the tags that are already in the field, except the unfinished last tag.
  document.addEventListener("input", ({ target }) => {
    if (!target.matches("[data-tags]")) return;
    const before = target.value.slice(0, target.value.lastIndexOf(",") + 1);
    for (const option of target.list.options) {
      option.dataset.tag ??= option.value;
      option.value = before ? `${before} ${option.dataset.tag}` : option.dataset.tag;
    }
  });
  // HTMX begins to listen to a new search box shortly after the box appears. If a person has typed in
  // the box before that, start the search now.
  const searchIfTyped = (box) => {
    if (box.value !== box.defaultValue) box.dispatchEvent(new Event("input", { bubbles: true }));
  };
  document.addEventListener("htmx:load", (event) => {
    enhance(event.target);
    forEachMatch(event.target, "form[hx-trigger^=input] [name=q]", searchIfTyped);
  });
  document.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    if ([414, 431].includes(status)) showError("Your entries are too long. Shorten them and try again.");
    else if (status === 429) showError("You sent too many requests at the same time. Your entries are still here. Try again in a moment.");
    else if (status === 413) showError("The request is too large. Try again with less data.");
    else if (status === 404) showError("The server couldn’t find what you requested. Reload the page.");
    else if (status > 500) showError(`The server isn’t available at the moment (error ${status}). Your entries are still here. Try again in a moment.`);
    else showError(`The server couldn’t complete the request (error ${status}). Reload the page and try again.`);
  });
  document.addEventListener("htmx:sendError", () => showError("Can’t reach the server. Check your connection and try again."));
  // Screen readers announce only changes of a live region, not its content when the page loads. So
  // remove the toasts, and add them again after the page has loaded.
  document.addEventListener("DOMContentLoaded", () => {
    const region = document.getElementById("toasts");
    const toasts = [...region.children];
    toasts.forEach((toast) => toast.remove());
    // Toasts have their own place above the content. They float only while this place is out of view.
    new IntersectionObserver(([place]) => {
      region.classList.toggle("floating", !place.isIntersecting);
    }).observe(region.parentElement);
    // Scroll the page so that a new floating toast covers no content that was visible before.
    new MutationObserver((changes) => {
      const added = changes.flatMap(({ addedNodes }) => [...addedNodes]).filter((node) => node.parentNode === region && node.offsetHeight);
      if (!added.length || !region.classList.contains("floating")) return;
      const gap = parseFloat(getComputedStyle(region).rowGap) || 0;
      const addedHeight = added.reduce((sum, toast) => sum + toast.offsetHeight + gap, 0);
      const isFirst = region.querySelectorAll(".toast").length === added.length;
      scrollBy({ top: -(isFirst ? region.getBoundingClientRect().bottom + gap : addedHeight), behavior: "instant" });
    }).observe(region, { childList: true });
    enhance(document);
    document.querySelector("form[data-resume]")?.submit();
    setTimeout(() => toasts.forEach((toast) => { region.append(toast); enhance(toast); }), 150);
  });
})();
