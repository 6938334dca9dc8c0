/** Of one metric, all samples of a `/metrics` page added up, or those with a label such as `outcome="failed"`; 0 where there is none. */
export function sumOf(page: string, name: string, label = ''): number {
  let sum = 0;
  for (const line of page.split('\n')) {
    if (!line.startsWith(name) || !line.includes(label)) continue;
    const [, value] = /^(?:\{.*\})? (\S+)/.exec(line.slice(name.length)) ?? [];
    if (value !== undefined) sum += Number(value);
  }
  return sum;
}
