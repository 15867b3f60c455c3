"use strict";

const POLL_MS = 500;
const RETRY_MS = 2000;

const byId = (id) => document.getElementById(id);
const stream = byId("stream");
const buttons = new Map();
let broken = false;

function setStatus(state, text) {
  const status = byId("status");
  if (status.textContent !== text) status.textContent = text;
  status.dataset.state = state;
}

async function choose(name) {
  const answer = await fetch("/look?name=" + encodeURIComponent(name), { method: "POST" }).catch(() => null);
  if (answer === null || !answer.ok) setStatus("stopped", "Could not change the look");
}

function makeButtons(names) {
  for (const name of names) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => choose(name));
    buttons.set(name, button);
    byId("looks").append(button);
  }
}

function show(figures) {
  if (buttons.size === 0) makeButtons(figures.looks);
  if (!figures.number) return setStatus("waiting", "Waiting for the first frame");
  byId("rate").textContent = figures.rate.toFixed(1);
  byId("latency").textContent = Math.round(1000 * figures.latency_seconds) + " ms";
  byId("painted").textContent = figures.number;
  byId("dropped").textContent = figures.dropped;
  for (const [name, button] of buttons) button.setAttribute("aria-pressed", String(name === figures.look));
  if (broken) return setStatus("stopped", "No video; too many pages may be open");
  setStatus("running", "Painting");
}

async function poll() {
  let wait = POLL_MS;
  try {
    const answer = await fetch("/figures");
    if (answer.status === 401) {
      setStatus("stopped", "impasto was restarted; open the new address that it printed");
      wait = RETRY_MS;
    } else {
      show(await answer.json());
    }
  } catch {
    setStatus("stopped", "impasto has stopped");
    wait = RETRY_MS;
  }
  setTimeout(poll, wait);
}

stream.addEventListener("load", () => { broken = false; });
stream.addEventListener("error", () => {
  broken = true;
  setTimeout(() => { stream.src = "/stream?" + Date.now(); }, RETRY_MS);
});

poll();
