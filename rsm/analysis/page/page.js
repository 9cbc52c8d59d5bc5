"use strict";
// The main table: its columns, and sorting by a click on a heading.
(() => {
  const table = document.getElementById("main");
  if (!table) return;
  const buttons = document.querySelectorAll("button[data-view]");
  for (const button of buttons) {
    button.addEventListener("click", () => {
      table.dataset.view = button.dataset.view;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    });
  }
  const body = table.tBodies[0], study = [...body.rows], heads = [...table.tHead.rows[0].cells];
  const sort = (column, direction) => {
    const value = (row) => row.cells[column].dataset.value;
    const compare = column === 0
      ? (a, b) => value(a).localeCompare(value(b))
      : (a, b) => Number(value(a)) - Number(value(b));
    // Rows without a number stand last, whichever way the others go.
    const known = study.filter((row) => value(row) !== ""), none = study.filter((row) => value(row) === "");
    body.append(...known.sort((a, b) => direction * compare(a, b)), ...none);
  };
  heads.forEach((head, column) => {
    const first = Number(head.firstElementChild.dataset.better) > 0 ? -1 : 1; // the best on top
    let clicks = 0;
    head.firstElementChild.addEventListener("click", () => {
      clicks = head.getAttribute("aria-sort") === "none" ? 1 : (clicks + 1) % 3;
      for (const other of heads) other.setAttribute("aria-sort", "none");
      if (clicks === 0) return body.append(...study);
      const direction = clicks === 1 ? first : -first;
      head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      sort(column, direction);
    });
  });
})();

// Explanations: on hover, on focus, and where a finger rests.
(() => {
  const tip = document.getElementById("tip");
  const show = (event) => {
    const about = event.target.closest?.("[data-tip]");
    tip.hidden = !about?.dataset.tip;
    if (tip.hidden) return;
    tip.textContent = about.dataset.tip;
    const place = about.getBoundingClientRect(), size = tip.getBoundingClientRect();
    const left = Math.min(place.left, document.documentElement.clientWidth - size.width - 8);
    const below = place.bottom + 6, above = place.top - size.height - 6;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${below + size.height > window.innerHeight && above > 0 ? above : below}px`;
  };
  for (const kind of ["mouseover", "focusin"]) document.addEventListener(kind, show);
  for (const kind of ["scroll", "focusout"]) document.addEventListener(kind, () => { tip.hidden = true; }, true);
})();

// Pictures: a click shows one in its full size.
for (const image of document.querySelectorAll(".picture img")) {
  image.addEventListener("click", () => image.classList.toggle("large"));
}

// Learning curves.
(() => {
  const source = document.getElementById("curve-data");
  if (!source) return;
  const { panels, levels } = JSON.parse(source.textContent);
  const control = (name) => document.getElementById(`curve-${name}`);
  panels.forEach((panel, number) => control("panel").add(new Option(panel.name, number)));
  document.querySelector(".of-panels").hidden = panels.length < 2;
  if (panels.length < 2) document.querySelector(".of-panels").style.display = "none";
  const across = (line, x) => x === "bytes_sent" ? line[x].map((bytes) => bytes / 1e6) : line[x];
  const decades = (from, to) => {
    const steps = to / from > 100 ? [1] : [1, 2, 5], tickvals = [];
    for (let power = Math.floor(Math.log10(from)); power <= Math.log10(to) + 1; power += 1) {
      tickvals.push(...steps.map((step) => Number(`${step}e${power}`)));
    }
    return { tickmode: "array", tickvals, ticktext: tickvals.map(String) };
  };
  const title = (name) => control(name).selectedOptions[0].textContent;
  const pale = (color, share) => color + Math.round(255 * share).toString(16).padStart(2, "0");
  const dashes = { human: "dot", untrained: "dashdot", go: "dash", platoon: "longdash", meter: "longdash" };

  const traces = (panel, x, y) => panel.lines.flatMap((line) => {
    const keep = (column) => x === "bytes_sent" ? column.map((value, i) => line[x][i] > 0 ? value : null) : column;
    const own = { x: across(line, x), legendgroup: line.label, name: line.label };
    const spread = control("spread").checked, hidden = { showlegend: false, hoverinfo: "skip" };
    const found = [];
    if (spread && line[`${y}_low`].some((value) => value !== null)) {
      const edge = { ...own, ...hidden, mode: "lines", line: { width: 0, color: line.color } };
      found.push({ ...edge, y: keep(line[`${y}_low`]) });
      found.push({ ...edge, y: keep(line[`${y}_high`]), fill: "tonexty", fillcolor: pale(line.color, 0.14) });
    }
    for (const seed of spread ? line.seeds : []) {
      found.push({ ...own, x: across(seed, x), y: seed[y], showlegend: false, mode: "markers",
        marker: { size: 4.5, color: pale(line.color, 0.5) },
        hovertemplate: `seed ${seed.seed}: %{y:.4g}<extra></extra>`, hoverinfo: "skip" });
    }
    const shown = line[`${y}_low`].map((low, i) => low === null ? "" : ` [${low.toPrecision(3)}, ${line[`${y}_high`][i].toPrecision(3)}]`);
    found.push({ ...own, y: keep(line[y]), text: shown, mode: line[x].length > 30 ? "lines" : "lines+markers",
      line: { color: line.color, dash: line.dash, width: 2 }, marker: { size: 6.5, symbol: line.marker, color: line.color }, hovertemplate: "%{y:.4g}%{text}" });
    return found;
  });

  const draw = () => {
    const x = control("x").value, y = control("y").value, narrow = window.innerWidth < 640;
    const panel = panels[Number(control("panel").value) || 0];
    const data = traces(panel, x, y);
    const values = data.flatMap((trace) => trace.y).filter((value) => value !== null);
    const ends = panel.lines.flatMap((line) => across(line, x)).filter((value) => value > 0 || x !== "bytes_sent");
    const from = Math.min(...ends), to = Math.max(...ends), low = Math.min(...values), high = Math.max(...values);
    const far = [], reach = Math.max(high - low, 0.02 * Math.abs(high));
    for (const level of control("levels").checked ? levels : []) {
      if (level[y] === null) continue;
      // A control far from the curves would flatten them: it is only named.
      if (level[y] < low - reach || level[y] > high + reach) { far.push(`${level.label} ${level[y].toPrecision(3)}`); continue; }
      data.push({ x: [from, to], y: [level[y], level[y]], name: `${level.label} (control)`, mode: "lines",
        line: { color: "#6b7480", width: 1.3, dash: dashes[level.label] ?? "solid" }, hovertemplate: "%{y:.4g}" });
    }
    const silent = x === "bytes_sent" ? panel.lines.filter((line) => !line[x].some((value) => value > 0)).map((line) => line.label) : [];
    control("note").textContent = [
      far.length ? `Too far away to be drawn: ${far.join(", ")}.` : "",
      silent.length ? `Not on this axis, since they send nothing: ${silent.join(", ")}.` : "",
    ].join(" ");
    const axis = { gridcolor: "#e8ecf0", linecolor: "#9aa5b1", zeroline: false, ticks: "outside", tickcolor: "#9aa5b1" };
    Plotly.react("plot", data, {
      font: { family: "system-ui, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif", size: 13, color: "#1c2430" },
      margin: { l: narrow ? 48 : 62, r: 12, t: 34, b: 52 }, hovermode: x === "bytes_sent" ? "closest" : "x unified", hoverlabel: { font: { size: 12 } },
      xaxis: { ...axis, title: { text: title("x") }, ...(x === "bytes_sent" ? { type: "log", ...decades(from, to) } : {}) },
      yaxis: { ...axis, title: { text: title("y"), standoff: 8 } },
      legend: narrow || panel.lines.length > 18
        ? { orientation: "h", y: -0.16, yanchor: "top", font: { size: 11.5 } } : { font: { size: 12.5 } },
      plot_bgcolor: "#fff", paper_bgcolor: "#fff",
    }, { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] });
  };
  for (const name of ["x", "y", "panel", "levels", "spread"]) control(name).addEventListener("change", draw);
  draw();
})();
