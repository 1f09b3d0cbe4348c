/* Enhancements for the Images page: filters, selection and keyboard shortcuts. See also search.js.
   The page also works without this script. */
(() => {
  "use strict";

  const results = () => document.getElementById("results");

  // When the panel opens, load the filter menus for the current search. The menus replace the link
  // in the panel, so first store the URL of the link in an attribute of the panel.
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
  const loadMenusIfOpen = () => { if (filters.open) loadMenus(); };
  filters.addEventListener("toggle", loadMenusIfOpen);
  loadMenusIfOpen(); // A person can open the panel before this script runs.
  // The menus replace the link. If the link has the focus, move the focus to the first choice.
  let linkHasFocus = false;
  filters.addEventListener("htmx:beforeSwap", () => {
    linkHasFocus = document.activeElement.matches("#filter-panel a:not([data-choice])");
  });
  filters.addEventListener("htmx:afterSwap", () => {
    if (linkHasFocus && document.activeElement === document.body) filters.querySelector("#filter-panel a, #filter-panel button")?.focus();
  });

  // A person can choose several filters while the panel is open. The link of each choice contains
  // the whole search. So each choice waits until its link includes the previous choice.
  let isFiltering = false;
  let queuedChoices = [];
  filters.addEventListener("click", (event) => {
    const choice = event.target.closest("[data-choice]");
    if (!choice) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey) {
      event.stopPropagation(); // The browser opens the link in a new tab or window.
    } else if (isFiltering) {
      event.preventDefault();
      event.stopPropagation();
      queuedChoices.push(choice.id);
    } else {
      isFiltering = true;
    }
  }, true);
  const applyNextChoice = () => {
    isFiltering = false;
    document.getElementById(queuedChoices.shift())?.click();
  };
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    const isChoice = detail.elt.matches("[data-choice]") || detail.target.id === "filter-panel";
    if (!isChoice || detail.successful) return;
    isFiltering = false;
    queuedChoices = [];
  });

  // After HTMX has replaced the results, update the other parts of the page that depend on the search.
  // HTMX sends the event for each element that it has swapped.
  const settledRequests = new WeakSet();
  const isFirstEvent = ({ xhr }) => !settledRequests.has(xhr) && Boolean(settledRequests.add(xhr));
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (detail.target === results()) selectedBefore = selectedIds();
  });
  document.addEventListener("htmx:afterSettle", ({ detail }) => {
    if (detail.target.matches("[data-count]")) { // HTMX has replaced only the number of results.
      showSelection();
      return;
    }
    const q = results().dataset.q;
    if (isFirstEvent(detail)) {
      if (detail.target.id === "filter-panel") applyNextChoice();
      if (detail.target.id === "results" && filters.open) loadMenus();
      if (detail.target.id === "results" && !filters.open) isFiltering = false;
    }
    if (detail.target.id === "results") {
      const refreshed = detail.requestConfig.elt.id === "refresh" ? `List refreshed at ${new Date().toLocaleTimeString()}. ` : "";
      announce(refreshed, q === selectedSearch ? keepSelection() : "");
    }
    const filterCount = document.querySelector("[data-filter-count]");
    filterCount.textContent = results().dataset.filters;
    filterCount.hidden = filterCount.textContent === "0";
    // “All matching images” applies to one search only. Another search starts a new selection.
    if (bulkForm && q !== selectedSearch) bulkForm.elements.all.checked = false;
    selectedSearch = q;
    showSelection();
  });

  // Tell screen readers that the list was refreshed, how the new list is sorted, and what happened to
  // the selection. A search needs no announcement of its own, because the number of results is a live
  // region.
  const announce = (refreshed, selectionText) => {
    const sorted = document.querySelector("#results th[aria-sort]");
    const order = sorted ? `Sorted by ${sorted.textContent.trim()}, ${sorted.getAttribute("aria-sort")}.` : "";
    document.querySelector("[data-list-status]").textContent = `${refreshed}${order} ${selectionText}`.trim();
  };

  // The selected images.
  let selectedBefore = [];
  const selectedIds = () => checkboxes().filter((checkbox) => checkbox.checked).map((checkbox) => checkbox.value);
  // Select again the images that were selected before the list was sorted or refreshed, or before
  // another page was opened. Return what happened to selected images that are no longer on the page.
  const keepSelection = () => {
    checkboxes().forEach((checkbox) => { checkbox.checked = selectedBefore.includes(checkbox.value); });
    const lost = selectedBefore.length - selectedIds().length;
    if (lost === 0) return "";
    return lost === 1
      ? "1 image is no longer selected, because it isn’t on this page."
      : `${lost} images are no longer selected, because they aren’t on this page.`;
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
    // This element is always on the page, so that screen readers announce the number. Announce “None”
    // only after an image was selected.
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

  // Show the full text of a truncated cell as a tooltip.
  const isTruncated = (element) => element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 1;
  document.addEventListener("mouseover", ({ target }) => {
    const cell = target.closest?.("#results tbody td");
    if (cell && !target.title && [cell, ...cell.querySelectorAll("*")].some(isTruncated)) target.title = target.textContent.trim();
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
      document.getElementById("q").select();
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
})();
