export const patternNames = ['default', 'A', 'B', 'C', 'any-replica', 'before-commit'] as const;
export type PatternName = (typeof patternNames)[number];
