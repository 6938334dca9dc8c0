import { useEffect, useState } from 'react';
import { type Figures, loadFigures } from '../stack.js';
import { costOf, type Sample, withSample } from './costs.js';

const everyMs = 1_000;
/** Until all that a message causes is counted: PostgreSQL's backends report what they wrote within ten seconds. */
const settleMs = { commands: 2_000, rows: 12_000 };

export interface Measured {
  figures: Figures | null;
  commandsAMessage: number | null;
  rowsAMessage: number | null;
}

/** What the system does, asked once a second while the page is seen. */
export function useFigures(): Measured {
  const [figures, setFigures] = useState<Figures | null>(null);
  const [commands, setCommands] = useState<readonly Sample[]>([]);
  const [rows, setRows] = useState<readonly Sample[]>([]);
  useEffect(() => {
    let gone = false;
    let timer: ReturnType<typeof setTimeout>;
    const look = async () => {
      const now = document.visibilityState === 'visible' ? await loadFigures().catch(() => null) : null;
      if (gone) return;
      if (now) {
        const { sends, redisCommands, rowsWritten } = now;
        const atMs = performance.now();
        setFigures(now);
        if (sends !== null && redisCommands !== null)
          setCommands((before) => withSample(before, { atMs, sends, total: redisCommands }));
        if (sends !== null && rowsWritten !== null)
          setRows((before) => withSample(before, { atMs, sends, total: rowsWritten }));
      }
      timer = setTimeout(() => void look(), everyMs);
    };
    void look();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, []);
  return {
    figures,
    commandsAMessage: costOf(commands, settleMs.commands),
    rowsAMessage: costOf(rows, settleMs.rows),
  };
}
