/* The Images page: suggestions of the search box, filters, selecting, and keys. The page works
   without it. */
(() => {
  "use strict";

  const box = document.getElementById("q");
  const panel = document.getElementById("suggestions");
  const results = () => document.getElementById("results");

  // Suggestions: a combobox whose list the server writes.
  box.setAttribute("role", "combobox");
  box.setAttribute("aria-autocomplete", "list");
  box.setAttribute("aria-controls", "suggested");
  const options = () => [...panel.querySelectorAll("[role=option]")];
  let chosen = -1;
  let asked = 0;
  const mark = (index) => {
    chosen = index;
    options().forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
    if (index < 0) box.removeAttribute("aria-activedescendant");
    else box.setAttribute("aria-activedescendant", options()[index].id);
  };
  const close = () => {
    asked += 1;
    panel.hidden = true;
    panel.replaceChildren();
    mark(-1);
    box.setAttribute("aria-expanded", "false");
  };
  const suggest = async () => {
    asked += 1;
    const mine = asked;
    const address = new URL(box.dataset.suggest, location.href);
    address.search = new URLSearchParams({ q: box.value, caret: box.selectionStart });
    const answer = await fetch(address).catch(() => null);
    if (mine !== asked || !answer?.ok) return;
    const text = await answer.text();
    if (mine !== asked) return;
    panel.innerHTML = text;
    panel.hidden = options().length === 0;
    box.setAttribute("aria-expanded", String(!panel.hidden));
    mark(-1);
  };
  const take = (option) => {
    box.value = option.dataset.text;
    box.setSelectionRange(Number(option.dataset.caret), Number(option.dataset.caret));
    close();
    box.focus();
    // The search itself listens to typing; a key alone, without its value, suggests further.
    box.dispatchEvent(new Event("input", { bubbles: true }));
  };
  close();
  let waiting;
  box.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(suggest, 120);
  });
  box.addEventListener("blur", () => setTimeout(close, 150));
  box.addEventListener("keydown", (event) => {
    const count = options().length;
    if (event.key === "ArrowDown" && !count) suggest();
    if (event.key === "Escape" && !panel.hidden) {
      event.preventDefault();
      close();
    } else if (["ArrowDown", "ArrowUp"].includes(event.key) && count) {
      event.preventDefault();
      mark((chosen + (event.key === "ArrowDown" ? 1 : count) + (chosen < 0 && event.key === "ArrowUp" ? 1 : 0)) % count);
    } else if (event.key === "Enter") {
      if (chosen >= 0) {
        event.preventDefault();
        take(options()[chosen]);
      } else close();
    }
  });
  panel.addEventListener("mousedown", (event) => {
    const option = event.target.closest("[role=option]");
    if (!option) return;
    event.preventDefault();
    take(option);
  });

  // The filter menus are read when they are opened, for the search as it then is.
  const filters = document.getElementById("filters");
  filters.addEventListener("toggle", () => {
    if (!filters.open) return;
    const address = filters.querySelector("a").dataset.filters ?? filters.querySelector("a").href;
    const url = new URL(filters.dataset.filters ?? address);
    filters.dataset.filters = url.href;
    url.search = new URLSearchParams({ q: results().dataset.q });
    htmx.ajax("GET", url.pathname + url.search, { target: "#filter-panel", swap: "innerHTML" });
  });

  // The box and what goes with the search follow the results.
  document.addEventListener("htmx:afterSettle", () => {
    const q = results().dataset.q;
    if (document.activeElement !== box) box.value = q;
    document.querySelectorAll("#more a[href*='/export.']").forEach((link) => {
      const url = new URL(link.href);
      url.search = q ? new URLSearchParams({ q }) : "";
      link.href = url.href;
    });
    document.querySelectorAll("#bulk [name=q]").forEach((field) => { field.value = q; });
    prepare();
  });

  // Selecting.
  const picks = () => [...document.querySelectorAll("#results [name=image]")];
  const bulk = document.getElementById("bulk");
  const tell = () => {
    const all = document.querySelector("[data-pick-page]");
    const picked = picks().filter((pick) => pick.checked).length;
    if (all) {
      all.hidden = picks().length === 0;
      all.checked = picked > 0 && picked === picks().length;
      all.indeterminate = picked > 0 && picked < picks().length;
    }
    const count = bulk?.querySelector("[data-picked]");
    if (count) count.textContent = picked ? `${picked} selected` : "None selected";
    if (bulk) bulk.hidden = !document.querySelector("#results tbody tr");
    // Where there is little room the bar shows once there is something to do.
    bulk?.classList.toggle("idle", !picked && !bulk.elements.all.checked);
  };
  const prepare = () => tell();
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-pick-page]")) {
      picks().forEach((pick) => { pick.checked = event.target.checked; });
    }
    if (event.target.matches("[data-pick-page], #results [name=image]")) tell();
  });

  // Keys, never while somebody types.
  const help = document.getElementById("shortcuts");
  document.querySelectorAll("[data-shortcuts]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => help.showModal());
  });
  const links = () => [...document.querySelectorAll("#results tbody a.fw-bold")];
  const move = (step) => {
    const all = links();
    if (!all.length) return;
    const row = document.activeElement.closest?.("#results tbody tr");
    const at = row ? all.indexOf(row.querySelector("a.fw-bold")) : -1;
    const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1);
    all[next].focus();
    all[next].scrollIntoView({ block: "nearest" });
  };
  const KEYS = {
    "/": () => box.select(),
    n: () => document.getElementById("new-image")?.click(),
    j: () => move(1),
    k: () => move(-1),
    x: () => document.activeElement.closest?.("#results tbody tr")?.querySelector("[name=image]")?.click(),
    "?": () => help.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]");
    if (typing || help.open || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  prepare();
})();
