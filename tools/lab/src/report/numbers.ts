/** Three digits are more than such figures are good for. */
export function showNumber(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return '-';
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}

export const showPair = (a: number | null, b: number | null): string => `${showNumber(a)} / ${showNumber(b)}`;
