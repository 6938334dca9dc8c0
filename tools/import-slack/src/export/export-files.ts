/** The files of an export, by their names with `/`, wherever they lie. */
export interface ExportFiles {
  readonly names: readonly string[];
  read(name: string): Promise<Buffer>;
  close(): void;
}

/** Of an export: its files, and the bytes of one. What is above them is no export. */
export interface FileLimits {
  filesMax: number;
  fileBytesMax: number;
}
export const fileLimits: FileLimits = { filesMax: 1_000_000, fileBytesMax: 256 * 1024 * 1024 };

/** What is wrong with an export, for whoever named it. Nothing has been written then. */
export class BadExportError extends Error {
  override name = 'BadExportError';
}
