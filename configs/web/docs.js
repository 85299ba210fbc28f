// The viewer has no theme that follows the system's, so that it is set here, and again when the system's changes.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const viewer = document.querySelector("rapi-doc");
const follow = () => viewer.setAttribute("theme", dark.matches ? "dark" : "light");
dark.addEventListener("change", follow);
follow();
