// Shows the suspects, filters them, and keeps what a person thinks of each.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  // Okabe and Ito's colours, which colour-blind readers can tell apart.
  const COLOURS = ["#56b4e9", "#e69f00", "#009e73", "#f0e442", "#d55e00", "#cc79a7", "#0072b2", "#ffffff"];
  const KEYS = { 1: "image", 2: "given", 3: "predicted", 4: "difference", 5: "outlines" };
  const MARKS = { f: "fine", w: "wrong", u: "unsure", x: "" };
  const STORE = `anl-seg suspects ${data.title} ${data.identity}`;
  const list = document.getElementById("list");
  const controls = document.querySelector(".controls");
  const dialog = document.querySelector("dialog");
  const several = data.classes.length > 1;
  const byName = new Map(data.cases.map((each) => [each.case, each]));
  const others = new Set(data.others);
  let marks = read();
  let opened = null;

  function read() {
    try { return JSON.parse(localStorage.getItem(STORE)) || {}; } catch { return {}; }
  }

  function keep() {
    try { localStorage.setItem(STORE, JSON.stringify(marks)); } catch { /* a page without storage still works */ }
  }

  function make(name, attributes, ...children) {
    const element = name === "svg" || name === "path" || name === "g" || name === "rect" || name === "image"
      ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  function outlines(paths, source) {
    const group = make("g", { class: `g-${source}` });
    paths.forEach((path, number) => {
      if (!path) return;
      const style = several ? `--class: ${COLOURS[number % COLOURS.length]}` : "";
      group.append(make("path", { class: "halo", d: path }), make("path", { class: source, d: path, style }));
    });
    return group;
  }

  function picture(each) {
    const svg = make("svg", {
      class: "overlay", viewBox: `0 0 ${each.width} ${each.height}`, role: "img",
      style: `--aspect: ${each.width} / ${each.height}`,
      "aria-label": `${each.case}: ${words(each)}`,
    });
    if (each.picture) svg.append(make("image", { href: each.picture, width: each.width, height: each.height, preserveAspectRatio: "none" }));
    svg.append(make("g", { class: "g-difference" }, ...["only-predicted", "only-given", "other-class"].map((name) => make("path", { class: name, d: each[name] }))));
    svg.append(outlines(each.given, "given"), outlines(each.predicted, "predicted"));
    if (each.box.length) {
      const [x, y, width, height] = each.box;
      svg.append(make("g", { class: "g-box" }, make("rect", { class: "box", x, y, width, height })));
    }
    return svg;
  }

  function words(each) {
    const area = each.area === null ? "nothing predicted" : `area ${each.area >= 0 ? "+" : "−"}${Math.abs(100 * each.area).toFixed(0)} %`;
    return [each.kind, `Dice ${each.dice.toFixed(2)}`, area, `shift ${each.shift.toFixed(1)} ${each.unit}`, each.plane].filter(Boolean).join(", ");
  }

  function figure(each, large) {
    const name = several && each.class >= 0 ? `${data.classes[each.class]}: ` : "";
    const buttons = Object.values(MARKS).filter(Boolean).map((mark) =>
      make("button", { type: "button", "data-set": mark, "aria-pressed": marks[each.case] === mark }, mark));
    const shown = large ? picture(each) : make("button", { type: "button", class: "picture", "aria-label": `open ${each.case}` }, picture(each));
    return make("figure", { "data-case": each.case, "data-mark": marks[each.case] || "" }, shown,
      make("figcaption", {}, make("b", {}, `${each.rank}. ${each.case}`), ` score ${each.score.toFixed(2)}`,
        make("span", { class: "figures" }, name + words(each)), make("div", { class: "marks" }, ...buttons)));
  }

  function refresh(name) {
    for (const one of document.querySelectorAll("figure")) {
      if (name !== undefined && one.dataset.case !== name) continue;
      const mark = marks[one.dataset.case] || "";
      one.dataset.mark = mark;
      one.querySelectorAll("[data-set]").forEach((button) => button.setAttribute("aria-pressed", button.dataset.set === mark));
    }
  }

  function setMark(name, mark) {
    if (mark && marks[name] !== mark) marks[name] = mark; else delete marks[name];
    keep();
    refresh(name);
    count();
  }

  const visible = () => [...list.children].filter((one) => !one.hidden).map((one) => one.dataset.case);

  function count() {
    const marked = data.cases.filter((each) => marks[each.case]).length;
    const hidden = data.others.filter((name) => marks[name]).length;
    const more = hidden ? `, and ${hidden} marked cases without picture` : "";
    document.getElementById("count").value = `${visible().length} of ${data.cases.length} cases, ${marked} marked${more}`;
  }

  function filter() {
    const wanted = Object.fromEntries(new FormData(controls));
    const parts = wanted.words.toLowerCase().split(/\s+/).filter(Boolean);
    for (const one of list.children) {
      const each = byName.get(one.dataset.case);
      const mark = marks[each.case] || "none";
      one.hidden = (wanted.kind && each.kind !== wanted.kind)
        || (wanted.class !== "" && String(each.class) !== wanted.class)
        || (wanted.mark && mark !== wanted.mark)
        || (wanted.least !== "" && each.score < parseFloat(wanted.least))
        || !parts.every((part) => each.case.toLowerCase().includes(part));
    }
    count();
  }

  function show(view) {
    document.body.dataset.view = view;
    document.querySelectorAll("[data-view]:not(body)").forEach((button) => button.setAttribute("aria-pressed", button.dataset.view === view));
  }

  function open(name) {
    opened = name;
    dialog.querySelector("h2").textContent = name;
    dialog.querySelector(".opened").replaceChildren(figure(byName.get(name), true));
    if (!dialog.open) dialog.showModal();
  }

  function step(by) {
    const names = visible();
    const next = names[names.indexOf(opened) + by];
    if (next) open(next);
  }

  function quoted(text) {
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function asCsv() {
    const rows = data.cases.filter((each) => marks[each.case]).map((each) =>
      [each.case, marks[each.case], each.kind, each.class >= 0 ? data.classes[each.class] : "", each.score].map((cell) => quoted(String(cell))).join(","));
    const more = data.others.filter((name) => marks[name]).map((name) => `${quoted(name)},${marks[name]},,,`);
    return ["case,decision,kind,class,score", ...rows, ...more].join("\n") + "\n";
  }

  function download() {
    const link = make("a", { href: URL.createObjectURL(new Blob([asCsv()], { type: "text/csv" })), download: "decisions.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  async function load(event) {
    const [file] = event.target.files;
    if (!file) return;
    const lines = (await file.text()).replace(/^\ufeff/, "").split(/\r?\n/).filter(Boolean);
    const [head, ...rows] = lines;
    const columns = cellsOf(head || "");
    const leftOut = rows.filter((row) => {
      const cells = cellsOf(row);
      const name = cells[columns.indexOf("case")];
      const mark = (cells[columns.indexOf("decision")] || "").trim().toLowerCase();
      const fits = (byName.has(name) || others.has(name)) && mark && Object.values(MARKS).includes(mark);
      if (fits) marks[name] = mark;
      return !fits;
    });
    document.getElementById("left-out").value = leftOut.length
      ? `${file.name}: ${leftOut.length} of ${rows.length} rows name no case of this data set or no decision, and were left out: ${leftOut.slice(0, 5).join("; ")}` : "";
    keep();
    refresh();
    filter();
  }

  function cellsOf(row) {
    const cells = row.match(/("([^"]|"")*"|[^,]*)(,|$)/g) || [];
    return cells.map((cell) => cell.replace(/,$/, "").replace(/^"|"$/g, "").replaceAll('""', '"'));
  }

  data.classes.forEach((name, number) => {
    controls.elements.class.append(make("option", { value: number }, name));
    if (!several) return;
    const colour = make("i", { style: `background: ${COLOURS[number % COLOURS.length]}` });
    document.getElementById("classes").append(colour, name);
  });
  list.append(...data.cases.map((each) => figure(each, false)));
  controls.addEventListener("input", filter);
  controls.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("download").addEventListener("click", download);
  document.getElementById("load").addEventListener("change", load);
  document.addEventListener("click", (event) => {
    const setter = event.target.closest("[data-set]");
    const view = event.target.closest("button[data-view]");
    const opener = event.target.closest("button.picture");
    if (setter) setMark(setter.closest("figure").dataset.case, setter.dataset.set);
    if (view) show(view.dataset.view);
    if (opener) open(opener.closest("figure").dataset.case);
  });
  dialog.querySelector(".previous").addEventListener("click", () => step(-1));
  dialog.querySelector(".next").addEventListener("click", () => step(1));
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", filter);
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (KEYS[event.key]) show(KEYS[event.key]);
    const focused = document.activeElement.closest("figure");
    const name = dialog.open ? opened : focused && focused.dataset.case;
    if (name && event.key in MARKS) {
      if (marks[name] !== MARKS[event.key]) setMark(name, MARKS[event.key]);
      if (dialog.open) step(1);
    }
    if (dialog.open && event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") { if (dialog.open) step(1); else if (visible().length) open(visible()[0]); }
  });
  show("outlines");
  filter();
})();
