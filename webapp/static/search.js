/* Enhancements for the search box of the Images page and of the audit log: suggestions, and the history
   of the browser. The pages also work without this script. */
(() => {
  "use strict";

  const searchBox = document.getElementById("q");
  const suggestionPanel = document.getElementById("suggestions");

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
    // Ignore the response to a pending request, so that it does not open the panel again.
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

  // The person may still be typing when the results arrive. Change the text of the search box only if
  // the person has left the box and has not changed its text.
  let shownText = searchBox.value;
  document.addEventListener("htmx:afterSettle", ({ detail }) => {
    if (detail.target.id !== "results") return;
    const { q } = document.getElementById("results").dataset;
    if (searchBox.value === shownText && document.activeElement !== searchBox) searchBox.value = q;
    shownText = searchBox.value;
  });

  // In the audit log, the days of a search are days in the time zone of the person, so the form sends
  // this time zone. On the Images page, the days are in UTC, so the form has no field for a time zone.
  const timeZone = searchBox.form.querySelector("[data-time-zone]");
  if (timeZone) timeZone.value = Intl.DateTimeFormat().resolvedOptions().timeZone;

  // On a slow network, a person may type before HTMX has loaded. In this case, submit the search now.
  document.addEventListener("DOMContentLoaded", () => {
    if (searchBox.value !== searchBox.defaultValue) searchBox.form.requestSubmit();
  });
})();
