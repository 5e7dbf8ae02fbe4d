"use strict";
// A pointer or the arrow keys read out the cells of every matrix of the page. Texts are set as text, never as markup.
const sightline = (() => {
  /* A bold text. */
  function strong(text) {
    const element = document.createElement("b");
    element.textContent = text;
    return element;
  }

  /* Keys and pointer over a grid of cells in a box that can have the focus.
     at(event) → [row, column] or null; show(row, column) is called with the one that is meant. */
  function grid(box, rows, columns, at, show) {
    let place = null;
    const within = (value, count) => Math.min(count - 1, Math.max(0, value));
    function go(row, column) {
      place = [within(row, rows), within(column, columns)];
      show(...place);
    }
    for (const kind of ["pointermove", "pointerdown"]) {
      box.addEventListener(kind, (event) => {
        const found = at(event);
        if (found && found[0] >= 0 && found[0] < rows && found[1] >= 0 && found[1] < columns) go(...found);
      });
    }
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -columns], End: [0, columns] };
    box.addEventListener("keydown", (event) => {
      const move = moves[event.key];
      if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      if (place) go(place[0] + move[0], place[1] + move[1]);
      else go(0, 0);
    });
    return { go, start: (row, column) => { place = [row, column]; } };
  }

  /* Where in a drawing of cells the pointer is, whatever its scale. */
  function cellOf(svg, { left, top, cell, width }) {
    return (event) => {
      const corner = svg.getBoundingClientRect(), scale = width / corner.width;
      return [((event.clientY - corner.top) * scale - top) / cell, ((event.clientX - corner.left) * scale - left) / cell].map(Math.floor);
    };
  }

  /* Show the frame around a cell, and bring it into view where the drawing scrolls. */
  function frame(box, svg, { left, top, cell, width }, row, column) {
    const cursor = svg.querySelector(".cursor"), x = left + column * cell;
    cursor.removeAttribute("hidden");
    cursor.setAttribute("x", x - 0.5);
    cursor.setAttribute("y", top + row * cell - 0.5);
    const scale = svg.getBoundingClientRect().width / width;
    if (document.activeElement !== box) return;
    if (x * scale < box.scrollLeft + 40) box.scrollLeft = Math.max(0, x * scale - 90);
    else if ((x + cell) * scale > box.scrollLeft + box.clientWidth) box.scrollLeft = (x + cell) * scale - box.clientWidth + 40;
  }

  const sizes = (box) => Object.fromEntries(["left", "top", "cell", "width"].map((name) => [name, Number(box.dataset[name])]));
  const values = (name) => JSON.parse(document.getElementById(name).textContent);

  const words = { s: "depends on", b: "does not depend on", l: "depends on", m: "does not depend on", u: "may or may not depend on" };
  const may = { s: "may depend on", b: "may not depend on" };
  const verdicts = { l: "It should not: a leak.", m: "It should: missing.", u: "Measuring could not tell." };

  function matrix(figure) {
    const told = values(`${figure.id}-values`), readout = figure.querySelector(".readout");
    const box = figure.querySelector(".matrix-box"), svg = box.querySelector("svg"), size = sizes(box);
    function show(row, column) {
      frame(box, svg, size, row, column);
      const kind = told.kinds[row][column];
      const parts = ["Output ", strong(`${row} ${told.outputs[row]}`), ` ${(told.measured ? words : may)[kind]} input `, strong(`${column} ${told.inputs[column]}`)];
      if (told.strength && kind !== "b" && kind !== "m") parts.push(`, strength ${told.strength[row][column].toPrecision(3)}`);
      parts.push(". ", verdicts[kind] ?? (told.expected && told.measured ? "As expected." : ""));
      readout.replaceChildren(...parts);
    }
    grid(box, told.outputs.length, told.inputs.length, cellOf(svg, size), show);
  }
  document.querySelectorAll(".matrix-figure").forEach(matrix);
  return { strong, grid, cellOf, frame, sizes, values };
})();
