/* Enhancements for the Images page: search suggestions, filters, selection and keyboard shortcuts.
   The page also works without this script. */
(() => {
  "use strict";

  const searchBox = document.getElementById("q");
  const suggestionPanel = document.getElementById("suggestions");
  const results = () => document.getElementById("results");

  // Suggestions: the search box is a combobox. The server renders the list of options.
  searchBox.setAttribute("role", "combobox");
  searchBox.setAttribute("aria-autocomplete", "list");
  const options = () => [...suggestionPanel.querySelectorAll("[role=option]")];
  let activeIndex = -1;
  let lastRequest = 0;
  const activateOption = (index) => {
    activeIndex = index;
    options().forEach((option, position) => {
      option.setAttribute("aria-selected", String(position === index));
    });
    if (index < 0) searchBox.removeAttribute("aria-activedescendant");
    else searchBox.setAttribute("aria-activedescendant", options()[index].id);
  };
  const closeSuggestions = () => {
    // Ignore the answer to a pending request, so that it does not open the panel again.
    lastRequest += 1;
    suggestionPanel.hidden = true;
    suggestionPanel.replaceChildren();
    activateOption(-1);
    searchBox.setAttribute("aria-expanded", "false");
    searchBox.removeAttribute("aria-controls");
  };
  const loadSuggestions = async () => {
    lastRequest += 1;
    const request = lastRequest;
    const url = new URL(searchBox.dataset.suggest, location.href);
    url.search = new URLSearchParams({ q: searchBox.value, caret: searchBox.selectionStart });
    const headers = { "HX-Request": "true", "HX-Current-URL": location.href };
    const response = await fetch(url, { headers }).catch(() => null);
    if (response?.status === 401) {
      const sessionEnd = document.getElementById("session-end");
      if (!sessionEnd.childElementCount) sessionEnd.innerHTML = await response.text();
      return;
    }
    if (request !== lastRequest || !response?.ok) return;
    const html = await response.text();
    if (request !== lastRequest) return;
    suggestionPanel.innerHTML = html;
    suggestionPanel.hidden = options().length === 0;
    searchBox.setAttribute("aria-expanded", String(!suggestionPanel.hidden));
    searchBox.setAttribute("aria-controls", "suggested");
    activateOption(-1);
  };
  const acceptOption = (option) => {
    const caret = Number(option.dataset.caret);
    searchBox.value = option.dataset.text;
    searchBox.setSelectionRange(caret, caret);
    closeSuggestions();
    searchBox.focus();
    // The input event starts the search, and loads the next suggestions: after a key such as "os:",
    // the values of this key.
    searchBox.dispatchEvent(new Event("input", { bubbles: true }));
  };
  closeSuggestions();
  let suggestionTimer;
  searchBox.addEventListener("input", () => {
    clearTimeout(suggestionTimer);
    suggestionTimer = setTimeout(loadSuggestions, 120);
  });
  searchBox.addEventListener("blur", () => setTimeout(closeSuggestions, 150));
  searchBox.addEventListener("keydown", (event) => {
    const count = options().length;
    if (event.key === "ArrowDown" && !count) loadSuggestions();
    if (event.key === "Escape" && !suggestionPanel.hidden) {
      event.preventDefault();
      closeSuggestions();
    } else if (event.key === "ArrowDown" && count) {
      event.preventDefault();
      activateOption((activeIndex + 1) % count);
    } else if (event.key === "ArrowUp" && count) {
      event.preventDefault();
      activateOption(activeIndex < 0 ? count - 1 : (activeIndex + count - 1) % count);
    } else if (event.key === "Enter") {
      if (activeIndex >= 0) {
        event.preventDefault();
        acceptOption(options()[activeIndex]);
      } else closeSuggestions();
    }
  });
  suggestionPanel.addEventListener("mousedown", (event) => {
    const option = event.target.closest("[role=option]");
    if (!option) return;
    event.preventDefault();
    acceptOption(option);
  });

  // When the panel opens, load the filter menus for the current search. The menus replace the link
  // in the panel, so store the URL of the link on the panel first.
  const filters = document.getElementById("filters");
  const loadMenus = () => {
    const url = new URL(filters.dataset.filters ?? filters.querySelector("a").href);
    filters.dataset.filters = url.href;
    const { searchParams } = new URL(location.href);
    url.search = new URLSearchParams({ q: results().dataset.q, sort: searchParams.get("sort") ?? "" });
    const options = { target: "#filter-panel", swap: "innerHTML" };
    // If the request fails, app.js shows why.
    htmx.ajax("GET", url.pathname + url.search, options).catch(() => {});
  };
  filters.addEventListener("toggle", () => { if (filters.open) loadMenus(); });

  // A person can choose several filters while the panel is open. The link of each choice contains
  // the whole search, so a choice has to wait until the menus show the choice before it.
  let isFiltering = false;
  let nextChoices = [];
  filters.addEventListener("click", (event) => {
    const choice = event.target.closest("[data-choice]");
    if (!choice) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey) {
      event.stopPropagation(); // The browser opens the link in a new tab or window.
    } else if (isFiltering) {
      event.preventDefault();
      event.stopPropagation();
      nextChoices.push(choice.id);
    } else {
      isFiltering = true;
    }
  }, true);
  const applyNextChoice = () => {
    isFiltering = false;
    document.getElementById(nextChoices.shift())?.click();
  };
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    const isChoice = detail.elt.matches("[data-choice]") || detail.target.id === "filter-panel";
    if (!isChoice || detail.successful) return;
    isFiltering = false;
    nextChoices = [];
  });

  // A search that a person types adds only one entry to the history: the first pause in typing adds
  // the entry, and later pauses replace it. After the person submits the search or leaves the box,
  // the next search adds a new entry.
  let isTyping = false;
  const endTyping = () => { isTyping = false; };
  searchBox.addEventListener("change", endTyping);
  document.addEventListener("htmx:beforeHistoryUpdate", (event) => {
    const { history: update, requestConfig } = event.detail;
    const isTyped = requestConfig.triggeringEvent?.type === "input";
    const isSameUrl = new URL(update.path, location.href).href === location.href;
    if (isSameUrl || (isTyped && isTyping)) update.type = "replace";
    isTyping = isTyped && document.activeElement === searchBox;
  });

  // After HTMX has replaced the results, update everything outside them that depends on the search.
  // The person may still be typing when a response arrives. Change the text of the search box only
  // if the person has not changed it and has left the box.
  let shownText = searchBox.value;
  // HTMX sends the event for each element that it has swapped.
  const settledRequests = new WeakSet();
  const isFirstEvent = ({ xhr }) => !settledRequests.has(xhr) && Boolean(settledRequests.add(xhr));
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (detail.target === results()) selectedBefore = selectedIds();
  });
  document.addEventListener("htmx:afterSettle", ({ detail }) => {
    if (detail.target.matches("[data-count]")) { // Only the number of results has been replaced.
      showSelection();
      return;
    }
    const q = results().dataset.q;
    if (isFirstEvent(detail)) {
      if (detail.target.id === "filter-panel") applyNextChoice();
      if (detail.target.id === "results" && filters.open) loadMenus();
      if (detail.target.id === "results" && !filters.open) isFiltering = false;
    }
    if (detail.target.id === "results") announce(q === selectedSearch ? keepSelection() : "");
    if (searchBox.value === shownText && document.activeElement !== searchBox) searchBox.value = q;
    shownText = searchBox.value;
    const filterCount = document.querySelector("[data-filter-count]");
    filterCount.textContent = results().dataset.filters;
    filterCount.hidden = filterCount.textContent === "0";
    // “All matching images” applies to one search only. Another search starts a new selection.
    if (bulkForm && q !== selectedSearch) bulkForm.elements.all.checked = false;
    selectedSearch = q;
    showSelection();
  });

  // Say how the new list is sorted, and what happened to the selection. A search needs no
  // announcement of its own, because the number of results is a live region.
  const announce = (selectionText) => {
    const sorted = document.querySelector("#results th[aria-sort]");
    const order = sorted ? `Sorted by ${sorted.textContent.trim()}, ${sorted.getAttribute("aria-sort")}.` : "";
    document.querySelector("[data-list-status]").textContent = `${order} ${selectionText}`.trim();
  };

  // The selected images.
  let selectedBefore = [];
  const selectedIds = () => checkboxes().filter((checkbox) => checkbox.checked).map((checkbox) => checkbox.value);
  // Select the images again that were selected before the list was sorted or the page was changed.
  // Return what happened to images that are not on the page anymore.
  const keepSelection = () => {
    checkboxes().forEach((checkbox) => { checkbox.checked = selectedBefore.includes(checkbox.value); });
    const lost = selectedBefore.length - selectedIds().length;
    if (lost === 0) return "";
    return lost === 1
      ? "1 image is on another page now and is no longer selected."
      : `${lost} images are on another page now and are no longer selected.`;
  };
  const checkboxes = () => [...document.querySelectorAll("#results [name=image]")];
  const bulkForm = document.getElementById("bulk");
  let selectedSearch = results().dataset.q;
  const showSelection = () => {
    const total = checkboxes().length;
    const selected = checkboxes().filter((checkbox) => checkbox.checked).length;
    document.querySelectorAll("[data-select-page]").forEach((selectPage) => {
      const checkbox = selectPage.querySelector("input");
      selectPage.hidden = total === 0;
      checkbox.checked = selected > 0 && selected === total;
      checkbox.indeterminate = selected > 0 && selected < total;
    });
    if (!bulkForm) return;
    const selectsAll = bulkForm.elements.all.checked;
    const selection = selectsAll ? `All ${document.querySelector("#count [data-count]").dataset.count}` : selected || "None";
    const isSelecting = selectsAll || selected > 0;
    bulkForm.querySelector("[data-selected-count]").textContent = `${selection} selected`;
    // A screen reader announces the number only if the element was there before.
    const status = document.querySelector("[data-selection-status]");
    if (isSelecting || status.textContent) status.textContent = `${selection} selected`;
    bulkForm.querySelector("[data-compare]").hidden = selectsAll || selected !== 2;
    bulkForm.hidden = !isSelecting;
    document.querySelector("[data-list-bar]").hidden = isSelecting;
  };
  const clearSelection = () => {
    checkboxes().forEach((checkbox) => { checkbox.checked = false; });
    bulkForm.elements.all.checked = false;
    showSelection();
    document.querySelector("#results [name=image]")?.focus();
  };
  document.querySelector("[data-clear-selection]")?.addEventListener("click", clearSelection);
  document.querySelector("[data-select-matching]")?.addEventListener("click", (event) => {
    event.target.closest("details").open = false;
    bulkForm.elements.all.checked = true;
    showSelection();
    bulkForm.elements.all.focus();
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-select-page] input")) {
      checkboxes().forEach((checkbox) => { checkbox.checked = event.target.checked; });
    }
    if (event.target.matches("[data-select-page] input, #results [name=image], #bulk [name=all]")) showSelection();
  });

  // Show the full text of a cut cell as a tooltip.
  const isCut = (element) => element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 1;
  document.addEventListener("mouseover", ({ target }) => {
    const cell = target.closest?.("#results tbody td");
    if (cell && !target.title && [cell, ...cell.querySelectorAll("*")].some(isCut)) target.title = target.textContent.trim();
  });

  // Keyboard shortcuts. They are ignored while the person types text.
  const shortcutsDialog = document.getElementById("shortcuts");
  document.querySelectorAll("[data-shortcuts]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => shortcutsDialog.showModal());
  });
  const focusedRow = () => document.activeElement.closest?.("#results tbody tr");
  const moveFocus = (step) => {
    const links = [...document.querySelectorAll("#results tbody a.fw-bold")];
    if (!links.length) return;
    const current = links.indexOf(focusedRow()?.querySelector("a.fw-bold"));
    const first = step > 0 ? 0 : links.length - 1;
    const next = current < 0 ? first : Math.min(Math.max(current + step, 0), links.length - 1);
    links[next].focus();
    links[next].scrollIntoView({ block: "nearest" });
  };
  const SHORTCUTS = {
    "/": () => {
      document.querySelector("[data-list-bar]").hidden = false;
      searchBox.select();
    },
    n: () => document.getElementById("new-image")?.click(),
    j: () => moveFocus(1),
    k: () => moveFocus(-1),
    x: () => focusedRow()?.querySelector("[name=image]")?.click(),
    c: () => focusedRow()?.querySelector("[data-copy]")?.click(),
    "?": () => shortcutsDialog.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]");
    if (isTyping || shortcutsDialog.open || event.ctrlKey || event.metaKey || event.altKey) return;
    const shortcut = SHORTCUTS[event.key];
    if (!shortcut) return;
    event.preventDefault();
    shortcut();
  });
  showSelection();

  // On a slow network, a person may type before HTMX has loaded. Then submit the search now.
  document.addEventListener("DOMContentLoaded", () => {
    if (searchBox.value !== searchBox.defaultValue) searchBox.form.requestSubmit();
  });
})();
