// A curve over time, drawn by uPlot on a canvas. A canvas tells a screen reader nothing: beside it there is always a table of the same numbers.
import { language } from "./say.js";

/**
 * @typedef {object} Picture
 * @property {string} x What stands from left to right.
 * @property {string[]} labels One for each place from left to right.
 * @property {{label: string, values: (number | null)[], dash?: number[], colour: string}[]} series What is not known is a gap.
 * @property {"steps" | "bars"} kind Bars stand on zero.
 * @property {boolean} [log] A logarithmic axis.
 * @property {(n: number) => string} show
 */

const HEIGHT = 190;
const paint = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

class Chart extends HTMLElement {
  /** @type {Picture | undefined} */ #of;
  #drawn = "";
  /** @type {uPlot | undefined} */ #plot;
  #width = new ResizeObserver(() => this.#plot?.setSize({ width: this.clientWidth, height: HEIGHT }));
  #theme = new MutationObserver(() => this.#draw());

  /** @param {Picture} of */
  set of(of) {
    this.#of = of;
    this.#draw();
  }
  connectedCallback() {
    this.setAttribute("aria-hidden", "true");
    this.#width.observe(this);
    this.#theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    this.#draw();
  }
  disconnectedCallback() {
    this.#width.disconnect();
    this.#theme.disconnect();
    this.#plot?.destroy();
    this.#plot = undefined;
    this.#drawn = "";
  }
  #draw() {
    if (!this.#of || !this.isConnected) return;
    const key = JSON.stringify([this.#of, document.documentElement.dataset.theme, language()]);
    if (key === this.#drawn) return;
    this.#drawn = key;
    this.#plot?.destroy();
    const { labels, x, series, kind, log, show } = this.#of, ink = paint("ink2"), hairline = paint("hairline"), font = "12px system-ui, sans-serif";
    const paths = kind === "bars" ? uPlot.paths.bars({ size: [0.7, 40] }) : uPlot.paths.stepped({ align: 1 });
    const axis = { stroke: ink, font, ticks: { stroke: hairline, size: 4 } };
    this.#plot = new uPlot({
      width: this.clientWidth || 320, height: HEIGHT,
      cursor: { y: false, drag: { x: false, y: false } },
      scales: { x: { time: false, range: () => [-0.6, labels.length - 0.4] }, y: log ? { distr: 3 } : { range: (_, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.08] } },
      axes: [
        { ...axis, grid: { show: false }, space: 48, incrs: [1, 2, 3, 5, 7, 10, 14, 20, 30, 60, 120], values: (_, places) => places.map((at) => labels[at] ?? "") },
        { ...axis, grid: { stroke: hairline, width: 1 }, size: 58, values: (_, values) => values.map((v) => (v === null ? "" : show(v))) },
      ],
      series: [
        { label: x, value: (_, at) => labels[at] ?? "" },
        ...series.map(({ label, dash, colour }) => ({ label, dash, paths, stroke: paint(colour), fill: kind === "bars" ? paint(`${colour}-tint`) : undefined, width: 2, points: { size: 5, fill: paint("surface") }, value: (_, v) => (v === null || v === undefined ? "—" : show(v)) })),
      ],
    }, [labels.map((_, at) => at), ...series.map((one) => one.values)], this);
  }
}
customElements.define("linecard-chart", Chart);
