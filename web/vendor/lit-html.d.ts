/** What the console uses of lit-html; its own types come with a build step that we have not. */
export type Shown = unknown;
export function html(strings: TemplateStringsArray, ...values: unknown[]): Shown;
export function render(value: Shown, into: HTMLElement): void;
export const nothing: unique symbol;
