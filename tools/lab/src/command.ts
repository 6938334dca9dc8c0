/** One of the lab's measurements, `npm run lab -- <its name>`. */
export interface Command {
  usage: string;
  /**
   * @param typed What came after its name.
   * @returns The exit code.
   * @throws ArgumentsError
   */
  run(typed: string[]): Promise<number>;
}

/** What was typed cannot be meant. */
export class ArgumentsError extends Error {}
