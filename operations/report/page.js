// Sorts a table by the column whose button is pressed. The page is whole without it.
"use strict";
const collator = new Intl.Collator("en", { numeric: true });
const said = document.getElementById("sorted");

for (const table of document.querySelectorAll("table")) {
  const heads = [...table.querySelectorAll("thead th")];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", direction);
      sort(table.tBodies[0], column, direction === "ascending" ? 1 : -1);
      said.textContent = `Sorted by ${head.textContent.trim()}, ${direction}`;
    });
  });
}

function sort(body, column, sign) {
  const key = ({ cells }) => {
    const { number, sort = cells[column].textContent.trim() } = cells[column].dataset;
    return number === undefined ? sort : Number(number);
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : collator.compare(a, b));
  const rows = [...body.rows].map((row) => ({ row, key: key(row) }));
  // What has no value stands last, whichever way.
  rows.sort((a, b) => (a.key === "" ? 1 : 0) - (b.key === "" ? 1 : 0) || sign * compare(a.key, b.key));
  body.append(...rows.map(({ row }) => row));
}
