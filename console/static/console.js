// What pages do beyond htmx. Everything here is a comfort: pages can be read, and forms sent, without it.
"use strict";

document.documentElement.classList.add("js");

// Light or dark: kept in a cookie, so that the server renders the next page right.
function themeNow() {
  const chosen = document.documentElement.dataset.theme;
  return chosen || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}
for (const button of document.querySelectorAll("[data-theme-toggle]")) {
  button.addEventListener("click", () => {
    const next = themeNow() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    document.cookie = `theme=${next}; path=/; max-age=31536000; SameSite=Lax`;
    announce(`The page is ${next} now`);
    document.dispatchEvent(new CustomEvent("theme", {detail: next}));
  });
}

function announce(sentence) {
  document.getElementById("announcer").textContent = sentence;
}

// A question before what cannot be undone.
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) return event.preventDefault();
  // What takes some seconds says so.
  const button = event.target.querySelector("button");
  if (event.target.dataset.busy && button) {
    button.textContent = event.target.dataset.busy;
    button.setAttribute("aria-disabled", "true");
    announce(event.target.dataset.busy);
  }
});

// Filters apply when they are chosen by pointer. By keyboard a list changes with each arrow and a date with each digit: the button applies them.
let isByKeyboard = false;
document.addEventListener("keydown", () => { isByKeyboard = true; }, true);
document.addEventListener("pointerdown", () => { isByKeyboard = false; }, true);
document.addEventListener("change", (event) => {
  if (!isByKeyboard && event.target.closest("form[data-apply]")) event.target.form.requestSubmit();
});

// What has come of a form: screen readers read out what is put into a status after the page has come, so it is put there once more.
addEventListener("load", () => {
  for (const notice of document.querySelectorAll("main > .notice[role=status]")) notice.append(...notice.childNodes);
});

// Replaces a part of the page, and keeps what the reader has opened and where the focus is.
function replacePart(part, html) {
  const open = new Set([...part.querySelectorAll("details[open][id]")].map((one) => one.id));
  const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
  part.innerHTML = html;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused) document.getElementById(focused)?.focus({preventScroll: true});
}

// A part that the server sends anew whenever it changes. The browser connects again after a cut, by itself.
for (const part of document.querySelectorAll("[data-live]")) {
  const source = new EventSource(part.dataset.live);
  let state = part.dataset.state;
  source.addEventListener("part", (event) => {
    const {html, status} = JSON.parse(event.data);
    replacePart(part, html);
    if (status !== state) announce(`The run is ${status.toLowerCase()}`);
    part.dataset.state = state = status;
  });
  source.addEventListener("end", () => {
    source.close();
    part.dataset.ended = "1";
  });
  source.addEventListener("error", () => {
    // Closed for good, such as at the end of the session: the page itself says why.
    if (source.readyState === EventSource.CLOSED && !part.dataset.ended) setTimeout(() => location.reload(), 5000);
  });
  addEventListener("pagehide", () => source.close());
}
