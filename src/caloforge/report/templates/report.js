"use strict";
(() => {
  const value = (cell) => (cell.dataset.value === "" ? NaN : Number(cell.dataset.value));

  function sort(header) {
    const table = header.closest("table");
    const body = table.tBodies[0];
    const column = header.cellIndex;
    const up = header.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
    const order = [...body.rows].sort((a, b) => {
      const [x, y] = [value(a.cells[column]), value(b.cells[column])];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return up ? x - y : y - x;
    });
    body.append(...order);
  }

  function enlarge(image) {
    const dialog = document.querySelector("dialog");
    const copy = new Image();
    copy.src = image.src;
    copy.alt = image.alt;
    copy.className = "fits";
    copy.onclick = () => dialog.close();
    dialog.replaceChildren(copy);
    dialog.showModal();
  }

  function reveal() {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (target) for (let up = target; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
  }

  for (const button of document.querySelectorAll(".board thead button")) {
    button.onclick = () => sort(button.closest("th"));
  }
  for (const image of document.querySelectorAll("figure img")) image.onclick = () => enlarge(image);
  document.querySelector("dialog").onclick = (event) => event.currentTarget.close();
  addEventListener("hashchange", reveal);
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => (d.open = true)));
  reveal();
})();
