import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';

/** A process by number and birth: a number alone may belong to somebody else by now. */
export interface ProcessMark {
  pid: number;
  bornAt: string;
}

/** Undefined when there is no such process, or only its remains (a zombie). */
export function markOf(pid: number): ProcessMark | undefined {
  const bornAt = process.platform === 'linux' ? birthFromProc(pid) : birthFromPs(pid);
  return bornAt === undefined ? undefined : { pid, bornAt };
}

export function isAlive(mark: ProcessMark | undefined | null): boolean {
  return mark !== undefined && mark !== null && markOf(mark.pid)?.bornAt === mark.bornAt;
}

/** The command line, or an empty string. */
export function commandLineOf(pid: number): string {
  try {
    return process.platform === 'linux'
      ? readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
      : execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  } catch {
    return '';
  }
}

/** Who was started by this process and runs at the moment. */
export function childrenOf(parent: number): number[] {
  if (process.platform === 'linux') {
    const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    return all.map(Number).filter((pid) => statFields(pid)?.[1] === String(parent));
  }
  const rows = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n');
  return rows
    .map((row) => row.trim().split(/\s+/).map(Number))
    .flatMap(([pid, ppid]) => (ppid === parent && pid ? [pid] : []));
}

/** Sends a signal; a process that is gone already is what was wanted anyway. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function birthFromProc(pid: number): string | undefined {
  const fields = statFields(pid);
  return fields?.[0] === 'Z' || fields?.[0] === 'X' ? undefined : fields?.[19];
}

/** State, parent and so on. The name before them, in brackets, may hold blanks: count from its end. */
function statFields(pid: number): string[] | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').pop()?.split(' ');
  } catch {
    return undefined;
  }
}

function birthFromPs(pid: number): string | undefined {
  try {
    const [state, ...started] = execFileSync('ps', ['-o', 'state=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
    })
      .trim()
      .split(/\s+/);
    return state === undefined || state.startsWith('Z') ? undefined : started.join(' ');
  } catch {
    return undefined;
  }
}
