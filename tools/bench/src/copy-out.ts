import type pg from 'pg';

/** What pg asks of something that is submitted in place of a query; its types leave it out. */
interface Submitted {
  submit: (connection: { query: (sql: string) => void }) => void;
  handleCopyData: (message: { chunk: Buffer }) => void;
  handleCommandComplete: () => void;
  handleReadyForQuery: () => void;
  handleError: (error: Error) => void;
}

/** Runs a `COPY ... TO STDOUT` and hands on its rows as they come, in PostgreSQL's text format. */
export function copyOut(client: pg.PoolClient, sql: string, onRow: (row: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const copy: Submitted = {
      submit: (connection) => connection.query(sql),
      handleCopyData: ({ chunk }) => onRow(chunk),
      handleCommandComplete: () => undefined,
      handleReadyForQuery: resolve,
      handleError: reject,
    };
    (client as unknown as { query: (copy: Submitted) => void }).query(copy);
  });
}
