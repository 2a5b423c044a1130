"use strict";
/* What all parts of the page share. The parts are one script: base, theme, replay, timeplots, decisions, chooser, start. */

const MS = 1000;
const page = JSON.parse(document.getElementById("page-data").textContent);

function $(id) {
  return document.getElementById(id);
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function button(text) {
  const made = element("button", text);
  made.type = "button";
  return made;
}

function count(number) {
  return number.toLocaleString("en");
}

/* Clock times of a trace are its local time read as UTC; a trace without a clock counts days from its start. */
function timeText(ms, clock) {
  const at = new Date(ms);
  const time = at.toISOString().slice(11, 19);
  if (!clock) return `day ${Math.floor(ms / 86_400_000) + 1}, ${time}`;
  const day = at.toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" });
  return `${day}, ${time}`;
}
