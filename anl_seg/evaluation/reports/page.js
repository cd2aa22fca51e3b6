// Sorts and filters the table of cases and opens a case; everything stands in the page already.
(() => {
  const section = document.getElementById("cases");
  const body = section.querySelector("tbody");
  const headings = [...section.querySelectorAll("thead th")];
  const rows = [...body.rows];
  const controls = section.querySelector("form");
  const dialog = document.querySelector("dialog");
  let openedRow = null;

  const text = (row, column) => row.cells[column].textContent.trim();

  function compare(column, direction) {
    const numeric = headings[column].className === "number";
    return (a, b) => {
      if (!numeric) return direction * text(a, column).localeCompare(text(b, column), undefined, { numeric: true });
      const [x, y] = [a, b].map((row) => parseFloat(text(row, column).replace("\u2212", "-")));
      if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y); // undefined values stay at the end
      return direction * (x - y);
    };
  }

  function sortBy(column) {
    const ascending = headings[column].getAttribute("aria-sort") !== "ascending";
    headings.forEach((heading) => heading.removeAttribute("aria-sort"));
    headings[column].setAttribute("aria-sort", ascending ? "ascending" : "descending");
    rows.sort(compare(column, ascending ? 1 : -1));
    body.append(...rows);
  }

  function filter() {
    const { words, target, limit } = Object.fromEntries(new FormData(controls));
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    let [shown, all] = [0, 0];
    for (const row of rows) {
      const ofTarget = target === undefined || row.dataset.target === target;
      const value = parseFloat(row.dataset.value);
      row.hidden = !ofTarget
        || !wanted.every((word) => row.textContent.toLowerCase().includes(word))
        || (limit !== "" && !(value <= parseFloat(limit)));
      all += ofTarget;
      shown += !row.hidden;
    }
    section.querySelector("output").value = `${shown} of ${all} cases`;
  }

  function open(row) {
    openedRow = row;
    const name = row.dataset.case;
    dialog.querySelector("h2").textContent = name;
    const stored = [...document.querySelectorAll("template[data-case]")].find((t) => t.dataset.case === name);
    dialog.querySelector(".opened").replaceChildren(stored.content.cloneNode(true));
    if (!dialog.open) dialog.showModal();
  }

  function step(by) {
    const visible = rows.filter((row) => !row.hidden);
    const next = visible[visible.indexOf(openedRow) + by];
    if (next) open(next);
  }

  headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => sortBy(column)));
  controls.addEventListener("input", filter);
  controls.addEventListener("change", filter);
  controls.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("click", (event) => {
    event.target.closest(".pictured .overlay")?.closest(".panels").classList.toggle("bare");
    const opener = event.target.closest("button.open");
    if (opener) open(rows.find((row) => row.dataset.case === opener.dataset.case));
  });
  dialog.querySelector(".previous").addEventListener("click", () => step(-1));
  dialog.querySelector(".next").addEventListener("click", () => step(1));
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  filter();
})();
