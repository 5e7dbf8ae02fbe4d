"use strict";
// What pointer and keys do on the page of a look. Texts are set as text, never as markup.
(() => {
  const { strong, grid, cellOf, frame, sizes, values } = sightline;
  const find = (selector) => document.querySelector(selector);
  const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const dark = matchMedia("(prefers-color-scheme: dark)");

  /* An element of a drawing. */
  function shape(name, attributes, text) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    if (text !== undefined) element.textContent = text;
    return element;
  }

  /* Colours of 256 weights in the scheme that is on: the square root, so that weak ones show. */
  function palette() {
    const style = getComputedStyle(document.documentElement);
    const stops = ["--raised", "--sees-1", "--sees-2", "--sees-3", "--sees-4", "--sees-5"].map((name) => {
      const hex = style.getPropertyValue(name).trim();
      return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    });
    return Array.from({ length: 256 }, (_, weight) => {
      const at = Math.sqrt(weight / 255) * (stops.length - 1), low = Math.min(Math.floor(at), stops.length - 2);
      return stops[low].map((value, part) => Math.round(value + (stops[low + 1][part] - value) * (at - low)));
    });
  }

  /* Buttons of which one is pressed. */
  function choices(box, choose) {
    if (!box) return;
    const buttons = [...box.querySelectorAll("button")];
    buttons.forEach((button, number) => button.addEventListener("click", () => {
      buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      choose(number);
    }));
  }

  function heads() {
    const { layers, heads, tokens, start, weights: coded } = values("look-heads");
    const weights = bytes(coded), count = tokens.length, side = count + 1;
    const weight = (layer, head, query, key) => weights[((layer * heads + head) * count + query) * count + key];
    const box = find(".heads-box"), all = box.querySelector("canvas"), mark = find(".heads-mark");
    const map = find(".head-map"), large = find(".head-box"), said = find("#heads-said"), told = find("#head-said");
    const hint = told.textContent;
    let [layer, head] = start, colours = palette();
    let held = null;  // [side, token]: side 0 asks, side 1 answers

    function paint(canvas, layerFrom, layerTo, headFrom, headTo, step) {
      canvas.width = (headTo - headFrom) * step;
      canvas.height = (layerTo - layerFrom) * step;
      const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
      for (let l = layerFrom; l < layerTo; l++) for (let h = headFrom; h < headTo; h++)
        for (let query = 0; query < count; query++) for (let key = 0; key < count; key++) {
          const at = (((l - layerFrom) * step + query) * canvas.width + (h - headFrom) * step + key) * 4;
          image.data.set(colours[weight(l, h, query, key)], at);
          image.data[at + 3] = 255;
        }
      context.putImageData(image, 0, 0);
    }

    /* What a head mostly does, over all tokens that could: the share of their attention. */
    function habit() {
      const shares = [["each token itself", 0, 0], ["the token before", 1, 1], ["the token after", -1, 1]].map(([name, back, least]) => {
        let sum = 0, asked = 0;
        for (let query = 0; query < count; query++) {
          const key = query - back;
          if (key >= 0 && key < count && count > least) { sum += weight(layer, head, query, key); asked++; }
        }
        return [name, asked ? sum / asked / 255 : 0];
      });
      let first = 0;
      for (let query = 1; query < count; query++) first += weight(layer, head, query, 0);
      if (count > 1) shares.push([`the first token, ${tokens[0]}`, first / (count - 1) / 255]);
      shares.sort((a, b) => b[1] - a[1]);
      return shares[0][1] >= 0.25 ? `${(100 * shares[0][1]).toFixed(0)}% of its attention goes to ${shares[0][0]}.` : "It spreads its attention.";
    }

    function lines(side, token) {
      const found = [];
      for (let other = 0; other < count; other++) {
        const value = side === 0 ? weight(layer, head, token, other) : weight(layer, head, other, token);
        found.push([other, value / 255]);
      }
      return found.sort((a, b) => b[1] - a[1]);
    }

    function arrows() {
      const width = Math.max(280, large.clientWidth), row = count > 48 ? 15 : 20, gutter = Math.min(130, width * 0.33);
      const height = count * row + 26, svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
      const y = (token) => 26 + token * row + row / 2, most = Math.floor((gutter - 26) / 7.2);
      const short = (text) => text.length > most ? `${text.slice(0, most - 1)}…` : text;
      svg.append(shape("text", { x: gutter - 8, y: 12, "text-anchor": "end", class: "tick" }, "asks"));
      svg.append(shape("text", { x: width - gutter + 8, y: 12, class: "tick" }, "answers"));
      const drawn = [];
      for (let query = 0; query < count; query++) for (let key = 0; key < count; key++) {
        const share = weight(layer, head, query, key) / 255;
        const chosen = held && (held[0] === 0 ? held[1] === query : held[1] === key);
        if (share > (chosen ? 0.005 : held ? 2 : 0.04)) drawn.push([share, query, key, chosen]);
      }
      drawn.sort((a, b) => a[0] - b[0]);
      const toward = held && held[0] === 1 ? " toward" : "";
      for (const [share, query, key, chosen] of drawn) {
        const from = gutter, to = width - gutter - (chosen ? 6 : 0);
        svg.append(shape("path", {
          d: `M${from} ${y(query)}C${from + (to - from) * 0.4} ${y(query)} ${from + (to - from) * 0.6} ${y(key)} ${to} ${y(key)}`,
          class: `arrow${toward}`, "stroke-width": (0.6 + 3.4 * share).toFixed(2), "stroke-opacity": Math.max(chosen ? 0.25 : 0.08, share).toFixed(3),
        }));
        if (chosen) svg.append(shape("path", { d: `M${to} ${y(key) - 4}l7 4l-7 4z`, class: `arrow-end${toward ? " toward-end" : ""}`, "fill-opacity": Math.max(0.25, share).toFixed(3) }));
      }
      const by = held ? new Map(lines(...held)) : null;
      tokens.forEach((token, place) => [0, 1].forEach((end) => {
        const mine = held && held[0] === end && held[1] === place;
        const shown = by && held[0] !== end ? by.get(place) : null;
        const share = shown !== null && shown >= 0.01 ? ` ${(100 * shown).toFixed(0)}%` : "";
        const text = end ? `${short(token)}${share}` : `${share} ${short(token)}`.trim();
        svg.append(shape("text", {
          x: end ? width - gutter + 8 : gutter - 8, y: y(place) + 4, "text-anchor": end ? "start" : "end",
          class: mine ? "chosen" : held && (held[0] === end || shown < 0.01) ? "dim" : "",
        }, text));
      }));
      large.replaceChildren(svg);
    }

    function tell() {
      if (!held) { told.textContent = hint; return; }
      const [side, token] = held, parts = [strong(`${token} ${tokens[token]}`), side ? " is looked at by " : " looks at "];
      lines(side, token).filter(([, share]) => share >= 0.01).slice(0, 4).forEach(([other, share], number) => {
        parts.push(number ? ", " : "", strong(`${other} ${tokens[other]}`), ` (${(100 * share).toFixed(0)}%)`);
      });
      if (parts.length === 2) parts.push("nobody");
      told.replaceChildren(...parts, ".");
    }

    function hold(found) {
      held = found;
      arrows();
      tell();
    }

    function choose(l, h) {
      [layer, head] = [l, h];
      const { width, height } = all.getBoundingClientRect();
      Object.assign(mark.style, { left: `${h / heads * width - 1}px`, top: `${l / layers * height - 1}px`, width: `${width / heads}px`, height: `${height / layers}px` });
      said.replaceChildren(strong(`Layer ${l + 1}, head ${h + 1}. `), habit());
      paint(map, l, l + 1, h, h + 1, count);
      hold(held);
    }

    function at(event) {
      const corner = all.getBoundingClientRect();
      return [Math.floor((event.clientY - corner.top) / corner.height * layers), Math.floor((event.clientX - corner.left) / corner.width * heads)];
    }
    const keys = grid(box, layers, heads, (event) => event.type === "pointerdown" ? at(event) : null, choose);
    box.addEventListener("pointermove", (event) => {
      const [l, h] = at(event);
      if (l >= 0 && l < layers && h >= 0 && h < heads) box.title = `layer ${l + 1}, head ${h + 1}`;
    });

    function pointed(event) {
      const corner = large.getBoundingClientRect(), row = count > 48 ? 15 : 20;
      const scale = Math.max(280, large.clientWidth) / corner.width;
      const token = Math.floor(((event.clientY - corner.top) * scale - 26) / row);
      return token >= 0 && token < count ? [event.clientX - corner.left > corner.width / 2 ? 1 : 0, token] : null;
    }
    large.addEventListener("pointermove", (event) => {
      const found = pointed(event);
      if (String(found) !== String(held)) hold(found);
    });
    large.addEventListener("pointerdown", (event) => hold(pointed(event)));
    large.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse" && document.activeElement !== large) hold(null); });
    large.addEventListener("keydown", (event) => {
      const moves = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
      const move = moves[event.key];
      if (event.key === "Escape") return hold(null);
      if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      const limit = (value, low, high) => Math.min(high, Math.max(low, value));
      hold(held ? [limit(held[0] + move[0], 0, 1), limit(held[1] + move[1], 0, count - 1)] : [0, 0]);
    });

    function draw() {
      colours = palette();
      paint(all, 0, layers, 0, heads, side);
      choose(layer, head);
    }
    keys.start(...start);
    draw();
    dark.addEventListener("change", draw);
    let wide = large.clientWidth;
    new ResizeObserver(() => {
      if (large.clientWidth !== wide) { wide = large.clientWidth; choose(layer, head); }
    }).observe(large);
  }

  function lens() {
    const told = values("look-lens"), boxes = [...document.querySelectorAll(".lens-reading")];
    choices(find("#lens-choices"), (number) => boxes.forEach((box, other) => { box.hidden = other !== number; }));
    boxes.forEach((reading, number) => {
      const { places, cells, truth, ofTruth } = told.readings[number];
      const box = reading.querySelector(".lens-box"), readout = reading.querySelector(".readout"), layers = cells.length;
      const rows = [...box.querySelectorAll("tbody tr")].map((row) => [...row.querySelectorAll("td")]);
      let here = null;

      function bar(word, share, chosen) {
        const item = document.createElement("li"), name = document.createElement("span"), number_ = document.createElement("span");
        const svg = shape("svg", { "aria-hidden": "true" });
        svg.append(shape("rect", { width: `${share / 100}%`, height: "100%" }));
        name.textContent = told.words[word];
        if (chosen) name.className = "chosen";
        number_.textContent = share >= 10 ? `${(share / 100).toFixed(1)}%` : "<0.1%";
        item.append(svg, name, number_);
        return item;
      }

      function show(row, column) {
        const layer = layers - 1 - row, list = document.createElement("ol"), real = truth[column];
        if (here) here.classList.remove("here");
        here = rows[row][column];
        here.classList.add("here");
        if (document.activeElement === box) here.scrollIntoView({ block: "nearest", inline: "nearest" });
        list.className = "likely";
        for (const [word, share] of cells[layer][column]) list.append(bar(word, share, word === real));
        if (real >= 0 && !cells[layer][column].some(([word]) => word === real)) list.append(bar(real, ofTruth[layer][column], true));
        readout.replaceChildren(strong(layer ? `Layer ${layer}` : "Embedded, before the first layer"), " at ", strong(places[column]), ":", list);
      }

      function at(event) {
        const cell = event.target.closest("td");
        if (!cell) return null;
        const row = rows.findIndex((each) => each.includes(cell));
        return row < 0 ? null : [row, rows[row].indexOf(cell)];
      }
      const cells_ = grid(box, rows.length, places.length, at, show), unknown = truth.indexOf(-1);
      cells_.start(0, unknown < 0 ? 0 : unknown);
      show(0, unknown < 0 ? 0 : unknown);
    });
  }

  function replaced() {
    const { tokens, places, by, layers, bounds, changes } = values("look-replaced");
    const coded = bytes(changes), box = find("#replaced-box"), svg = box.querySelector("svg"), size = sizes(box);
    const cells = [...svg.querySelectorAll(".cell")], readout = find("#replaced-said"), which = find("#replaced-by");
    let number = 0, place = null;
    const change = (layer, token) => {
      const code = coded[(number * layers + layer) * tokens.length + token];
      return code ? 10 ** ((code - 1) / 254 * 8 - 6) : 0;
    };
    const level = (value) => value > 0 ? 1 + bounds.filter((bound) => value >= bound).length : 0;

    function show(row, token) {
      place = [row, token];
      frame(box, svg, size, row, token);
      const layer = layers - 1 - row, value = change(layer, token);
      const moved = value === 0 ? "has not moved at all" : value < 0.001 ? "has moved by less than 0.1% of its length" : `has moved by ${(100 * value).toPrecision(2)}% of its length`;
      readout.replaceChildren(strong(layer ? `Layer ${layer}` : "Embedded"), ", ", strong(`${token} ${tokens[token]}`), ` ${moved}.`);
    }

    function choose(chosen) {
      number = chosen;
      cells.forEach((cell, at) => {
        const row = Math.floor(at / tokens.length);
        cell.setAttribute("class", `cell shade-${level(change(layers - 1 - row, at % tokens.length))}`);
      });
      which.replaceChildren(strong(`${places[number]} ${tokens[places[number]]}`), " becomes ", strong(by[number]), ".");
      if (place) show(...place);
    }
    choices(find("#replaced-choices"), choose);
    grid(box, layers, tokens.length, cellOf(svg, size), show);
    choose(0);
  }

  if (document.getElementById("look-heads")) heads();
  if (document.getElementById("look-lens")) lens();
  if (document.getElementById("look-replaced")) replaced();
})();
