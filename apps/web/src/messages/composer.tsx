import { type KeyboardEvent, type SyntheticEvent, useEffect, useId, useRef, useState } from 'react';

const textMax = 8_000;

/** Enter sends, Shift+Enter is a new line; where there is something to give up, Escape does. */
export function Composer({
  label,
  text: initial = '',
  action = 'Send',
  focused = false,
  onTyping,
  onSend,
  onCancel,
}: {
  label: string;
  text?: string;
  action?: string;
  focused?: boolean;
  onTyping?: () => void;
  onSend: (text: string) => void;
  onCancel?: () => void;
}) {
  const id = useId();
  const [text, setText] = useState(initial);
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (!focused) return;
    area.current?.focus({ preventScroll: true });
    area.current?.setSelectionRange(textMax, textMax);
  }, [focused]);

  const send = (event: SyntheticEvent) => {
    event.preventDefault();
    if (text.trim() === '') return;
    onSend(text.trim());
    setText('');
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // Enter also chooses among what an input method offers.
    if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) send(event);
    if (event.key === 'Escape' && onCancel) {
      event.stopPropagation();
      onCancel();
    }
  };
  return (
    <form className="composer" onSubmit={send}>
      <label htmlFor={id} className="sr-only">
        {label}
      </label>
      <textarea
        {...{ id, maxLength: textMax, placeholder: label, rows: 1, value: text, onKeyDown }}
        ref={area}
        onChange={(event) => {
          setText(event.target.value);
          if (event.target.value !== '') onTyping?.();
        }}
      />
      <button type="submit" disabled={text.trim() === ''}>
        {action}
      </button>
      {onCancel && (
        <button type="button" className="quiet" onClick={onCancel}>
          Cancel
        </button>
      )}
    </form>
  );
}
