const atOnce = 8;

/** One after the other, eight beside each other: a user of a thousand channels must not keep PostgreSQL from everybody else. */
export async function aFewAtATime<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<unknown>,
): Promise<void> {
  for (let from = 0; from < items.length; from += atOnce) {
    await Promise.all(items.slice(from, from + atOnce).map(work));
  }
}
