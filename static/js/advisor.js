// The threshold advisor: what a threshold would have done to the held-out pictures, live. Data comes with the page.
// Without this file the table of thresholds inside the component says the same.
(() => {
  const Z = 1.959964;
  const wilson = (hits, count) => {
    if (!count) return [0, 1];
    const share = hits / count;
    const middle = (share + (Z * Z) / (2 * count)) / (1 + (Z * Z) / count);
    const reach = (Z * Math.sqrt((share * (1 - share)) / count + (Z * Z) / (4 * count * count))) / (1 + (Z * Z) / count);
    return [Math.max(0, middle - reach), Math.min(1, middle + reach)];
  };
  // A share that is not whole never reads as 0% or 100%.
  const percent = (share) => {
    const shown = share > 1e-9 && share < 1 - 1e-9 ? Math.min(99.9, Math.max(0.1, share * 100)) : share * 100;
    return `${shown.toFixed(1)}%`;
  };
  // A canvas knows no custom properties and no light-dark(): ask an element what a colour comes out as.
  const colour = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };

  class Advisor {
    constructor(root) {
      this.root = root;
      Object.assign(this, JSON.parse(root.querySelector("script[type='application/json']").textContent));
      this.slider = this.one("[data-advisor-slider]");
      this.field = document.getElementById(root.dataset.field || "") || this.one("[data-advisor-number]");
      this.switch = document.getElementById(root.dataset.switch || "") || this.one("[data-advisor-switch]");
      this.one("[data-advisor-live]").hidden = false;
      this.one("[data-advisor-table]").open = false;
      this.slider.addEventListener("input", () => this.set(Number(this.slider.value)));
      this.field.addEventListener("input", () => this.typed());
      this.switch?.addEventListener("change", () => { this.forget(); this.show(); });
      root.addEventListener("click", (event) => {
        const button = event.target.closest("[data-advisor-reach]");
        if (!button) return;
        this.reach(button.value ? Number(button.value) : Number(this.one("[data-advisor-target]").value) / 100);
      });
      // Enter in one of the advisor's own fields must not send the form that it stands in.
      root.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" || !event.target.matches("input")) return;
        event.preventDefault();
        if (event.target.matches("[data-advisor-target]")) this.reach(Number(event.target.value) / 100);
      });
      root.querySelectorAll("[data-advisor-cost], [data-advisor-judgments]").forEach((input) => {
        input.addEventListener("input", () => this.show());
      });
      this.threshold = Number(this.field.value) || Number(this.slider.value);
      this.draw();
      this.typed();
      const themes = new MutationObserver(() => (root.isConnected ? this.draw() : themes.disconnect()));
      themes.observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
    }

    one(selector) { return this.root.querySelector(selector); }

    get on() { return Boolean(this.switch?.checked); }

    count(threshold) {
      let kept = 0;
      let right = 0;
      for (const [confidence, hit, unlike] of this.points) {
        if (confidence >= threshold && !(this.on && unlike)) { kept += 1; right += hit; }
      }
      return [kept, right];
    }

    // Between two steps only the lower of their bounds may be claimed.
    bound(threshold) {
      const steps = this.bounds[this.on ? "on" : "off"];
      const above = steps.findIndex(([step]) => step >= threshold - 1e-9);
      if (above < 0) return 0;
      const exact = Math.abs(steps[above][0] - threshold) < 1e-9;
      return exact ? steps[above][1] : Math.min(steps[above][1], above ? steps[above - 1][1] : 0);
    }

    // What was said about a promise holds for the threshold and the switch of that moment only.
    forget() { this.one("[data-advisor-answer]").textContent = ""; }

    typed() {
      const value = Number(this.field.value);
      this.forget();
      if (value > 0.5 && value <= 1) { this.threshold = value; this.slider.value = value; this.show(); }
    }

    set(threshold) {
      this.threshold = threshold;
      this.field.value = String(Number(threshold.toFixed(3)));
      // The field's own listener shows the rest; what else listens to it (the preview of a form) follows too.
      this.field.dispatchEvent(new Event("input", { bubbles: true }));
    }

    reach(target) {
      const answer = this.one("[data-advisor-answer]");
      if (!(target > 0 && target <= 1)) { answer.textContent = "Enter a percentage above 0 and up to 100."; return; }
      const found = this.bounds[this.on ? "on" : "off"].find(([, bound]) => bound >= target);
      if (!found) {
        const total = this.points.length;
        const fewest = target < 1 ? Math.ceil(Math.log(this.error) / Math.log(target)) : Infinity;
        answer.textContent = `No threshold can promise ${percent(target)} with ${total.toLocaleString("en")} held-out `
          + `picture${total === 1 ? "" : "s"}. `
          + (total < fewest && target < 1 ? `It takes ${fewest.toLocaleString("en")} at least. ` : "")
          + "Choose a lower target, or train with more pictures.";
        return;
      }
      this.set(found[0]);
      const [kept] = this.count(found[0]);
      answer.textContent = `${found[0]} is the smallest threshold that keeps ${percent(target)} with 95% certainty. `
        + `It leaves ${percent(kept / this.points.length)} of the rows to the model.`;
    }

    show() {
      const total = this.points.length;
      const [kept, right] = this.count(this.threshold);
      // Near-duplicates are right or wrong together: only their groups count as witnesses.
      const [low, high] = wilson(right * this.witnesses, kept * this.witnesses);
      const people = 1000 * (1 - kept / total);
      const bound = this.bound(this.threshold);
      const cost = Number(this.one("[data-advisor-cost]").value);
      const judgments = Number(this.one("[data-advisor-judgments]").value) || 1;
      const write = (name, text) => { this.one(`[data-advisor-out=${name}]`).textContent = text; };
      write("threshold", this.threshold.toFixed(3));
      write("share", percent(kept / total));
      write("share-note", `${kept.toLocaleString("en")} of ${total.toLocaleString("en")} held-out pictures`);
      write("accuracy", kept ? percent(right / kept) : "–");
      write("accuracy-note", kept ? `95% interval ${percent(low)} to ${percent(high)}` : "no row is left to the model");
      write("bound", bound > 0 ? `at least ${percent(bound)}` : "nothing at this threshold");
      write("people", Math.round(people).toLocaleString("en"));
      write("money", cost > 0 ? `${(people * judgments * cost).toLocaleString("en", { maximumFractionDigits: 2 })} per 1,000 rows` : "–");
      write("money-note", cost > 0 ? "" : "enter a cost below");
      this.slider.setAttribute("aria-valuetext", `${this.threshold.toFixed(3)}: ${percent(kept / total)} automated`);
      if (this.chart) { this.fill(); this.chart.update("none"); }
    }

    fill() {
      const steps = this.bounds[this.on ? "on" : "off"];
      const counted = steps.map(([step]) => this.count(step));
      const [share, accuracy, bound] = this.chart.data.datasets;
      share.data = steps.map(([step], i) => ({ x: step, y: (100 * counted[i][0]) / this.points.length }));
      accuracy.data = steps.map(([step], i) => ({ x: step, y: counted[i][0] ? (100 * counted[i][1]) / counted[i][0] : null }));
      bound.data = steps.map(([step, value]) => ({ x: step, y: value > 0 ? 100 * value : null }));
    }

    draw() {
      this.chart?.destroy();
      if (!window.Chart) return;
      const text = colour("--soft");
      const grid = colour("--line");
      window.Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
      const line = (label, color, dash, fill) => ({
        label, data: [], borderColor: color, backgroundColor: fill || "transparent", borderDash: dash,
        borderWidth: 2, pointRadius: 0, fill: fill ? "-1" : false, stepped: false,
      });
      const green = colour("--tblr-green");
      const heading = colour("--heading");
      const marker = {
        id: "marker",
        afterDraw: (chart) => {
          const x = chart.scales.x.getPixelForValue(this.threshold);
          const { ctx, chartArea } = chart;
          ctx.save();
          ctx.strokeStyle = heading;
          ctx.setLineDash([3, 3]);
          ctx.beginPath();
          ctx.moveTo(x, chartArea.top);
          ctx.lineTo(x, chartArea.bottom);
          ctx.stroke();
          ctx.restore();
        },
      };
      this.chart = new window.Chart(this.one("canvas"), {
        type: "line",
        data: {
          datasets: [
            line("Left to the model", colour("--bar"), []),
            line("Accuracy of those", green, []),
            line("Promised accuracy", green, [5, 4], `color-mix(in srgb, ${green} 14%, transparent)`),
          ],
        },
        plugins: [marker],
        options: {
          animation: false,
          maintainAspectRatio: false,
          parsing: false,
          interaction: { mode: "index", intersect: false },
          onClick: (event, _, chart) => {
            const x = chart.scales.x.getValueForPixel(event.x);
            if (x > 0.5 && x <= 1) this.set(Math.round(x * 200) / 200);
          },
          scales: {
            x: { type: "linear", min: 0.5, max: 1, title: { display: true, text: "Threshold", color: text }, ticks: { color: text }, grid: { color: grid } },
            y: { min: 0, max: 100, ticks: { color: text, callback: (value) => `${value}%` }, grid: { color: grid } },
          },
          plugins: {
            legend: { position: "bottom", labels: {
              color: text, usePointStyle: true, pointStyle: "line", pointStyleWidth: 28,
              generateLabels: (chart) => window.Chart.defaults.plugins.legend.labels.generateLabels(chart)
                .map((label) => ({ ...label, lineDash: chart.data.datasets[label.datasetIndex].borderDash })),
            } },
            tooltip: { callbacks: {
              title: (items) => `Threshold ${items[0].parsed.x.toFixed(3)}`,
              label: (item) => `${item.dataset.label}: ${item.parsed.y.toFixed(1)}%`,
            } },
          },
        },
      });
      this.fill();
      this.chart.update("none");
    }
  }

  const start = (within) => within.querySelectorAll("[data-advisor]").forEach((root) => {
    if (!root.dataset.started) { root.dataset.started = "yes"; new Advisor(root); }
  });
  document.addEventListener("DOMContentLoaded", () => start(document));
  document.addEventListener("htmx:load", (event) => { if (event.target.querySelectorAll) start(event.target.parentElement || document); });
})();
