"use strict";
// Adds up the rows that the page carries as its reader chooses, and shows the cards. Every text becomes a text node.
(() => {
  const report = JSON.parse(document.getElementById("report-data").textContent);
  const choice = { period: String(report.period), from: null, to: null, store: "", channel: "", currency: report.currency };
  const drawn = [];

  // ---------------------------------------------------------------- small helpers
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
      else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  };
  const day = (iso) => new Date(`${iso}T00:00:00Z`);
  const iso = (date) => date.toISOString().slice(0, 10);
  const moved = (text, days) => iso(new Date(day(text).getTime() + days * 86400000));
  const daysBetween = (from, to) => Math.round((day(to) - day(from)) / 86400000) + 1;
  const part = (options, text) => new Intl.DateTimeFormat("en-US", { timeZone: "UTC", ...options }).format(day(text));
  const month = (text) => part({ month: "short", year: "numeric" }, text);
  const shortDay = (text) => `${Number(text.slice(8, 10))} ${month(text)}`;
  const longDay = (text) => `${part({ weekday: "short" }, text)}, ${shortDay(text)}`;
  const titled = (column) => (column.charAt(0).toUpperCase() + column.slice(1)).replaceAll("_", " ").replace(/^Sku$/, "SKU");

  // ---------------------------------------------------------------- numbers as people read them
  const plain = (digits) => new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const money = (currency, whole) => {
    const options = { style: "currency", currency, currencyDisplay: "narrowSymbol" };
    return new Intl.NumberFormat("en", whole ? { ...options, maximumFractionDigits: 0, minimumFractionDigits: 0 } : options);
  };
  const FORMATS = {
    count: (value) => plain(0).format(value),
    percent: (value) => `${plain(1).format(value * 100)} %`,
    days: (value) => `${plain(1).format(value)} days`,
    credits: (value) => plain(3).format(value),
    seconds: (value) => `${plain(1).format(value)} s`,
  };
  const shown = (value, measure, currency, short = false) => {
    if (value === null || Number.isNaN(value)) return "–";
    if (measure.format === "money") {
      if (!currency) return plain(2).format(value);
      if (!short) return money(currency, false).format(value);
      const options = { style: "currency", currency, currencyDisplay: "narrowSymbol", notation: "compact" };
      return new Intl.NumberFormat("en", { ...options, maximumSignificantDigits: 3 }).format(value);
    }
    if (short && measure.format === "count" && Math.abs(value) >= 100000) {
      return new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(value);
    }
    return FORMATS[measure.format](value);
  };
  const label = (value, axis = null) => {
    if (value === null) return "–";
    if (typeof value === "boolean") return value ? "Yes" : "No";
    if (axis === "months") return month(value);
    if (axis === "days" || (typeof value === "string" && /^\d{4}-\d\d-\d\d$/.test(value))) return longDay(value);
    return /^[a-z]+([_ ][a-z]+)*$/.test(value) ? titled(value) : String(value);
  };

  // ---------------------------------------------------------------- adding up
  const period = () => {
    if (choice.period === "own") return [choice.from, choice.to];
    return [moved(report.through, 1 - Number(choice.period)), report.through];
  };
  // Which distinct values of each filtered column are let through.
  const conditions = (dataset, [from, to]) =>
    Object.entries(dataset.filters)
      .filter(([, column]) => column !== null)
      .map(([name, column]) => {
        const { distinct, codes } = dataset.columns[column];
        const lets = (value) => {
          if (name === "period") return value !== null && value.slice(0, 10) >= from && value.slice(0, 10) <= to;
          return !choice[name] || value === choice[name];
        };
        return { codes, passes: distinct.map(lets) };
      });
  const value = (sums, measure) => {
    const top = sums[measure.numerator];
    if (top.count === 0) return null;
    const over = measure.denominator === null ? null : sums[measure.denominator];
    if (over === null) return top.sum / 10 ** top.scale;
    return over.sum > 0 ? top.sum / 10 ** top.scale / (over.sum / 10 ** over.scale) : null;
  };
  // Groups in the order of their dimensions: [{keys: [value per dimension], values: [number or null per measure]}].
  const grouped = (dataset, dimensions, measures, range) => {
    const tests = conditions(dataset, range);
    const keys = dimensions.map((name) => dataset.columns[name]);
    const needed = [...new Set(measures.flatMap((measure) => [measure.numerator, measure.denominator]))].filter(Boolean);
    const groups = new Map();
    for (let row = 0; row < dataset.count; row += 1) {
      if (!tests.every((test) => test.passes[test.codes[row]])) continue;
      const codes = keys.map((key) => key.codes[row]);
      const id = codes.join(" ");
      let group = groups.get(id);
      if (group === undefined) {
        const nothing = (name) => [name, { sum: 0, count: 0, scale: dataset.columns[name].scale }];
        group = { codes, sums: Object.fromEntries(needed.map(nothing)) };
        groups.set(id, group);
      }
      for (const name of needed) {
        const number = dataset.columns[name].values[row];
        if (number !== null) {
          group.sums[name].sum += number;
          group.sums[name].count += 1;
        }
      }
    }
    return [...groups.values()]
      .sort((one, other) => one.codes.reduce((order, code, at) => order || code - other.codes[at], 0))
      .map(({ codes, sums }) => ({
        keys: codes.map((code, at) => keys[at].distinct[code]),
        values: measures.map((measure) => value(sums, measure)),
      }));
  };
  const compared = (one, other) => {
    if (one === other) return 0;
    if (one === null || other === null) return one === null ? -1 : 1;
    return one < other ? -1 : 1;
  };
  const ordered = (card, groups) => {
    const result = [...groups];
    if (card.newest_first) result.sort((one, other) => compared(other.keys[0], one.keys[0]));
    else if (card.chart === "ranking" || card.chart === "table") {
      result.sort((one, other) => (other.values[0] ?? -Infinity) - (one.values[0] ?? -Infinity));
    }
    return card.limit === null ? result : result.slice(0, card.limit);
  };
  const currencyOf = (card, keys) => {
    const at = card.dimensions.indexOf("currency");
    return at >= 0 ? keys[at] : choice.currency;
  };

  // ---------------------------------------------------------------- cards
  const empty = () => make("div", { class: "empty" }, "No data for this choice");
  const numberBody = (card, dataset) => {
    const [from, to] = period();
    const now = grouped(dataset, [], card.measures, [from, to])[0];
    if (!now || now.values[0] === null) return [empty()];
    const measure = card.measures[0];
    const exact = shown(now.values[0], measure, choice.currency);
    const whole = measure.format === "money" && Math.abs(now.values[0]) >= 10000;
    const text = whole ? money(choice.currency, true).format(now.values[0]) : exact;
    const figure = make("div", { class: "value", title: exact, "data-value": now.values[0] }, text);
    return [figure, change(card, dataset, now.values[0], from, to)];
  };
  const change = (card, dataset, now, from, to) => {
    if (!dataset.filters.period) return null;
    const length = daysBetween(from, to);
    const before = moved(from, -length);
    const measure = card.measures[0];
    const points = measure.format === "percent";
    const earlier = before < dataset.first ? [] : grouped(dataset, [], card.measures, [before, moved(from, -1)]);
    const old = earlier[0]?.values[0] ?? null;
    if (old === null || (old === 0 && !points)) {
      return make("div", { class: "change" }, `${shortDay(from)} to ${shortDay(to)}`);
    }
    const difference = points ? (now - old) * 100 : ((now - old) / Math.abs(old)) * 100;
    const sign = difference > 0.05 ? "▲ " : difference < -0.05 ? "▼ " : "";
    const text = `${sign}${plain(1).format(Math.abs(difference))} ${points ? "points" : "%"}`;
    const than = `the ${length === 1 ? "day" : `${length} days`} before`;
    return make("div", { class: "change", title: `${than}: ${shown(old, measure, choice.currency)}` }, `${text} on ${than}`);
  };
  const tableBody = (card, groups) => {
    const rows = groups.map(({ keys, values }) => [
      ...keys.map((key, at) => ({ sort: key, text: label(key) })),
      ...values.map((number, at) => ({ sort: number, text: shown(number, card.measures[at], currencyOf(card, keys)) })),
    ]);
    const heads = [
      ...card.dimensions.map((name) => ({ text: titled(name) })),
      ...card.measures.map((measure) => ({ text: measure.label, about: measure.description, figure: true })),
    ];
    const body = make("tbody");
    const cellOf = (cell, at) => make("td", { class: heads[at].figure ? "figure" : null }, cell.text);
    const fill = () => body.replaceChildren(...rows.map((cells) => make("tr", {}, ...cells.map(cellOf))));
    const header = make("tr");
    const sort = (at, th) => {
      const down = th.getAttribute("aria-sort") !== "descending";
      for (const other of header.children) other.removeAttribute("aria-sort");
      th.setAttribute("aria-sort", down ? "descending" : "ascending");
      rows.sort((one, other) => (down ? -1 : 1) * compared(one[at].sort, other[at].sort));
      fill();
    };
    heads.forEach((head, at) => {
      const th = make("th", { scope: "col", class: head.figure ? "figure" : null, title: head.about ?? null });
      th.append(make("button", { type: "button", on: { click: () => sort(at, th) } }, head.text));
      header.append(th);
    });
    fill();
    const caption = make("caption", { hidden: true }, card.title);
    return make("div", { class: "scroll", tabindex: "0" }, make("table", {}, caption, make("thead", {}, header), body));
  };
  // The rows a specification draws: one per group, or per group and measure.
  const points = (card, groups) => {
    const many = card.measures.length > 1;
    const told = (number, measure, keys) => ({
      value: number,
      text: shown(number, measure, currencyOf(card, keys)),
      short: shown(number, measure, currencyOf(card, keys), true),
    });
    if (card.chart === "heatmap") {
      // The first column is whole by definition, or small: the others decide how dark a cell is.
      const of = (groups) => Math.max(0, ...groups.map(({ values: [number] }) => number ?? 0));
      const highest = of(groups.filter(({ keys }) => keys[1] > 0)) || of(groups) || 1;
      return groups
        .filter(({ values: [number] }) => number !== null)
        .map(({ keys, values: [number] }) => ({
          ...told(number, card.measures[0], keys),
          y: label(keys[0], card.axis),
          x: keys[1],
          share: Math.max(0, Math.min(1, number / highest)),
        }));
    }
    const seriesOf = (keys, measure) => (many ? measure.label : label(keys[1] ?? null));
    const series = many ? card.measures.map((measure) => measure.label) : [...new Set(groups.map(({ keys }) => seriesOf(keys)))].sort();
    const point = (x, name, rest) => ({ x, label: label(x, card.axis), series: name, position: series.indexOf(name), ...rest });
    const rows = groups.flatMap(({ keys, values }) =>
      card.measures.map((measure, at) => {
        const x = card.axis === "values" ? label(keys[0]) : keys[0];
        return point(x, seriesOf(keys, measure), told(values[at], measure, keys));
      }),
    );
    const sums = card.measures.every((measure) => measure.denominator === null);
    if (card.axis === "days" && ["area", "bar", "stacked_bar"].includes(card.chart) && sums && !many) {
      // A day without a row has nothing on it: left out, the others would stand closer or be stacked askew.
      const there = new Set(rows.map((row) => `${row.x} ${row.series}`));
      const days = rows.map((row) => row.x).sort();
      for (let x = days[0]; x <= days.at(-1); x = moved(x, 1)) {
        for (const name of series) {
          if (!there.has(`${x} ${name}`)) rows.push(point(x, name, told(0, card.measures[0], [x])));
        }
      }
      rows.sort((one, other) => compared(one.x, other.x) || one.position - other.position);
    }
    return rows.filter((row) => row.value !== null);
  };
  const draw = (card, host, groups) => {
    const spec = structuredClone(card.spec);
    spec.data = { values: points(card, groups) };
    const tooltip = { theme: "none", disableDefaultStyle: true };
    // `ast`: expressions are interpreted, because the page's policy forbids to make functions out of texts.
    const embedding = vegaEmbed(host, spec, { actions: false, renderer: "svg", ast: true, tooltip });
    drawn.push(embedding.then((result) => result.view));
    return embedding;
  };
  const notes = (card, dataset) => {
    const parts = [];
    const matters = (name) => name === "period" || (name !== "currency" && choice[name]);
    const ignored = Object.keys(dataset.filters).filter((name) => dataset.filters[name] === null && matters(name));
    if (ignored.length) parts.push(`Independent of the ${ignored.join(", ").replace(/, ([^,]*)$/, " and $1")}.`);
    if (ignored.includes("period")) parts.push(`Drawn ${report.drawn_at} UTC.`);
    const from = dataset.first ? `From ${shortDay(dataset.first)}` : "Not all rows";
    if (dataset.cut) parts.push(`${from}: there is more than this page holds.`);
    return parts.length ? make("div", { class: "note" }, parts.join(" ")) : null;
  };
  const cardElement = (dashboard, card) => {
    const dataset = dashboard.datasets[card.dataset];
    const { row, column, width, height } = card.place;
    const about = card.measures.map((measure) => `${measure.label}: ${measure.description}`).join("\n");
    const figure = make("section", {
      class: `card ${card.chart}`,
      style: `grid-column: ${column + 1} / span ${width}; grid-row: ${row + 1} / span ${height}`,
      id: `card-${dashboard.name}-${card.name}`, "aria-label": card.title,
    });
    const question = make("p", { class: "question" }, card.question);
    const heading = make("div", { title: about }, make("h3", {}, card.title), question);
    const body = make("div", { class: "body" });
    if (card.chart === "number") {
      body.append(...numberBody(card, dataset).filter(Boolean));
      figure.append(make("header", {}, heading), body);
    } else {
      const groups = ordered(card, grouped(dataset, card.dimensions, card.measures, period()));
      const bare = groups.every(({ values }) => values.every((number) => number === null));
      if (bare) {
        body.append(empty());
        figure.append(make("header", {}, heading), body);
      } else if (card.chart === "table") {
        body.append(tableBody(card, groups));
        figure.append(make("header", {}, heading), body);
      } else {
        const words = `${card.title}. ${card.question} As a table by the button above.`;
        const host = make("div", { class: "drawn", role: "img", "aria-label": words });
        const table = tableBody(card, groups);
        const button = make("button", { class: "as-table", type: "button", "aria-pressed": "false", on: { click: () => {
          const asTable = button.getAttribute("aria-pressed") === "false";
          button.setAttribute("aria-pressed", String(asTable));
          button.textContent = asTable ? "Chart" : "Table";
          body.replaceChildren(asTable ? table : host);
        } } }, "Table");
        body.append(host);
        figure.append(make("header", {}, heading, button), body);
        figure.pending = () => draw(card, host, groups);
      }
    }
    const note = notes(card, dataset);
    if (note) figure.append(note);
    return figure;
  };

  // ---------------------------------------------------------------- filters
  const distinct = (dashboard, name) => {
    const values = new Set();
    for (const dataset of Object.values(dashboard.datasets)) {
      const column = dataset.filters[name];
      if (column) for (const text of dataset.columns[column].distinct) if (text !== null) values.add(text);
    }
    return [...values].sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
  };
  const select = (name, text, options, chosen) => {
    const change = (event) => {
      choice[name] = event.target.value;
      show();
    };
    const entries = options.map(([key, words]) => make("option", { value: key, selected: key === chosen }, words));
    return make("label", {}, text, make("select", { name, on: { change } }, ...entries));
  };
  const dateField = (end, words) => {
    const change = (event) => {
      if (!event.target.value) return;
      choice[end] = event.target.value;
      if (choice.from > choice.to) choice[end === "from" ? "to" : "from"] = choice[end];
      show();
    };
    const limits = { min: report.first, max: report.through };
    return make("label", {}, words, make("input", { type: "date", name: end, value: choice[end], ...limits, on: { change } }));
  };
  const filterBar = (dashboard) => {
    const submit = (event) => event.preventDefault();
    const bar = make("form", { class: "filters", "aria-label": "Filters", on: { submit } });
    for (const { name, label: text, is_period, is_required } of dashboard.filters) {
      if (is_period) {
        const presets = report.periods.map((days) => [String(days), `${days} days`]);
        bar.append(select("period", text, [...presets, ["own", "From … to …"]], choice.period));
        if (choice.period === "own") bar.append(dateField("from", "From"), dateField("to", "To"));
        continue;
      }
      const values = distinct(dashboard, name);
      if (is_required && !choice[name] && values.length) choice[name] = values[0];
      const options = values.map((each) => [each, name === "currency" ? each : label(each)]);
      if (!is_required) options.unshift(["", `All ${text.toLowerCase()}s`]);
      // What was chosen on another dashboard stays chosen, also where it leads to nothing.
      if (choice[name] && !values.includes(choice[name])) options.push([choice[name], label(choice[name])]);
      bar.append(select(name, text, options, choice[name]));
    }
    return bar;
  };

  // ---------------------------------------------------------------- the page
  const main = document.getElementById("main");
  const tabs = document.getElementById("tabs");
  let open = report.dashboards.find(({ name }) => `#${name}` === location.hash) ?? report.dashboards[0];
  let latest = Promise.resolve();
  const show = () => {
    if (choice.period === "own" && !choice.from) {
      choice.from = moved(report.through, 1 - report.period);
      choice.to = report.through;
    }
    for (const view of drawn.splice(0)) view.then((each) => each.finalize());
    const focused = document.activeElement?.name;
    for (const tab of tabs.children) {
      const selected = tab.id === `tab-${open.name}`;
      tab.setAttribute("aria-selected", String(selected));
      tab.tabIndex = selected ? 0 : -1;
    }
    const bar = filterBar(open);
    const cards = open.cards.map((card) => cardElement(open, card));
    const grid = make("div", { class: "grid" }, ...cards);
    const words = make("div", {}, make("h2", {}, open.title), make("p", {}, open.question));
    const intro = make("div", { class: "intro" }, words, bar);
    main.replaceChildren(make("section", { role: "tabpanel", "aria-labelledby": `tab-${open.name}` }, intro, grid));
    if (focused) bar.elements[focused]?.focus();
    document.documentElement.removeAttribute("data-ready");
    const mine = (latest = Promise.all(cards.filter((card) => card.pending).map((card) => card.pending())));
    mine.then(() => { if (mine === latest) document.documentElement.setAttribute("data-ready", open.name); });
  };
  const go = (dashboard) => {
    open = dashboard;
    history.replaceState(null, "", `#${dashboard.name}`);
    show();
  };
  report.dashboards.forEach((dashboard, at) => {
    const onKey = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = report.dashboards[(at + step + report.dashboards.length) % report.dashboards.length];
      go(next);
      document.getElementById(`tab-${next.name}`).focus();
    };
    const on = { click: () => go(dashboard), keydown: onKey };
    tabs.append(make("button", { role: "tab", type: "button", id: `tab-${dashboard.name}`, on }, dashboard.title));
  });
  window.addEventListener("hashchange", () => {
    const named = report.dashboards.find(({ name }) => `#${name}` === location.hash);
    if (named && named !== open) go(named);
  });

  const age = () => {
    const hours = (Date.now() - new Date(`${report.loaded_at}Z`)) / 3600000;
    if (hours < 1) return "within the last hour";
    return hours < 48 ? `${Math.floor(hours)} hours ago` : `${Math.floor(hours / 24)} days ago`;
  };
  document.getElementById("freshness").append(`Data up to ${longDay(report.through)}, loaded ${age()}`);
  document.getElementById("about").append(
    `Loaded ${report.loaded_at} UTC, drawn ${report.drawn_at} UTC. `,
    `The page holds ${plain(0).format(report.rows)} rows of at most ${report.days} days, and no personal data. `,
    "Definitions: hold the pointer over a title.",
  );

  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const theme = () => document.documentElement.setAttribute("data-theme", chosen ?? (dark.matches ? "dark" : "light"));
  dark.addEventListener("change", theme);
  document.getElementById("theme").addEventListener("click", () => {
    chosen = document.documentElement.getAttribute("data-theme") === "dark" ? "light" : "dark";
    theme();
  });
  theme();
  show();
})();
