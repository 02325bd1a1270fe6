(function () {
  "use strict";
  var data = JSON.parse(document.getElementById("path-data").textContent);
  var slider = document.getElementById("bound"), says = document.getElementById("bound-says");
  var value = document.getElementById("bound-value"), line = document.getElementById("bound-line");
  var ring = document.getElementById("ring"), axis = data.axis;
  function short(x, digits) { return x.toFixed(digits).replace(/^0\./, "."); }
  function choose(bound) {
    var best = null, least = data.path[0];
    data.path.forEach(function (c) {
      if (c.upper <= bound && (!best || c.error < best.error)) { best = c; }
      if (c.upper < least.upper) { least = c; }
    });
    return { point: best || least, kept: best !== null };
  }
  function place(node, attributes) {
    Object.keys(attributes).forEach(function (key) { node.setAttribute(key, attributes[key] + "%"); });
  }
  function bars(values) {
    document.querySelectorAll("tr[data-bar]").forEach(function (row, i) {
      var v = values[row.dataset.bar], mark = row.querySelector("rect.after");
      var text = row.querySelector(".after-text"), whisker = row.querySelector("line.after");
      if (!mark || !v || v[0] === null) { return; }
      place(mark, { x: 100 * v[0] / data.limit });
      place(whisker, { x1: 100 * v[1] / data.limit, x2: 100 * v[2] / data.limit });
      text.textContent = short(v[0], 3);
      var small = document.createElement("small");
      small.textContent = short(v[1], 2) + " to " + short(v[2], 2);
      text.appendChild(small);
    });
  }
  function update() {
    var bound = Number(slider.value), found = choose(bound), c = found.point;
    var at = axis[2] + (Math.min(Math.max(bound, axis[0]), axis[1]) - axis[0]) / (axis[1] - axis[0]) * (axis[3] - axis[2]);
    value.textContent = short(bound, 3);
    line.setAttribute("visibility", "visible");
    place(line, { x1: at, x2: at });
    ring.setAttribute("visibility", "visible");
    place(ring, { cx: c.cx, cy: c.cy });
    says.textContent = data.measured ? (found.kept ? "Of all that was measured within this bound, the lowest error: " : "Nothing measured is within this bound; the nearest: ") +
      c.name + ", error " + c.error.toFixed(2) + " %, " + data.symbol + " " + short(c.gap, 3) +
      ". Picking by test results promises nothing for new rows." : (found.kept ? "Within this bound the lowest error has " : "No setting keeps this bound; the nearest, not promised, has ") +
      c.name + ": error " + c.error.toFixed(2) + " %, " + data.symbol + " " + short(c.gap, 3) +
      ", at most " + short(c.upper, 3) + " with the confidence asked for (cross-fitted).";
    if (c.bars) { bars(c.bars); }
  }
  slider.closest(".slider").hidden = false;
  if (data.start !== null) { slider.value = data.start; }
  value.textContent = short(Number(slider.value), 3);
  slider.addEventListener("input", update);
})();
