// What makes the dashboard smoother where scripts run. Every page works without.
(function () {
  "use strict";

  // Menus close when one looks elsewhere.
  document.addEventListener("click", function (event) {
    document.querySelectorAll("details.me[open], details.menu[open]").forEach(function (menu) {
      if (!menu.contains(event.target)) menu.open = false;
    });
  });
  document.addEventListener("keydown", function (event) {
    if (event.key !== "Escape") return;
    document.querySelectorAll("details.me[open], details.menu[open]").forEach(function (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  });

  // The tab that one is on is in sight.
  var tab = document.querySelector(".tabs [aria-current]");
  if (tab) tab.parentElement.scrollLeft = tab.offsetLeft - (tab.parentElement.clientWidth - tab.offsetWidth) / 2;

  // A form is sent once.
  document.addEventListener("submit", function (event) {
    if (event.defaultPrevented || event.target.method !== "post") return;
    if (event.target.dataset.sent) { event.preventDefault(); return; }
    event.target.dataset.sent = "1";
  });
  window.addEventListener("pageshow", function () {
    document.querySelectorAll("form[data-sent]").forEach(function (form) { delete form.dataset.sent; });
  });

  // Rows: a free one follows the last that is filled in.
  document.addEventListener("input", function (event) {
    var row = event.target.closest && event.target.closest("[data-row]");
    if (!row || row.nextElementSibling && row.nextElementSibling.matches("[data-row]")) return;
    if (!event.target.value || event.target !== row.querySelector("input")) return;
    var rows = row.parentElement.querySelectorAll("[data-row]").length;
    var copy = row.cloneNode(true);
    copy.querySelectorAll(".error").forEach(function (error) { error.remove(); });
    copy.querySelectorAll("input, select").forEach(function (input) {
      var key = input.name.slice(input.name.lastIndexOf("/") + 1);
      input.name = row.parentElement.dataset.rows + "/" + rows + "/" + key;
      input.removeAttribute("aria-invalid");
      input.setAttribute("aria-label", input.getAttribute("aria-label").replace(/\d+$/, rows + 1));
      // What stands in every free row, not what was typed into this one.
      if (input.matches("select")) input.selectedIndex = 0;
      else input.value = input.defaultValue;
    });
    row.after(copy);
  });

  // A file is read into the text beside it; without scripts one pastes it.
  function offerFiles() {
    document.querySelectorAll("[data-file]").forEach(function (field) { field.hidden = false; });
  }
  document.addEventListener("change", function (event) {
    var into = event.target.dataset && event.target.dataset.into;
    if (!into || !event.target.files.length) return;
    event.target.files[0].text().then(function (text) {
      document.getElementById(into).value = text;
    });
  });
  offerFiles();
  document.addEventListener("htmx:afterSettle", offerFiles);

  // After a preview, what there is to see is brought into view and told.
  document.addEventListener("htmx:afterSettle", function (event) {
    if (!event.target || event.target.id !== "editor") return;
    var told = ["#stale", "#faults", "[aria-invalid=true]", "#preview", "#conflicts"].reduce(function (found, one) {
      return found || event.target.querySelector(one);
    }, null);
    if (!told) return;
    if (!told.hasAttribute("tabindex") && told.id) told.setAttribute("tabindex", "-1");
    told.focus({ preventScroll: true });
    told.scrollIntoView({ block: "nearest" });
  });

  // A form is replaced by a form. What is another page, for one that was signed out meanwhile or whose
  // thing is gone, is gone to: the form is sent again as a whole.
  document.addEventListener("htmx:beforeSwap", function (event) {
    var asked = event.detail.requestConfig;
    var isForm = /<form[^>]* id="editor"/.test(event.detail.xhr.responseText);
    if (asked.verb !== "post" || isForm) return;
    event.detail.shouldSwap = false;
    var button = asked.elt;
    if (button.form) button.form.requestSubmit(button.matches("button") ? button : undefined);
  });

  // Whoever cannot be reached is not asked in silence.
  function lost(isLost) { document.getElementById("lost").hidden = !isLost; }
  document.addEventListener("htmx:sendError", function () { lost(true); });
  document.addEventListener("htmx:afterOnLoad", function () { lost(false); });

  // A row is taken out by emptying it: its number stays, and nothing is sent that counts.
  document.addEventListener("click", function (event) {
    var button = event.target.closest && event.target.closest("[data-remove-row]");
    if (!button) return;
    var row = button.closest("[data-row]");
    row.querySelectorAll("input").forEach(function (input) { input.value = ""; });
    row.hidden = true;
    var next = row.parentElement.querySelector("[data-row]:not([hidden]) input");
    if (next) next.focus();
  });
  function offerRemoval() {
    document.querySelectorAll("[data-remove-row]").forEach(function (button) { button.hidden = false; });
  }
  offerRemoval();
  document.addEventListener("htmx:afterSettle", offerRemoval);

  // Sync and rollback come up over the page that one is on.
  document.addEventListener("click", function (event) {
    var link = event.target.closest && event.target.closest("a[data-dialog]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    if (!window.HTMLDialogElement || !window.htmx) return;
    event.preventDefault();
    fetch(link.href, { headers: { "HX-Request": "true" }, credentials: "same-origin" })
      .then(function (answer) { return answer.status === 204 ? null : answer.text(); })
      .then(function (text) {
        var page = text && new DOMParser().parseFromString(text, "text/html");
        var form = page && page.getElementById("editor");
        if (!form) { window.location.assign(link.href); return; }
        var dialog = document.createElement("dialog");
        var head = page.querySelector(".page-head");
        var title = head.querySelector("h1");
        title.id = "dialog-title";
        dialog.setAttribute("aria-labelledby", "dialog-title");
        var close = document.createElement("button");
        close.type = "button";
        close.className = "button is-small is-plain dialog-close";
        close.textContent = "Close";
        dialog.append(head, form, close);
        document.body.append(dialog);
        window.htmx.process(dialog);
        dialog.addEventListener("click", function (inner) {
          if (inner.target === close || inner.target === dialog) dialog.close();
          var cancel = inner.target.closest && inner.target.closest("a.is-plain");
          if (cancel) { inner.preventDefault(); dialog.close(); }
        });
        dialog.addEventListener("close", function () { dialog.remove(); link.focus(); });
        dialog.showModal();
      })
      .catch(function () { window.location.assign(link.href); });
  });

  // Pages learn of commits and gateways. Lists are asked for anew; a form stays as it is with what is
  // typed, and says when what it is about is another by now.
  var seen = null;
  function field(page, name) {
    var input = page.querySelector("main form[data-form] input[name=" + name + "]");
    return input ? input.value : "";
  }
  function outdated() {
    document.getElementById("fresh").hidden = false;
  }
  function compareForm(before, after) {
    // What was previewed was planned on a commit.
    var head = field(document, "expect_head");
    var moved = Object.keys(after).some(function (group) {
      return head && before[group] && before[group].head === head && after[group].head !== head;
    });
    if (moved) { outdated(); return; }
    // What is edited was read with a tag; other commits of the group are none of its business.
    if (!field(document, "tag")) return;
    fetch(window.location.href, { headers: { "HX-Request": "true" }, credentials: "same-origin" })
      .then(function (answer) {
        if (answer.status === 404) outdated();
        return answer.status === 200 ? answer.text() : null;
      })
      .then(function (text) {
        var tag = text && field(new DOMParser().parseFromString(text, "text/html"), "tag");
        if (tag && tag !== field(document, "tag")) outdated();
      })
      .catch(function () {});
  }
  document.getElementById("fresh").addEventListener("click", function (event) {
    if (event.target.id !== "fresh-show") return;
    document.getElementById("fresh").hidden = true;
    var preview = document.querySelector("main form[data-form] button[value=preview]");
    if (preview) preview.click();
    else window.location.reload();
  });
  function refresh(before, after) {
    if (document.querySelector("main form[data-form]")) {
      compareForm(before, after);
      return;
    }
    if (!document.querySelector("[data-live]")) return;
    if (document.querySelector("dialog[open], details.adder[open]")) return;
    fetch(window.location.href, { headers: { "HX-Request": "true" }, credentials: "same-origin" })
      .then(function (answer) { return answer.status === 200 ? answer.text() : null; })
      .then(function (text) {
        if (!text) return;
        var page = new DOMParser().parseFromString(text, "text/html");
        var now = document.querySelectorAll("[data-live]");
        var next = page.querySelectorAll("[data-live]");
        if (now.length !== next.length) return;
        next.forEach(function (part, index) {
          var held = now[index].contains(document.activeElement) ? document.activeElement : null;
          if (held && held.matches("input, select, textarea")) return;
          now[index].replaceWith(part);
          if (!held || !held.href) return;
          var again = Array.prototype.find.call(part.querySelectorAll("a"), function (link) {
            return link.href === held.href;
          });
          if (again) again.focus({ preventScroll: true });
        });
      })
      .catch(function () {});
  }
  if (window.EventSource && document.querySelector("header.top")) {
    var source = new EventSource("/live");
    source.addEventListener("state", function (event) {
      var state = JSON.parse(event.data);
      if (seen !== null) refresh(seen, state);
      else if (event.lastEventId !== document.body.dataset.state) refresh({}, state);
      seen = state;
    });
    source.addEventListener("open", function () { lost(false); });
    source.addEventListener("error", function () { lost(true); });
    window.addEventListener("pagehide", function () { source.close(); });
  }
})();
