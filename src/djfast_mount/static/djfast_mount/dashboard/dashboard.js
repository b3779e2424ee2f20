"use strict";
{
  const mount = document.getElementById("mount");
  const live = document.getElementById("mount-live");
  const charts = new Map();

  const text = (name, content, label) => {
    const element = document.createElement(name);
    element.textContent = content;
    if (label !== undefined) {
      element.dataset.label = label;
    }
    return element;
  };

  // Tables: each row is made anew, and the text that was selected in one stays as long as nothing there has changed.

  const shown = new Map();

  const fill = (table) => {
    const state = JSON.stringify([table.rows, table.note]);
    if (shown.get(table.key) === state) {
      return;
    }
    shown.set(table.key, state);
    const module = document.getElementById(`mount-${table.key}`);
    const headings = [...table.texts, ...table.numbers];
    const rows = table.rows.map((cells) => {
      const row = document.createElement("tr");
      cells.forEach((content, column) => {
        const cell = text("td", content, headings[column]);
        cell.classList.toggle("mount-number", column >= table.texts.length);
        row.append(cell);
      });
      return row;
    });
    module.querySelector("tbody").replaceChildren(...rows);
    module.querySelector("small").textContent = table.note;
    module.querySelector(".mount-empty").hidden = rows.length > 0;
  };

  const summarize = (summary) => {
    const items = summary.map(([name, value]) => {
      const item = document.createElement("div");
      item.append(text("dt", name), text("dd", value));
      return item;
    });
    mount.querySelector(".mount-summary").replaceChildren(...items);
  };

  // Charts

  const colour = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

  const seconds = (value) => (value >= 1 ? `${+value.toFixed(2)} s` : `${+(value * 1000).toPrecision(3)} ms`);

  const SERIES = {
    rate: (it) => [[it.rate, "--mount-line"]],
    times: (it) => [[it.p50, "--mount-line"], [it.p99, "--mount-slow"]],
    errors: (it) => [[it.errors, "--error-fg"]],
    course: (it) => [[it.rate, "--mount-line"], [it.errors.map((rate) => rate || null), "--error-fg"]],
  };

  const axes = (kind) => {
    if (kind === "course") {
      return [{ show: false }, { show: false }];
    }
    const look = { stroke: colour("--body-quiet-color"), grid: { stroke: colour("--hairline-color") }, ticks: { show: false } };
    const values = kind === "times" ? { values: (_, ticks) => ticks.map(seconds) } : {};
    const times = { values: (_, ticks) => ticks.map((at) => new Date(at * 1000).toTimeString().slice(0, 5)), space: 60 };
    return [{ ...look, ...times, size: 24 }, { ...look, ...values, size: 56 }];
  };

  const make = (kind, place, series, data) => {
    const small = kind === "course";
    const options = {
      width: small ? 120 : place.clientWidth,
      height: small ? 22 : 140,
      cursor: { show: false },
      legend: { show: false },
      padding: small ? [2, 0, 2, 0] : [8, 8, 0, 0],
      axes: axes(kind),
      scales: { y: { range: (_, low, high) => [0, Math.max(high * 1.1, kind === "times" ? 0.001 : 1)] } },
      series: [{}, ...series.map(([, name]) => ({
        stroke: colour(name),
        width: 1.5,
        points: { show: kind === "times" || (small && name === "--error-fg"), size: small ? 3 : 4, fill: colour(name) },
      }))],
    };
    return new uPlot(options, data, place);
  };

  const draw = (key, kind, place, chart, times) => {
    const series = SERIES[kind](chart);
    const data = [times, ...series.map(([values]) => values)];
    const known = charts.get(key);
    if (known && known.place === place) {
      known.plot.setData(data);
    } else {
      known?.plot.destroy();
      charts.set(key, { kind, place, plot: make(kind, place, series, data) });
    }
  };

  const courses = new Map();

  /** The cell with the course of a route, which goes along to its new row. */
  const courseOf = (key) => {
    if (!courses.has(key)) {
      const cell = document.createElement("td");
      cell.className = "mount-course";
      cell.dataset.label = "Last five minutes";
      courses.set(key, cell);
    }
    return courses.get(key);
  };

  const drawAll = (figures) => {
    const { end, step, whole, routes } = figures.charts;
    const times = whole.rate.map((_, slot) => end - (whole.rate.length - slot) * step);
    const section = mount.querySelector(".mount-charts");
    section.hidden = false;
    for (const place of section.querySelectorAll("[data-chart]")) {
      draw(place.dataset.chart, place.dataset.chart, place, whole, times);
    }
    const table = document.querySelector("#mount-requests table");
    const heading = table.querySelector("thead tr");
    if (!heading.querySelector(".mount-course")) {
      const cell = text("th", "Last five minutes");
      cell.className = "mount-course";
      heading.append(cell);
    }
    const keys = figures.routes.map(({ owner, method, route }) => `${owner} ${method} ${route}`);
    [...table.tBodies[0].rows].forEach((row, place) => {
      const cell = courseOf(keys[place]);
      row.append(cell);
      if (place < routes.length) {
        draw(keys[place], "course", cell, routes[place], times);
      }
    });
    for (const [key, cell] of courses) {
      if (!cell.isConnected) {
        charts.get(key)?.plot.destroy();
        charts.delete(key);
        courses.delete(key);
      }
    }
  };

  let last = null;

  const drawAnew = () => {
    for (const { plot } of charts.values()) {
      plot.destroy();
    }
    charts.clear();
    if (last) {
      drawAll(last);
    }
  };

  const show = (figures) => {
    last = figures;
    summarize(figures.summary);
    figures.tables.forEach(fill);
    drawAll(figures);
  };

  // Themes and widths: a canvas knows neither.

  new MutationObserver(drawAnew).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAnew);
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth !== width) {
      width = window.innerWidth;
      drawAnew();
    }
  });

  // Events

  // Seconds until the next attempt, where the server refuses: it may be busy, or starting, or the session is over.
  const FIRST_WAIT = 5;
  const LONGEST_WAIT = 60;

  let source = null;
  let timer = null;
  let wait = FIRST_WAIT;

  const disconnect = () => {
    clearTimeout(timer);
    source?.close();
  };

  const connect = () => {
    disconnect();
    source = new EventSource(mount.dataset.events);
    source.onmessage = (event) => {
      wait = FIRST_WAIT;
      live.textContent = "Live.";
      show(JSON.parse(event.data));
    };
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) {
        live.textContent = `Not live: the server refuses, or you are logged out. Next attempt in ${wait} s.`;
        timer = setTimeout(connect, wait * 1000);
        wait = Math.min(wait * 2, LONGEST_WAIT);
      } else {
        live.textContent = "Connecting…";
      }
    };
  };

  // A tab that nobody sees asks for nothing.
  document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
  if (!document.hidden) {
    connect();
  }
}
