import type { Chat } from '@tidemark/client';
import { useEffect } from 'react';

/** The total of whoever is here in the title of the page, as it moves. */
export function useTitle(chat: Chat | undefined, name: string | undefined): void {
  useEffect(() => {
    const show = () => {
      const total = chat?.getSnapshot().total ?? 0;
      document.title = [total > 0 && `(${total})`, name && `${name} ·`, 'Tidemark'].filter(Boolean).join(' ');
    };
    show();
    return chat?.subscribe(show);
  }, [chat, name]);
}
