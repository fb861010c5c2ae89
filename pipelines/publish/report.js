"use strict";
// The page's own script: draws the charts, moves through past states, sorts, filters and searches. All text is set as
// text, never as markup.
(() => {
  const all = (query, at = document) => [...at.querySelectorAll(query)];
  const one = (query, at = document) => at.querySelector(query);
  const DAY = 86400000;
  const iso = (day) => new Date(day * DAY).toISOString().slice(0, 10);
  const minute = (m) => (m === null ? "" : new Date(m * 60000).toISOString().slice(0, 16).replace("T", " ") + " UTC");
  const column = (c) => (Array.isArray(c) ? c : c.v.flatMap((v, i) => Array(c.n[i]).fill(v)));
  const dayColumn = (c) => { let at = 0; return column(c.d).map((step) => (at += step)); };
  const number = (v, decimals) => v.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });

  // A value as a desk writes it; `desk.shown` does the same for the rest of the page.
  function shown(v, unit) {
    if (v === null || v === undefined) return "–";
    if (unit === "ratio") return number(100 * v, 1) + " %";
    if (unit === "ln") return (v > 0 ? "+" : "") + number(100 * Math.expm1(v), 1) + " %";
    if (unit === "t") return number(v / 1000, 1) + " kt";
    return number(v, Math.abs(v) >= 1000 ? 0 : 1) + " " + (unit || "");
  }

  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  function element(tag, text, attributes = {}) {
    const made = document.createElement(tag);
    if (text !== undefined && text !== null) made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  // --- charts ---------------------------------------------------------------------------------------------------------

  const dark = matchMedia("(prefers-color-scheme: dark)");
  let years = 5;

  function rowsOf(chart) {
    if (!chart.rows) {
      const names = Object.keys(chart.columns);
      const columns = names.map((name) => (name === "t" ? dayColumn : column)(chart.columns[name]));
      chart.rows = columns[0].map((_, i) => Object.fromEntries(names.map((name, j) => [name, columns[j][i]])));
      if (chart.columns.t) for (const row of chart.rows) row.t *= DAY;
    }
    return chart.rows;
  }

  // Runs of equal regimes, each up to the first day of the next one.
  function bands(rows) {
    const found = [];
    for (const row of rows) {
      const last = found[found.length - 1];
      if (last) last.to = row.t;
      if (!last || last.regime !== row.regime) found.push({ regime: row.regime, from: row.t, to: row.t });
    }
    return found;
  }

  async function draw(figure, chart) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const spec = JSON.parse(JSON.stringify(chart.spec), (_, value) =>
      typeof value === "string" && value.startsWith("--") ? colour(value) : value);
    let rows = rowsOf(chart);
    if (chart.columns.t && years) {
      const end = rows[rows.length - 1].t;
      rows = rows.filter((row) => row.t > end - years * 365.25 * DAY);
    }
    spec.datasets = { rows, bands: bands(rows) };
    const start = { bandOpacity: dark.matches ? 0.28 : 1, reading: rows[rows.length - 1].t };
    for (const parameter of spec.params || []) parameter.value = start[parameter.name];
    const label = { labelColor: colour("--dim"), titleColor: colour("--dim"), labelFont: "system-ui", titleFont: "system-ui" };
    const config = {
      background: "transparent", view: { stroke: null }, axis: { ...label, gridColor: colour("--line"), domainColor: colour("--line"), tickColor: colour("--line") },
      legend: label, title: { font: "system-ui" },
    };
    if (figure.shown) figure.shown.finalize();
    const options = { mode: "vega-lite", ast: true, actions: false, renderer: "canvas", config };
    figure.shown = await vegaEmbed(one(".plot", figure), spec, options);
    if (!performance.getEntriesByName("first chart").length) performance.mark("first chart");
    if (chart.columns.t) readable(figure, chart, rows);
  }

  // One reading line a chart: the row under the pointer, or the one that the arrow keys have reached.
  function readable(figure, chart, rows) {
    const view = figure.shown.view, output = one("output", figure);
    let at = rows.length - 1;
    const move = (to, live) => {
      at = Math.max(0, Math.min(rows.length - 1, to));
      const row = rows[at];
      const parts = chart.fields.map(([name, label, decimals]) =>
        row[name] === null ? null : label + " " + (decimals < 0 ? row[name] : number(row[name], decimals)));
      output.setAttribute("aria-live", live ? "polite" : "off");
      output.textContent = [iso(row.t / DAY), ...parts.filter(Boolean), "known " + minute(row.known)].join(" · ");
    };
    const point = (to, live) => { move(to, live); view.signal("reading", rows[at].t).runAsync(); };
    move(at, false);
    figure.onkeydown = (event) => {
      const step = event.shiftKey ? 20 : 1;
      const to = { ArrowLeft: at - step, ArrowRight: at + step, Home: 0, End: rows.length - 1 }[event.key];
      if (to === undefined || event.target !== figure) return;
      event.preventDefault();
      point(to, true);
    };
    view.addEventListener("pointermove", (event) => {
      const x = event.clientX - one("canvas", figure).getBoundingClientRect().left - view.origin()[0];
      const t = +view.scale("x").invert(x);
      let low = 0, high = rows.length - 1;
      while (low < high) { const half = (low + high) >> 1; if (rows[half].t < t) low = half + 1; else high = half; }
      point(low > 0 && t - rows[low - 1].t < rows[low].t - t ? low - 1 : low, false);
    });
  }

  function charts(list) {
    const byId = Object.fromEntries(list.map((chart) => [chart.id, chart]));
    const figures = all("figure[data-chart]");
    const seen = new Set();
    const show = (figure) => draw(figure, byId[figure.dataset.chart]);
    const watch = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (isIntersecting && !seen.has(target)) { seen.add(target); show(target); }
      }
    }, { rootMargin: "300px" });
    figures.forEach((figure) => watch.observe(figure));
    const again = () => seen.forEach(show);
    dark.addEventListener("change", again);
    addEventListener("beforeprint", () => figures.forEach((figure) => { seen.add(figure); show(figure); }));
    all("[data-years]").forEach((button) => button.addEventListener("click", () => {
      years = +button.dataset.years;
      all("[data-years]").forEach((other) => other.setAttribute("aria-pressed", other === button));
      again();
    }));
  }

  // --- tables and dictionary --------------------------------------------------------------------------------------------

  function sortable(table) {
    const body = one("tbody", table);
    all("thead th", table).forEach((head, at) => {
      const button = element("button", head.textContent, { type: "button" });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const key = (row) => { const cell = row.cells[at]; return cell.dataset.sort ?? cell.textContent.trim(); };
        const empty = (text) => text === "";
        const rows = all("tr", body).sort((a, b) => {
          const [x, y] = [key(a), key(b)];
          if (empty(x) || empty(y)) return empty(x) - empty(y); // missing ones last
          const order = isNaN(x) || isNaN(y) ? x.localeCompare(y, "en", { numeric: true }) : x - y;
          return up ? order : -order;
        });
        body.append(...rows);
      });
    });
  }

  function filters(form) {
    const table = document.getElementById(form.dataset.filters);
    const apply = () => {
      const words = one("input", form).value.toLowerCase().split(/\s+/).filter(Boolean);
      const wanted = all("select", form).map((select) => [select.name, select.value]).filter(([, value]) => value);
      let n = 0;
      for (const row of all("tbody tr", table)) {
        const text = row.textContent.toLowerCase();
        row.hidden = !(words.every((word) => text.includes(word)) && wanted.every(([name, value]) => row.dataset[name] === value));
        n += !row.hidden;
      }
      one("output", form).textContent = n + " of " + all("tbody tr", table).length;
    };
    form.addEventListener("input", apply);
    apply();
  }

  function dictionary(entries) {
    const input = one("#dictionary input"), list = one("#dictionary ul"), output = one("#dictionary output");
    const texts = entries.map((entry) => entry.join(" ").toLowerCase());
    const apply = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      const hits = words.length ? entries.filter((_, i) => words.every((word) => texts[i].includes(word))) : [];
      list.replaceChildren(...hits.slice(0, 50).map(([name, place, text, more]) => {
        const item = element("li");
        item.append(element("b", name), " ", element("span", place, { class: "dim" }), element("small", text));
        if (more) item.append(element("small", more));
        return item;
      }));
      output.textContent = words.length ? hits.length + " found" + (hits.length > 50 ? ", 50 shown" : "") : entries.length + " entries";
    };
    input.addEventListener("input", apply);
    apply();
  }

  // --- past states ------------------------------------------------------------------------------------------------------

  function past(states, list) {
    const box = one("#asof"), slider = one("input[type=range]", box), date = one("input[type=date]", box);
    const days = dayColumn(states.days);
    const unpacked = (items) => items.map((item) => ({ ...item, days: dayColumn(item.days), v: column(item.v), s: column(item.s) }));
    const signals = unpacked(states.signals), claims = unpacked(states.claims);
    const last = (at, day) => { let low = 0, high = at.length; while (low < high) { const half = (low + high) >> 1; if (at[half] <= day) low = half + 1; else high = half; } return low - 1; };
    const row = (cells) => {
      const made = element("tr");
      cells.forEach(([label, text, kind]) => made.append(element("td", text, { "data-label": label, class: kind || "" })));
      return made;
    };
    const since = (item, at) => { while (at > 0 && item.s[at - 1] === item.s[at]) at -= 1; return iso(item.days[at]); };
    const show = (at) => {
      const day = days[at];
      slider.value = at;
      date.value = iso(day);
      slider.setAttribute("aria-valuetext", iso(day));
      one("output", box).textContent = iso(day) + ", 18:00 London";
      one("[data-past=index]", box).replaceChildren(...list.filter((chart) => chart.id.startsWith("index-")).flatMap((chart) => {
        const rows = rowsOf(chart), found = rows[last(rows.map((r) => r.t / DAY), day)];
        const metal = chart.id.slice(6);
        return [["v1", "tightness_index", "regime"], ["v2", "tightness_index_v2", "regime_v2"]]
          .filter(([, name]) => found && name in found)
          .map(([version, name, regime]) => row([["metal", metal + " " + version], ["index", found[name] === null ? "–" : number(found[name], 1), "n"], ["regime", found[regime]], ["known", minute(found.known)]]));
      }));
      one("[data-past=signals]", box).replaceChildren(...signals.map((item) => [item, last(item.days, day)]).filter(([, i]) => i >= 0)
        .map(([item, i]) => row([["signal", item.name], ["value", shown(item.v[i], item.unit), "n"], ["state", item.s[i]], ["since", item.s[i] === null ? "" : since(item, i)]])));
      const judged = claims.map((item) => [item, last(item.days, day)]).filter(([, i]) => i >= 0);
      one("[data-past=claims]", box).replaceChildren(...judged.map(([item, i]) =>
        row([["claim", item.claim_id + ": " + item.claim_text], ["verdict", item.s[i]], ["evidence", shown(item.v[i], item.unit), "n"], ["since", since(item, i)]])));
      one("[data-past=none]", box).hidden = judged.length > 0;
    };
    slider.max = days.length - 1;
    slider.addEventListener("input", () => show(+slider.value));
    date.min = iso(days[0]);
    date.max = iso(days[days.length - 1]);
    date.addEventListener("change", () => {
      const day = Math.floor(Date.parse(date.value) / DAY);
      if (!isNaN(day)) show(Math.max(0, last(days, day)));
    });
    show(days.length - 1);
  }

  // --- start ------------------------------------------------------------------------------------------------------------

  document.documentElement.classList.add("script");
  all("table[data-sortable]").forEach(sortable);
  all("[data-filters]").forEach(filters);
  unpack(one("#data").textContent).then((data) => {
    charts(data.charts);
    dictionary(data.dictionary);
    if (data.states.days.d.length !== 0) past(data.states, data.charts);
  });
})();
