import { type ReactNode, type SyntheticEvent, useEffect, useId, useRef, useState } from 'react';

/** As the API limits a channel's name. */
const charsMax = 80;

/** One line to fill in: Enter does it, Escape gives it up, and what went wrong is said where it happened. */
export function LineForm({
  label,
  action,
  numeric = false,
  children,
  onSubmit,
  onClose,
}: {
  label: string;
  action: string;
  numeric?: boolean;
  children?: ReactNode;
  onSubmit: (line: string) => Promise<void>;
  onClose: () => void;
}) {
  const id = useId();
  const field = useRef<HTMLInputElement>(null);
  const [line, setLine] = useState('');
  const { error, busy, attempt } = useAttempt();
  useEffect(() => field.current?.focus(), []);
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    if (line.trim() !== '') attempt(() => onSubmit(line.trim()));
  };
  return (
    <form
      className="line-form"
      onSubmit={submit}
      onKeyDown={(event) => {
        if (event.key === 'Escape') onClose();
      }}
    >
      <label htmlFor={id}>{label}</label>
      <input
        {...{ id, value: line, maxLength: charsMax, autoComplete: 'off' }}
        ref={field}
        inputMode={numeric ? 'numeric' : undefined}
        aria-invalid={error !== null}
        aria-describedby={error === null ? undefined : `${id}-error`}
        onChange={(event) => setLine(event.target.value)}
      />
      {children}
      <button type="submit" disabled={busy || line.trim() === ''}>
        {action}
      </button>
      <button type="button" className="quiet" onClick={onClose}>
        Cancel
      </button>
      {error !== null && (
        <p id={`${id}-error`} role="alert" className="danger">
          {error}
        </p>
      )}
    </form>
  );
}

/** Something that may fail, one at a time. */
export function useAttempt() {
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const attempt = (deed: () => Promise<void>) => {
    setBusy(true);
    setError(null);
    deed()
      .catch((failure: Error) => setError(failure.message))
      .finally(() => setBusy(false));
  };
  return { error, busy, attempt };
}
