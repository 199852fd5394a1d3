// Shows the pool's workers, asked anew each second.

const pool = document.querySelector("#pool");
const rows = document.querySelector("#processes");

/** A table cell. Text only: what others requested is no HTML of ours. */
function cell(text, kind = "") {
  const made = document.createElement("td");
  made.className = kind;
  made.textContent = text;
  return made;
}

function state(name) {
  const made = document.createElement("td");
  const pill = document.createElement("span");
  pill.className = name === "Idle" ? "pill good" : "pill busy";
  pill.textContent = name.toLowerCase();
  made.append(pill);
  return made;
}

function duration(microseconds) {
  if (!microseconds) {
    return "–";
  }
  return microseconds < 1000 ? `${microseconds} µs` : `${(microseconds / 1000).toFixed(1)} ms`;
}

/** Memory of the last request; php-fpm gives it for idle workers only. */
function memory(bytes) {
  return bytes ? `${(bytes / 1048576).toFixed(1)} MB` : "–";
}

function row(worker) {
  const made = document.createElement("tr");
  const uri = worker["request uri"];
  made.append(
    cell(worker.pid),
    state(worker.state),
    cell(worker.requests, "number"),
    cell(uri && uri !== "-" ? `${worker["request method"]} ${uri}` : "–", "wrap"),
    cell(duration(worker["request duration"]), "number wide"),
    cell(memory(worker["last request memory"]), "number wide"),
  );
  return made;
}

function show(status) {
  const workers = status.processes.sort((one, other) => one.pid - other.pid);
  rows.replaceChildren(...workers.map(row));
  const accepted = status["accepted conn"].toLocaleString("en");
  pool.textContent =
    `pool ${status.pool}: ${status["idle processes"]} idle, ${status["active processes"]} active, ` +
    `${accepted} connections since its start`;
}

async function refresh() {
  try {
    const answer = await fetch("/status?json&full", { cache: "no-store" });
    if (!answer.ok) {
      throw new Error(`it answered ${answer.status}`);
    }
    show(await answer.json());
  } catch (error) {
    rows.replaceChildren();
    pool.textContent = `The status page at /status cannot be read (${error.message}).`;
  }
  setTimeout(refresh, 1000);
}

refresh();
