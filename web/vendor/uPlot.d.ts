/** What the console uses of uPlot, which a script element makes a global of. */
declare class uPlot {
  constructor(options: object, data: (number | null)[][], into: HTMLElement);
  setSize(size: { width: number; height: number }): void;
  destroy(): void;
  static paths: Record<"stepped" | "bars", (options: object) => unknown>;
}
