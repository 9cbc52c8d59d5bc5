// Mathematics by KaTeX, and tables that sort by a click on a column's head. Runs on every page.
document$.subscribe(() => {
  renderMathInElement(document.body, {
    delimiters: [
      { left: "\\(", right: "\\)", display: false },
      { left: "\\[", right: "\\]", display: true },
    ],
  });

  // "1 200", "−0.3", "4.5 % (4–5)" count by their first number; dashes and empty cells come last.
  const key = (cell) => {
    const text = cell.textContent.trim();
    const found = text.replaceAll("−", "-").replaceAll(/(\d)[ ,\u202f](?=\d{3}\b)/g, "$1").match(/^-?[\d.]+(e[-+]?\d+)?/i);
    return { text, number: found ? parseFloat(found[0]) : NaN, empty: /^[–—-]?$/.test(text) };
  };
  const compare = (a, b) =>
    Number.isNaN(a.number) || Number.isNaN(b.number) ? a.text.localeCompare(b.text) : a.number - b.number;

  for (const table of document.querySelectorAll(".sortable table")) {
    const heads = [...table.querySelectorAll("thead th")];
    heads.forEach((head, column) => {
      head.tabIndex = 0;
      head.setAttribute("aria-sort", "none");
      const sort = () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...table.tBodies[0].rows].map((row) => ({ row, key: key(row.cells[column]) }));
        rows.sort((a, b) => a.key.empty - b.key.empty || (up ? 1 : -1) * compare(a.key, b.key));
        table.tBodies[0].append(...rows.map((entry) => entry.row));
      };
      head.addEventListener("click", sort);
      head.addEventListener("keydown", (event) => event.key === "Enter" && sort());
    });
  }
});
